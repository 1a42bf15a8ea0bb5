# SPDX-License-Identifier: Apache-2.0
# The libraries that Portico stands on, all of them Debian packages. What is missing is named, with
# its package, all at once.
find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
  message(FATAL_ERROR "pkg-config is missing. On Debian: apt install pkg-config")
endif()
find_package(Threads REQUIRED)

set(PORTICO_MISSING_PACKAGES "")

# portico_need(PREFIX MODULE DEBIAN-PACKAGE): the target PkgConfig::PREFIX, or one more missing package.
function(portico_need prefix module package)
  pkg_check_modules(${prefix} IMPORTED_TARGET "${module}")
  if(NOT ${prefix}_FOUND)
    set(PORTICO_MISSING_PACKAGES ${PORTICO_MISSING_PACKAGES} ${package} PARENT_SCOPE)
  endif()
endfunction()

portico_need(YAML yaml-0.1 libyaml-dev)
portico_need(OPENSSL openssl>=3.0 libssl-dev)
portico_need(ZLIB zlib zlib1g-dev)
portico_need(PROTOBUF_C libprotobuf-c libprotobuf-c-dev)
find_program(PROTOC_C NAMES protoc-c)
if(NOT PROTOC_C)
  list(APPEND PORTICO_MISSING_PACKAGES protobuf-c-compiler)
endif()
portico_need(MICROHTTPD libmicrohttpd>=0.9.75 libmicrohttpd-dev)
portico_need(SYSTEMD libsystemd libsystemd-dev)
portico_need(SQLITE sqlite3>=3.37 libsqlite3-dev)
portico_need(JANSSON jansson libjansson-dev)
if(BUILD_TESTING OR NOT DEFINED BUILD_TESTING)
  portico_need(CRITERION criterion libcriterion-dev)
endif()

if(PORTICO_MISSING_PACKAGES)
  list(JOIN PORTICO_MISSING_PACKAGES " " packages)
  message(FATAL_ERROR "Libraries are missing. On Debian: apt install ${packages}\n"
    "(scripts/test and scripts/start install them. Without tests: -DBUILD_TESTING=OFF)")
endif()
