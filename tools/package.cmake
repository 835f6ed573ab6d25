# What `cmake --install` and the Debian package put where. The commands look for the agent and the
# restorer in <libdir>/ckrun beside their own folder (runtime/job/installation.cc).
install(TARGETS ckrun_tool ckpt ckd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ckrun LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/ckrun)
install(TARGETS ckrun-restorer RUNTIME DESTINATION ${CMAKE_INSTALL_LIBDIR}/ckrun)
install(FILES tools/man/ckrun.1 tools/man/ckpt.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES tools/man/ckd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES tools/systemd/ckd.service DESTINATION lib/systemd/system)
install(FILES tools/systemd/sandbox.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ckrun)
install(FILES tools/systemd/ckd-user.service DESTINATION lib/systemd/user RENAME ckd.service)
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
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS libnftables1)  # --tcp=repair
include(CPack)
