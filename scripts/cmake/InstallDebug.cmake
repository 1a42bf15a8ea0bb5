# SPDX-License-Identifier: Apache-2.0
# While installing: the debug information of PROGRAMS, each under its build id.
cmake_policy(VERSION 3.25)
foreach(program IN LISTS PROGRAMS)
  if(NOT EXISTS "${program}")
    continue()
  endif()
  execute_process(COMMAND "${READELF}" -n "${program}" OUTPUT_VARIABLE notes COMMAND_ERROR_IS_FATAL ANY)
  if(NOT notes MATCHES "Build ID: ([0-9a-f][0-9a-f])([0-9a-f]+)")
    message(FATAL_ERROR "${program} has no build id; link it with --build-id")
  endif()
  set(folder "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/lib/debug/.build-id/${CMAKE_MATCH_1}")
  set(file "${folder}/${CMAKE_MATCH_2}.debug")
  file(MAKE_DIRECTORY "${folder}")
  execute_process(COMMAND "${OBJCOPY}" --only-keep-debug --compress-debug-sections
    "${program}" "${file}" COMMAND_ERROR_IS_FATAL ANY)
  file(CHMOD "${file}" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endforeach()
