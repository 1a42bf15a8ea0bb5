# SPDX-License-Identifier: Apache-2.0
# How every target is compiled: warnings, hardening, sanitizers. Targets get it by linking
# portico_compiler; portico_room() makes one static library for one folder of common/.
include(CheckCCompilerFlag)

add_library(portico_compiler INTERFACE)
target_include_directories(portico_compiler INTERFACE "${PROJECT_SOURCE_DIR}/common")
target_compile_definitions(portico_compiler INTERFACE
  _GNU_SOURCE "PORTICO_VERSION=\"${PROJECT_VERSION}\"")

# Adds the flags that this compiler knows.
function(portico_add_flags)
  foreach(flag IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "PORTICO_HAS${flag}" known)
    check_c_compiler_flag("${flag}" "${known}")
    if(${known})
      target_compile_options(portico_compiler INTERFACE "${flag}")
    endif()
  endforeach()
endfunction()

# Without sign-conversion: size_t against int in both directions would bury the warnings that count.
portico_add_flags(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -Wcast-qual -Wwrite-strings -Wformat=2 -Wconversion -Wno-sign-conversion -Wimplicit-fallthrough
  -Wpointer-arith -Wundef -Wdouble-promotion -Wduplicated-cond -Wlogical-op
  -Werror=implicit-function-declaration -Werror=return-type)
target_compile_options(portico_compiler INTERFACE -Werror=format-security)
if(PORTICO_WERROR)
  target_compile_options(portico_compiler INTERFACE -Werror)
endif()

# The OpenSSF compiler options hardening guide. Sanitizers bring their own checks and do not mix
# with _FORTIFY_SOURCE; it also needs optimisation.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
portico_add_flags(-fno-strict-aliasing)
# What is built does not depend on where, and a failed CHECK tells a short name.
target_compile_options(portico_compiler INTERFACE "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/="
  "-fmacro-prefix-map=${PROJECT_BINARY_DIR}/=")
if(NOT PORTICO_SANITIZE)
  # They define what the sanitizers are to find: signed overflow would go unreported.
  portico_add_flags(-fno-delete-null-pointer-checks -fno-strict-overflow)
endif()
if(PORTICO_HARDEN AND NOT PORTICO_SANITIZE AND NOT PORTICO_FUZZERS)
  portico_add_flags(-fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    portico_add_flags(-fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
    portico_add_flags(-mbranch-protection=standard)
  endif()
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(portico_compiler INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
endif()
target_link_options(portico_compiler INTERFACE
  LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack LINKER:--as-needed)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

if(PORTICO_SANITIZE)
  target_compile_options(portico_compiler INTERFACE
    "-fsanitize=${PORTICO_SANITIZE}" -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(portico_compiler INTERFACE "-fsanitize=${PORTICO_SANITIZE}")
endif()
if(PORTICO_FUZZERS)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "Fuzz targets need Clang: use --preset fuzz, or CC=clang (package: clang)")
  endif()
  # Coverage for every room; the targets themselves add libFuzzer's main().
  target_compile_options(portico_compiler INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(portico_compiler INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(PORTICO_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(LANGUAGES C)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()

# portico_room(NAME SOURCES file... [USES target...])
function(portico_room name)
  cmake_parse_arguments(PARSE_ARGV 1 room "" "" "SOURCES;USES")
  add_library(portico_${name} STATIC ${room_SOURCES})
  target_link_libraries(portico_${name} PUBLIC portico_compiler ${room_USES})
endfunction()
