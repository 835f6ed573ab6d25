# What `cmake --install` and the Debian package put where. The commands look for the agent and the
# restorer in <libdir>/ckrun beside their own folder (runtime/job/installation.cc).
install(TARGETS ckrun_tool ckpt ckd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ckrun LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/ckrun)
install(TARGETS ckrun-restorer RUNTIME DESTINATION ${CMAKE_INSTALL_LIBDIR}/ckrun)
install(FILES tools/man/ckrun.1 tools/man/ckpt.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES tools/man/ckd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES tools/systemd/sandbox.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ckrun)
# systemd looks for commands in its own path only, so units name ckd by the whole one, which is known
# when it is installed. Users' managers look for units in ~/.local/share, not in ~/.local/lib.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/systemd)  # its owner's, also if root installs
foreach(unit "ckd.service;lib/systemd/system" "ckd-user.service;${CMAKE_INSTALL_DATADIR}/systemd/user")
  list(GET unit 0 name)
  list(GET unit 1 folder)
  install(CODE "
    cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_PREFIX OUTPUT_VARIABLE prefix)
    cmake_path(APPEND prefix [[${CMAKE_INSTALL_BINDIR}]] ckd OUTPUT_VARIABLE ckd)
    string(REPLACE % %% ckd \"\${ckd}\")
    configure_file([[${CMAKE_SOURCE_DIR}/tools/systemd/${name}.in]]
      [[${CMAKE_BINARY_DIR}/systemd/${name}]] @ONLY)
    file(INSTALL [[${CMAKE_BINARY_DIR}/systemd/${name}]] RENAME ckd.service
      DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${folder}\")")
endforeach()
# bash looks for a command's completion under the command's name.
foreach(command ckrun ckpt ckd)
  install(FILES tools/completion/ckrun.bash
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${command})
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ckrun RENAME copyright)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ckrun)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "ckrun developers <developers@ckrun.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGE_DESCRIPTION "ckrun runs unmodified programs so that they can be checkpointed while
they run, stopped, and restarted later or on another host, without root
privilege, kernel modules or containers.")
# By DESTDIR: what is installed must know its prefix, not the folder that is packed.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS libnftables1)  # --tcp=repair
include(CPack)
