# SPDX-License-Identifier: Apache-2.0
# bash completion for the programs of Portico. Needs no package.
# Written by scripts/write-completions; edit that.
# shellcheck shell=bash
declare -gA _portico_flags _portico_commands _portico_sections _portico_keys _portico_arguments
declare -gA _portico_verbs _portico_command_flags _portico_values

# {{{ portico
_portico_flags[portico]="--json --directory --user -n --instances --store-only --force --flow --request --args-hex --args-type --handler -c --config -p --parameter --context -t --check-config --help-config --show-config -v --verbose --version -h --help"
_portico_commands[portico]="init run check backup verify restore agents send requests responses messages balancer"
_portico_sections[portico]="Frontend Balancer Monitoring Datastore PrivateKeys CA Runtime Logging Config"
_portico_keys[portico]="Balancer.access_log Balancer.access_log_format Balancer.admin_address Balancer.admin_port Balancer.admin_socket Balancer.algorithm Balancer.bind_address Balancer.bind_port Balancer.body_min_rate Balancer.body_timeout Balancer.buffer Balancer.connect_timeout Balancer.default_host Balancer.drain_timeout Balancer.eject_failures Balancer.eject_time Balancer.first_byte_timeout Balancer.handoff Balancer.head_timeout Balancer.hosts Balancer.idle_timeout Balancer.max_body Balancer.max_connections Balancer.max_connections_per_address Balancer.max_fields Balancer.max_head Balancer.max_target Balancer.member_idle_connections Balancer.member_idle_timeout Balancer.member_in_flight Balancer.probe_fall Balancer.probe_interval Balancer.probe_path Balancer.probe_rise Balancer.probe_timeout Balancer.proxy_protocol Balancer.queue_size Balancer.queue_timeout Balancer.refusal_delay Balancer.registration_socket Balancer.repeat_paths Balancer.resolve_interval Balancer.response_timeout Balancer.retry_after Balancer.threads Balancer.tls_bind_port Balancer.tls_certificates Balancer.tls_client_ca Balancer.tls_client_verify Balancer.tls_min_version Balancer.tls_tickets Balancer.tls_timeout Balancer.trusted_proxies Balancer.write_timeout CA.certificate Config.directory Config.includes Config.prefix Config.writeback Datastore.busy_timeout Datastore.commit_batch Datastore.commit_delay Datastore.implementation Datastore.last_seen_interval Datastore.location Datastore.maximum_blob_size Datastore.queue_size Frontend.bind_address Frontend.bind_port Frontend.body_memory Frontend.certificate Frontend.connection_limit Frontend.crypto_threads Frontend.enrolment Frontend.head_timeout Frontend.idle_timeout Frontend.max_body Frontend.max_inflated Frontend.max_queue_size Frontend.max_retransmission_time Frontend.message_expiry_time Frontend.min_rate Frontend.port_max Frontend.retry_after Frontend.session_cache Frontend.stop_timeout Frontend.threads Frontend.trusted_proxies Frontend.well_known_flows Logging.domain Logging.engines Logging.filename Logging.format Logging.level Logging.path Logging.syslog_path Logging.verbose Monitoring.alert_email Monitoring.emergency_access_email Monitoring.http_address Monitoring.http_port Monitoring.http_port_max PrivateKeys.ca_key PrivateKeys.executable_signing_private_key PrivateKeys.server_key Runtime.directory"
_portico_arguments[portico\ --directory]="DIR"
_portico_arguments[portico\ --user]="NAME"
_portico_arguments[portico\ --instances]="N"
_portico_arguments[portico\ -n]="N"
_portico_arguments[portico\ --flow]="F"
_portico_arguments[portico\ --request]="N"
_portico_arguments[portico\ --args-hex]="HEX"
_portico_arguments[portico\ --args-type]="NAME"
_portico_arguments[portico\ --handler]="NAME"
_portico_arguments[portico\ --config]="FILE"
_portico_arguments[portico\ -c]="FILE"
_portico_arguments[portico\ --parameter]="Key=value"
_portico_arguments[portico\ -p]="Key=value"
_portico_arguments[portico\ --context]="A,B"
_portico_arguments[portico\ --help-config]="Section"
_portico_verbs[init]=""
_portico_command_flags[init]="--json --directory --user"
_portico_verbs[run]=""
_portico_command_flags[run]="-n --instances"
_portico_verbs[check]=""
_portico_command_flags[check]="--json"
_portico_verbs[backup]=""
_portico_command_flags[backup]="--json --store-only --force"
_portico_verbs[verify]=""
_portico_command_flags[verify]="--json"
_portico_verbs[restore]=""
_portico_command_flags[restore]="--json --force"
_portico_verbs[agents]="list show approve forget"
_portico_command_flags[agents]="--json"
_portico_verbs[send]=""
_portico_command_flags[send]="--json --flow --request --args-hex --args-type"
_portico_verbs[requests]=""
_portico_command_flags[requests]="--json"
_portico_verbs[responses]=""
_portico_command_flags[responses]="--json --flow"
_portico_verbs[messages]=""
_portico_command_flags[messages]="--json --handler"
_portico_verbs[balancer]=""
_portico_command_flags[balancer]="--json"
_portico_verbs[balancer]="disable drain enable explain help reload show stop"
_portico_shown="info status members connections pools errors config"
_portico_handlers="StatsHandler ClientAlertHandler ForemanHandler NannyMessageHandler ClientStartupHandler BlobHandler Enrol"
_portico_values[Balancer.access_log_format]="json human combined"
_portico_values[Balancer.algorithm]="round_robin least"
_portico_values[Balancer.handoff]="true false"
_portico_values[Balancer.proxy_protocol]="true false"
_portico_values[Balancer.tls_client_verify]="off optional required"
_portico_values[Balancer.tls_min_version]="1.2 1.3"
_portico_values[Balancer.tls_tickets]="true false"
_portico_values[Frontend.enrolment]="open approve closed"
_portico_values[Logging.format]="auto human key_value json"
_portico_values[Logging.level]="error warning info debug"
_portico_values[Logging.verbose]="true false"
# }}} portico
# {{{ portico-frontend
_portico_flags[portico-frontend]="--port -c --config -p --parameter --context -t --check-config --help-config --show-config -v --verbose --version -h --help"
_portico_commands[portico-frontend]=""
_portico_sections[portico-frontend]="Frontend Balancer Monitoring Datastore PrivateKeys CA Runtime Logging Config"
_portico_keys[portico-frontend]="Balancer.handoff Balancer.registration_socket CA.certificate Config.directory Config.includes Config.prefix Config.writeback Datastore.busy_timeout Datastore.commit_batch Datastore.commit_delay Datastore.implementation Datastore.last_seen_interval Datastore.location Datastore.queue_size Frontend.bind_address Frontend.bind_port Frontend.body_memory Frontend.certificate Frontend.connection_limit Frontend.crypto_threads Frontend.enrolment Frontend.head_timeout Frontend.idle_timeout Frontend.max_body Frontend.max_inflated Frontend.max_queue_size Frontend.max_retransmission_time Frontend.message_expiry_time Frontend.min_rate Frontend.port_max Frontend.retry_after Frontend.session_cache Frontend.stop_timeout Frontend.threads Frontend.trusted_proxies Logging.format Logging.level Logging.verbose Monitoring.http_address Monitoring.http_port Monitoring.http_port_max PrivateKeys.ca_key PrivateKeys.server_key Runtime.directory"
_portico_arguments[portico-frontend\ --port]="N"
_portico_arguments[portico-frontend\ --config]="FILE"
_portico_arguments[portico-frontend\ -c]="FILE"
_portico_arguments[portico-frontend\ --parameter]="Key=value"
_portico_arguments[portico-frontend\ -p]="Key=value"
_portico_arguments[portico-frontend\ --context]="A,B"
_portico_arguments[portico-frontend\ --help-config]="Section"
# }}} portico-frontend
# {{{ portico-balancer
_portico_flags[portico-balancer]="-c --config -p --parameter --context -t --check-config --help-config --show-config -v --verbose --version -h --help"
_portico_commands[portico-balancer]=""
_portico_sections[portico-balancer]="Frontend Balancer Runtime Logging Config"
_portico_keys[portico-balancer]="Balancer.access_log Balancer.access_log_format Balancer.admin_address Balancer.admin_port Balancer.admin_socket Balancer.algorithm Balancer.bind_address Balancer.bind_port Balancer.body_min_rate Balancer.body_timeout Balancer.buffer Balancer.connect_timeout Balancer.default_host Balancer.drain_timeout Balancer.eject_failures Balancer.eject_time Balancer.first_byte_timeout Balancer.handoff Balancer.head_timeout Balancer.hosts Balancer.idle_timeout Balancer.max_body Balancer.max_connections Balancer.max_connections_per_address Balancer.max_fields Balancer.max_head Balancer.max_target Balancer.member_idle_connections Balancer.member_idle_timeout Balancer.member_in_flight Balancer.probe_fall Balancer.probe_interval Balancer.probe_path Balancer.probe_rise Balancer.probe_timeout Balancer.proxy_protocol Balancer.queue_size Balancer.queue_timeout Balancer.refusal_delay Balancer.registration_socket Balancer.repeat_paths Balancer.resolve_interval Balancer.response_timeout Balancer.retry_after Balancer.threads Balancer.tls_bind_port Balancer.tls_certificates Balancer.tls_client_ca Balancer.tls_client_verify Balancer.tls_min_version Balancer.tls_tickets Balancer.tls_timeout Balancer.trusted_proxies Balancer.write_timeout Config.directory Config.includes Config.prefix Config.writeback Frontend.bind_address Frontend.bind_port Frontend.port_max Logging.format Logging.level Logging.verbose Runtime.directory"
_portico_arguments[portico-balancer\ --config]="FILE"
_portico_arguments[portico-balancer\ -c]="FILE"
_portico_arguments[portico-balancer\ --parameter]="Key=value"
_portico_arguments[portico-balancer\ -p]="Key=value"
_portico_arguments[portico-balancer\ --context]="A,B"
_portico_arguments[portico-balancer\ --help-config]="Section"
# }}} portico-balancer
# {{{ portico-flood
_portico_flags[portico-flood]="--url --agents --rate --period --duration --scenario --messages --message-bytes --keys -o --output --close --connections --no-resumption --ca --server-ca --body-bytes --timeout --closing --threads --seed --slo --find-capacity --json --html --verify --report --on --i-own-this-target -c --config -p --parameter --context -t --check-config --help-config --show-config -v --verbose --version -h --help"
_portico_commands[portico-flood]="run raw keys verify compare"
_portico_sections[portico-flood]="Datastore CA Logging Config"
_portico_keys[portico-flood]="CA.certificate Config.directory Config.includes Config.prefix Config.writeback Datastore.busy_timeout Datastore.implementation Datastore.location Logging.format Logging.level Logging.verbose"
_portico_arguments[portico-flood\ --url]="URL"
_portico_arguments[portico-flood\ --agents]="N"
_portico_arguments[portico-flood\ --rate]="R"
_portico_arguments[portico-flood\ --period]="S"
_portico_arguments[portico-flood\ --duration]="S"
_portico_arguments[portico-flood\ --scenario]="NAME"
_portico_arguments[portico-flood\ --messages]="M"
_portico_arguments[portico-flood\ --message-bytes]="SIZE"
_portico_arguments[portico-flood\ --keys]="FILE"
_portico_arguments[portico-flood\ --output]="FILE"
_portico_arguments[portico-flood\ -o]="FILE"
_portico_arguments[portico-flood\ --connections]="N"
_portico_arguments[portico-flood\ --ca]="FILE"
_portico_arguments[portico-flood\ --server-ca]="FILE"
_portico_arguments[portico-flood\ --body-bytes]="SIZE"
_portico_arguments[portico-flood\ --timeout]="S"
_portico_arguments[portico-flood\ --closing]="S"
_portico_arguments[portico-flood\ --threads]="N"
_portico_arguments[portico-flood\ --seed]="N"
_portico_arguments[portico-flood\ --slo]="EXPR"
_portico_arguments[portico-flood\ --json]="FILE"
_portico_arguments[portico-flood\ --html]="FILE"
_portico_arguments[portico-flood\ --report]="FILE"
_portico_arguments[portico-flood\ --on]="EVENT=COMMAND"
_portico_arguments[portico-flood\ --config]="FILE"
_portico_arguments[portico-flood\ -c]="FILE"
_portico_arguments[portico-flood\ --parameter]="Key=value"
_portico_arguments[portico-flood\ -p]="Key=value"
_portico_arguments[portico-flood\ --context]="A,B"
_portico_arguments[portico-flood\ --help-config]="Section"
# }}} portico-flood

