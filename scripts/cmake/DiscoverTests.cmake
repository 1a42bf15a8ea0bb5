# SPDX-License-Identifier: Apache-2.0
# cmake -DTEST=executable -DLIST=file -DWORKING_DIRECTORY=dir -P: write the ctest entries of a
# Criterion executable. Sanitizers report on standard error and Criterion ignores a child's exit
# status after its test passed, so a report fails the test by its text.
execute_process(COMMAND "${TEST}" --list OUTPUT_VARIABLE listing RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${TEST} --list failed: ${failed}")
endif()
set(entries "")
set(suite "")
string(REPLACE "\n" ";" lines "${listing}")
foreach(line IN LISTS lines)
  if(line MATCHES "^([A-Za-z0-9_]+): [0-9]+ tests?$")
    set(suite "${CMAKE_MATCH_1}")
  elseif(line MATCHES "── ([A-Za-z0-9_]+)")
    set(name "${CMAKE_MATCH_1}")
    string(APPEND entries
      "add_test([==[${suite}.${name}]==] [==[${TEST}]==] --filter ${suite}/${name})\n"
      "set_tests_properties([==[${suite}.${name}]==] PROPERTIES TIMEOUT 120\n"
      "  WORKING_DIRECTORY [==[${WORKING_DIRECTORY}]==]\n"
      "  SKIP_REGULAR_EXPRESSION \"\\\\[SKIP\\\\]\"\n"
      "  FAIL_REGULAR_EXPRESSION \"ERROR: [A-Za-z]+Sanitizer;WARNING: ThreadSanitizer;runtime error:;Tested: 0\")\n")
  endif()
endforeach()
file(WRITE "${LIST}" "${entries}")
