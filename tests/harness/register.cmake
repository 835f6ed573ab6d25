# ck_python_tests(PREFIX FILE LABEL): one ctest entry for each test method of FILE.
function(ck_python_tests prefix file label)
  execute_process(COMMAND ${CK_PYTHON} ${file} --list
    OUTPUT_VARIABLE names OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  string(REPLACE "\n" ";" names "${names}")
  foreach(name IN LISTS names)
    add_test(NAME ${prefix}.${name}
      COMMAND ${CK_PYTHON} ${file} --build ${CMAKE_BINARY_DIR} ${name})
    set_tests_properties(${prefix}.${name} PROPERTIES
      LABELS "${label};${prefix}" TIMEOUT 300 SKIP_RETURN_CODE 77)
  endforeach()
endfunction()
