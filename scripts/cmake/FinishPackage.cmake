# SPDX-License-Identifier: Apache-2.0
# While packing, before the archive is made: what Debian's policy wants of each package.
cmake_policy(VERSION 3.25)
foreach(pair IN ITEMS portico:portico debug:portico-dbg)
  string(REPLACE ":" ";" pair "${pair}")
  list(GET pair 0 component)
  list(GET pair 1 package)
  set(root "${CPACK_TEMPORARY_DIRECTORY}/${component}/usr/share")
  if(NOT IS_DIRECTORY "${CPACK_TEMPORARY_DIRECTORY}/${component}")
    continue()
  endif()
  set(docs "${root}/doc/${package}")
  file(MAKE_DIRECTORY "${docs}" "${root}/lintian/overrides")
  configure_file("${CPACK_PORTICO_SOURCE}/conf/debian/copyright" "${docs}/copyright" COPYONLY)

  string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
  file(WRITE "${docs}/changelog.Debian"
    "portico (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n"
    "  * What changed is in changelog.gz of the package portico.\n\n"
    " -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
  set(files "${docs}/changelog.Debian")
  if(EXISTS "${docs}/changelog.md")
    file(RENAME "${docs}/changelog.md" "${docs}/changelog")
    list(APPEND files "${docs}/changelog")
  endif()
  file(GLOB more "${root}/man/man*/*")
  execute_process(COMMAND gzip -9nf ${files} ${more} COMMAND_ERROR_IS_FATAL ANY)

  set(overrides "${CPACK_PORTICO_SOURCE}/conf/debian/lintian-overrides.${package}")
  if(EXISTS "${overrides}")
    configure_file("${overrides}" "${root}/lintian/overrides/${package}" COPYONLY)
  else()
    file(REMOVE_RECURSE "${root}/lintian")
  endif()
endforeach()
