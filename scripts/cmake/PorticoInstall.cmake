# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts in place beside the programs. Component `portico` is everything that
# serves, component `debug` what debuggers want, which only the package has.

# Where a site's configuration is: /etc for packages, below the prefix otherwise. Set
# CMAKE_INSTALL_SYSCONFDIR to an absolute path to have it elsewhere. Units name it and the programs,
# and the prefix may be given as late as with `cmake --install --prefix`; so they are written then.
set(PORTICO_BACK_OFF "")
if(SYSTEMD_VERSION VERSION_GREATER_EQUAL 254)
  set(PORTICO_BACK_OFF "RestartSteps=5\nRestartMaxDelaySec=30s")
endif()
install(CODE "
  set(SOURCE [==[${PROJECT_SOURCE_DIR}]==])
  set(BINARY [==[${PROJECT_BINARY_DIR}]==])
  set(SBINDIR [==[${CMAKE_INSTALL_SBINDIR}]==])
  set(SYSCONFDIR [==[${CMAKE_INSTALL_SYSCONFDIR}]==])
  set(DOCDIR [==[${CMAKE_INSTALL_DOCDIR}]==])
  set(PORTICO_BACK_OFF [==[${PORTICO_BACK_OFF}]==])
  include([==[${CMAKE_CURRENT_LIST_DIR}/InstallUnits.cmake]==])")

install(FILES conf/systemd/portico.sysusers DESTINATION lib/sysusers.d RENAME portico.conf)
install(FILES conf/systemd/portico.tmpfiles DESTINATION lib/tmpfiles.d RENAME portico.conf)
install(FILES conf/systemd/portico.preset DESTINATION lib/systemd/system-preset
  RENAME 90-portico.preset)

# Configurations to start from, of this and of others' programs, as they are there.
install(DIRECTORY conf/ DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples"
  PATTERN completions EXCLUDE
  PATTERN debian EXCLUDE
  PATTERN flood EXCLUDE
  PATTERN systemd EXCLUDE)
install(DIRECTORY conf/systemd/examples/ DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples/systemd")
# Where README.md, and they among themselves, link to.
install(DIRECTORY docs/ DESTINATION "${CMAKE_INSTALL_DOCDIR}/docs" FILES_MATCHING PATTERN "*.md"
  PATTERN "*.png" PATTERN man EXCLUDE)
install(FILES README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")

foreach(section IN ITEMS 1 5 7 8)
  file(GLOB pages CONFIGURE_DEPENDS "docs/man/*.${section}")
  install(FILES ${pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
endforeach()
# bash looks for a file with the command's name; one file is for all.
set(folder "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
if(EXISTS "${PROJECT_SOURCE_DIR}/conf/completions/portico.bash")
  install(FILES conf/completions/portico.bash DESTINATION "${folder}" RENAME portico)
  foreach(command IN ITEMS portico-frontend portico-balancer portico-flood)
    install(CODE "file(CREATE_LINK portico
      \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder}/${command}\" SYMBOLIC)")
  endforeach()
endif()
# zsh looks here for what packages bring, and there for what a site installs.
install(CODE "
  if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\")
    set(folder vendor-completions)
  else()
    set(folder site-functions)
  endif()
  file(INSTALL [==[${PROJECT_SOURCE_DIR}/conf/completions/_portico]==]
    DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/zsh/\${folder}\")")

# /usr/lib/debug/.build-id/ab/cdef.debug, where debuggers look.
find_program(PORTICO_OBJCOPY NAMES "${CMAKE_OBJCOPY}" objcopy)
find_program(PORTICO_READELF NAMES "${CMAKE_READELF}" readelf)
install(CODE "
  set(OBJCOPY [==[${PORTICO_OBJCOPY}]==])
  set(READELF [==[${PORTICO_READELF}]==])
  set(PROGRAMS [==[${PROJECT_BINARY_DIR}/bin/portico]==] [==[${PROJECT_BINARY_DIR}/bin/portico-frontend]==]
    [==[${PROJECT_BINARY_DIR}/bin/portico-balancer]==] [==[${PROJECT_BINARY_DIR}/bin/portico-flood]==])
  include([==[${CMAKE_CURRENT_LIST_DIR}/InstallDebug.cmake]==])"
  COMPONENT debug EXCLUDE_FROM_ALL)
