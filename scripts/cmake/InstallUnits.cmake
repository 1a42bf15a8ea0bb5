# SPDX-License-Identifier: Apache-2.0
# While installing: units that name what was installed, and a configuration to start from.
cmake_policy(VERSION 3.25)
if(IS_ABSOLUTE "${SYSCONFDIR}")
  set(PORTICO_CONFIG "${SYSCONFDIR}/portico")
elseif(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(PORTICO_CONFIG "/etc/portico")
else()
  set(PORTICO_CONFIG "${CMAKE_INSTALL_PREFIX}/${SYSCONFDIR}/portico")
endif()
set(PORTICO_SBIN "${CMAKE_INSTALL_PREFIX}/${SBINDIR}")
set(PORTICO_DOCS "${CMAKE_INSTALL_PREFIX}/${DOCDIR}")
file(STRINGS "${SOURCE}/conf/systemd/sandbox.conf" lines)
list(JOIN lines "\n" PORTICO_SANDBOX)

set(units "${CMAKE_INSTALL_PREFIX}/lib/systemd/system")
foreach(unit IN ITEMS "portico-frontend@.service" portico-balancer.service)
  file(READ "${SOURCE}/conf/systemd/${unit}.in" text)
  # Not configure_file(), for which the @ of names would begin variables.
  if(NOT PORTICO_BACK_OFF)
    string(REPLACE "@PORTICO_BACK_OFF@\n" "" text "${text}")
  endif()
  foreach(key IN ITEMS CONFIG SBIN DOCS BACK_OFF SANDBOX)
    string(REPLACE "@PORTICO_${key}@" "${PORTICO_${key}}" text "${text}")
  endforeach()
  file(WRITE "${BINARY}/units/${unit}" "${text}")
  file(INSTALL "${BINARY}/units/${unit}" DESTINATION "${units}")
endforeach()
file(INSTALL "${SOURCE}/conf/systemd/portico-balancer.socket" "${SOURCE}/conf/systemd/portico.target"
  DESTINATION "${units}")

# What a site wrote stays; packages have their own way with that.
if(NOT EXISTS "$ENV{DESTDIR}${PORTICO_CONFIG}/portico.yaml")
  file(INSTALL "${SOURCE}/conf/portico.yaml" DESTINATION "${PORTICO_CONFIG}")
endif()
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" AND EXISTS "${SOURCE}/conf/logrotate/portico")
  file(INSTALL "${SOURCE}/conf/logrotate/portico" DESTINATION /etc/logrotate.d)
endif()
