# SPDX-License-Identifier: Apache-2.0
# `cpack -G DEB`, from a build of the preset release: portico and portico-dbg.
set(PORTICO_MAINTAINER "Portico developers <developers@portico.invalid>" CACHE STRING
  "Who answers for the packages, as Debian writes it")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME portico)
set(CPACK_PACKAGE_CONTACT "${PORTICO_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "HTTP front door of a polling agent fleet")
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
  GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL portico debug)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_CURRENT_LIST_DIR}/FinishPackage.cmake")

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_DEBIAN_PORTICO_PACKAGE_NAME portico)
set(CPACK_DEBIAN_PORTICO_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PORTICO_PACKAGE_SHLIBDEPS ON)
# systemd-sysusers; kill(1), by which units reload
set(CPACK_DEBIAN_PORTICO_PACKAGE_DEPENDS "systemd, procps")
set(CPACK_COMPONENT_PORTICO_DESCRIPTION
  "Answers the polls of endpoint agents that speak GRR's HTTP wire protocol, on a
row of ports with one process each, and spreads them over these with a load
balancer that loses no poll. What was acknowledged is on the disk, once.
.
The balancer also stands before any other HTTP/1.1 server.")
set(CPACK_DEBIAN_PORTICO_PACKAGE_CONTROL_EXTRA)
foreach(file IN ITEMS postinst prerm postrm)
  list(APPEND CPACK_DEBIAN_PORTICO_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/conf/debian/${file}")
endforeach()

# What administrators change and upgrades must not.
set(conffiles /etc/portico/portico.yaml)
if(EXISTS "${PROJECT_SOURCE_DIR}/conf/logrotate/portico")
  list(APPEND conffiles /etc/logrotate.d/portico)
endif()
list(JOIN conffiles "\n" conffiles)
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/packaging/conffiles" CONTENT "${conffiles}\n" @ONLY)
list(APPEND CPACK_DEBIAN_PORTICO_PACKAGE_CONTROL_EXTRA "${PROJECT_BINARY_DIR}/packaging/conffiles")

set(CPACK_DEBIAN_DEBUG_PACKAGE_NAME portico-dbg)
set(CPACK_DEBIAN_DEBUG_PACKAGE_SECTION debug)
set(CPACK_DEBIAN_DEBUG_PACKAGE_DEPENDS "portico (= ${PROJECT_VERSION}-1)")
set(CPACK_COMPONENT_DEBUG_DESCRIPTION
  "What debuggers need to name functions and lines of the programs of the
package portico.")
set(CPACK_PROJECT_CONFIG_FILE "${CMAKE_CURRENT_LIST_DIR}/PackageRelease.cmake")
set(CPACK_PORTICO_SOURCE "${PROJECT_SOURCE_DIR}")
include(CPack)