_portico_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }

_portico_files() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

# The argument that a flag wants.
_portico_argument() { # PROGRAM FLAG CUR
  case ${_portico_arguments[$1 $2]} in
    FILE) _portico_files -f "$3" ;;
    DIR) _portico_files -d "$3" ;;
    Key=value)
      compopt -o nospace
      mapfile -t COMPREPLY < <(compgen -W "${_portico_keys[$1]}" -S = -- "$3")
      ;;
    Section) _portico_words "${_portico_sections[$1]}" "$3" ;;
    *) [[ $2 == --handler ]] && _portico_words "$_portico_handlers" "$3" ;;
  esac
}

# The flag or key before a "=", which stands as a word of its own.
_portico_after_equals() { # PROGRAM BEFORE BEFORE_THAT CUR
  if [[ $2 == --* ]]; then
    _portico_argument "$1" "$2" "$4"
  elif [[ -n ${_portico_values[$2]:-} ]]; then
    _portico_words "${_portico_values[$2]}" "$4"
  else
    _portico_files -f "$4"
  fi
}

# The words so far that are neither flags nor their arguments.
_portico_plain() { # PROGRAM
  local i word
  plain=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == -* ]]; then
      [[ ${COMP_WORDS[i + 1]} == = || -z ${_portico_arguments[$1 $word]:-} ]] || ((i++))
      # Key=value is three words.
      while ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i + 1]} == = ]]; do ((i += 2)); done
    else
      plain+=("$word")
    fi
  done
}

