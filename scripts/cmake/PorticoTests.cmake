# SPDX-License-Identifier: Apache-2.0
# What tests, fuzz targets and benchmarks may do that programs may not: Criterion's macros narrow and
# shadow, and libFuzzer's entry has no header. A target to be linked last, since later flags win and
# those of linked targets come after a target's own.
add_library(portico_test_leniency INTERFACE)
target_compile_options(portico_test_leniency INTERFACE
  -Wno-conversion -Wno-shadow -Wno-missing-prototypes -Wno-missing-field-initializers)

# portico_test(FILE.c [USES target...]): a Criterion executable named after its source; its tests are
# asked for after each build and become ctest tests named SUITE.TEST.
function(portico_test source)
  cmake_parse_arguments(PARSE_ARGV 1 test "" "" "USES")
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${name} "${source}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  target_link_libraries(${name} PRIVATE test_support ${test_USES} PkgConfig::CRITERION
    portico_test_leniency)
  set(list "${CMAKE_CURRENT_BINARY_DIR}/${name}.ctest")
  add_custom_command(TARGET ${name} POST_BUILD VERBATIM
    BYPRODUCTS "${list}"
    COMMAND "${CMAKE_COMMAND}" "-DTEST=$<TARGET_FILE:${name}>" "-DLIST=${list}"
      "-DWORKING_DIRECTORY=${PROJECT_SOURCE_DIR}"
      -P "${PROJECT_SOURCE_DIR}/scripts/cmake/DiscoverTests.cmake"
    COMMENT "Listing the tests of ${name}")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${list}")
endfunction()

# portico_fuzz(fuzz_NAME.c [USES target...]): one LLVMFuzzerTestOneInput. The fuzz preset links libFuzzer;
# every other preset links a plain main() that replays the corpus in tests/fuzz/corpus/NAME, which is
# the ctest test fuzz.NAME. scripts/fuzz runs the targets.
function(portico_fuzz source)
  cmake_parse_arguments(PARSE_ARGV 1 fuzz "" "" "USES")
  get_filename_component(target "${source}" NAME_WE)
  string(REGEX REPLACE "^fuzz_" "" name "${target}")
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
  target_link_libraries(${target} PRIVATE portico_compiler ${fuzz_USES} portico_test_leniency)
  set(corpus "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  if(PORTICO_FUZZERS)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz.${name} COMMAND ${target} -runs=0 -timeout=5 "${corpus}")
  else()
    target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c")
    add_test(NAME fuzz.${name} COMMAND ${target} "${corpus}")
  endif()
  set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT 120)
endfunction()

# portico_bench(bench_NAME.c [USES target...]): prints measurements when run by hand. ctest only checks that it
# runs, with --check.
function(portico_bench source)
  cmake_parse_arguments(PARSE_ARGV 1 bench "" "" "USES")
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${name} "${source}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
  target_link_libraries(${name} PRIVATE portico_compiler ${bench_USES})
  add_test(NAME bench.${name} COMMAND ${name} --check)
  set_tests_properties(bench.${name} PROPERTIES TIMEOUT 120)
endfunction()
