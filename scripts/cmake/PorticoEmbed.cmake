# SPDX-License-Identifier: Apache-2.0
# Files that a program carries in itself. portico_embed(OUT SYMBOL FILE...) says in OUT which C source
# to compile: it defines `const struct str SYMBOL_NAME` for each FILE, NAME.EXTENSION. The same file, run
# as a script, writes that source.

if(CMAKE_SCRIPT_MODE_FILE)
  set(text "/* Made from ${files}; not to be edited. */\n#include \"base/str.h\"\n")
  string(REPLACE "," ";" files "${files}")
  foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME_WE)
    string(MAKE_C_IDENTIFIER "${symbol}_${name}" name)
    file(READ "${folder}/${file}" bytes HEX)
    string(LENGTH "${bytes}" length)
    math(EXPR length "${length} / 2")
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(APPEND text "extern const struct str ${name};\n"
      "static const unsigned char bytes_of_${name}[] = {${bytes}0};\n"
      "const struct str ${name} = {(const char *)bytes_of_${name}, ${length}};\n")
  endforeach()
  file(WRITE "${out}" "${text}")
  return()
endif()

set(PORTICO_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(portico_embed result symbol)
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${symbol}_embedded.c")
  string(REPLACE ";" "," files "${ARGN}")
  add_custom_command(OUTPUT "${out}"
    COMMAND "${CMAKE_COMMAND}" -D "files=${files}" -D "folder=${CMAKE_CURRENT_SOURCE_DIR}"
      -D "symbol=${symbol}" -D "out=${out}" -P "${PORTICO_EMBED_SCRIPT}"
    DEPENDS ${ARGN} "${PORTICO_EMBED_SCRIPT}"
    VERBATIM)
  set(${result} "${out}" PARENT_SCOPE)
endfunction()
