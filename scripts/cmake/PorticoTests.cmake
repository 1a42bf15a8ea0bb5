# SPDX-License-Identifier: Apache-2.0
# portico_test(FILE.c [USES target...]): a Criterion executable named after its source; its tests are
# asked for after each build and become ctest tests named SUITE.TEST.
function(portico_test source)
  cmake_parse_arguments(PARSE_ARGV 1 test "" "" "USES")
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${name} "${source}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  target_link_libraries(${name} PRIVATE test_support ${test_USES} PkgConfig::CRITERION)
  # Criterion's macros narrow and shadow; that is not ours to mend.
  target_compile_options(${name} PRIVATE
    -Wno-conversion -Wno-shadow -Wno-missing-prototypes -Wno-missing-field-initializers)
  set(list "${CMAKE_CURRENT_BINARY_DIR}/${name}.ctest")
  add_custom_command(TARGET ${name} POST_BUILD VERBATIM
    BYPRODUCTS "${list}"
    COMMAND "${CMAKE_COMMAND}" "-DTEST=$<TARGET_FILE:${name}>" "-DLIST=${list}"
      "-DWORKING_DIRECTORY=${PROJECT_SOURCE_DIR}"
      -P "${PROJECT_SOURCE_DIR}/scripts/cmake/DiscoverTests.cmake"
    COMMENT "Listing the tests of ${name}")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${list}")
endfunction()