_portico() {
  local program=${1##*/} cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} plain=()
  local flags=${_portico_flags[$program]}
  COMPREPLY=()
  if [[ $cur == = ]]; then
    _portico_after_equals "$program" "$before" '' ''
    return
  elif ((COMP_CWORD > 2)) && [[ $before == = ]]; then
    _portico_after_equals "$program" "${COMP_WORDS[COMP_CWORD - 2]}" '' "$cur"
    return
  elif [[ -n ${_portico_arguments[$program $before]:-} && ${_portico_arguments[$program $before]} != Section ]]; then
    _portico_argument "$program" "$before" "$cur"
    return
  fi
  _portico_plain "$program"
  if [[ $cur == -* ]]; then
    # After the command: its own flags and those of all.
    if [[ $program == portico && ${#plain[@]} -gt 0 ]]; then
      flags="${_portico_command_flags[${plain[0]}]:-} ${_portico_flags[portico-balancer]}"
    fi
    _portico_words "$flags" "$cur"
  elif ((${#plain[@]} == 0)); then
    _portico_words "${_portico_commands[$program]}" "$cur"
  elif [[ $program == portico-flood ]]; then
    [[ ${plain[0]} == compare ]] && _portico_files -f "$cur"
  elif ((${#plain[@]} == 1)) && [[ ${plain[0]} =~ ^(backup|verify|restore)$ ]]; then
    _portico_files -d "$cur"
  elif ((${#plain[@]} == 1)); then
    _portico_words "${_portico_verbs[${plain[0]}]:-}" "$cur"
  elif [[ ${plain[0]} == balancer && ${plain[1]} == show && ${#plain[@]} -eq 2 ]]; then
    _portico_words "$_portico_shown" "$cur"
  fi
  return 0
}

complete -F _portico portico portico-frontend portico-balancer portico-flood
