# SPDX-License-Identifier: Apache-2.0
# While packing: what depends on the release, which `cpack -D CPACK_DEBIAN_PACKAGE_RELEASE=2` may set.
set(CPACK_DEBIAN_DEBUG_PACKAGE_DEPENDS
  "portico (= ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
