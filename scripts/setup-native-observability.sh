#!/bin/bash -p
# Installs the observability stack on this host (or in a throwaway one) with the playbook, verifies it, says where to look.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
set +o posix
unset -v CDPATH

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PROGRAM=$0
# shellcheck source=lib/setup/environment.sh
source "$TOP/scripts/lib/setup/environment.sh"
if [[ -n ${BASH_SOURCE[0]:-} ]]; then drop_functions "${BASH_SOURCE[0]}" "$@"; fi
clean_environment
CACHE=${HYPERTOOL_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hypertool-observability}
# shellcheck source=lib/setup/ui.sh
source "$TOP/scripts/lib/setup/ui.sh"
# shellcheck source=lib/setup/host.sh
source "$TOP/scripts/lib/setup/host.sh"
# shellcheck source=lib/setup/controller.sh
source "$TOP/scripts/lib/setup/controller.sh"
# shellcheck source=lib/setup/cloud.sh
source "$TOP/scripts/lib/setup/cloud.sh"
# shellcheck source=lib/setup/sandbox.sh
source "$TOP/scripts/lib/setup/sandbox.sh"

DESTINATION=local COLLECTOR=auto MODE=install
SANDBOX=false DOWN=false KEEP_CACHE=false PURGE=false YES=false TAKE_OVER=false ALLOY_PACKAGE=""
PLAY_ARGUMENTS=()
PYTHON=""

help() {
    cat <<TEXT
Usage: sudo $PROGRAM [OPTION]...

Installs the metrics of personas (localhost:9464), Prometheus, Alertmanager, a node exporter and, where its package
repository answers, Grafana on this host; everything listens on loopback only. Then runs a baseline workflow and checks
that its figures arrive in Prometheus. No account is needed. You can run it again at any time.

  --destination WHERE   local (default): Prometheus on this host
                        grafana_cloud: metrics, traces and logs to Grafana Cloud; this host keeps only a buffer;
                        needs the variables below
  --collector WHICH     alloy: Grafana Alloy, from its package repository or --alloy-package
                        prometheus: the distribution's package; sends only metrics to grafana_cloud
                        auto (default): alloy if its package is available, else prometheus
  --alloy-package FILE  a .deb or .rpm of Alloy to install instead of the repository's
  --check               say what would be changed, change nothing (but install Python's venv if it is missing)
  --uninstall           remove everything that was installed; data stays
  --purge-data          with --uninstall: delete the data as well
  --take-over           run services that this host already has (Prometheus, ...) with our configuration until
                        --uninstall restores them; without it the installation stops and leaves them alone
  --sandbox             install in a throwaway systemd host (a container), with its ports on this machine's loopback
  --down                with --sandbox: remove that host and everything downloaded or installed for it
  --keep-cache          with --down: keep the downloads, so that the next sandbox starts in a minute
  --yes                 do not ask before changing this host
  --version             print the version of the package
  --help                print this

Grafana Cloud is configured by environment variables, never by arguments: GRAFANA_CLOUD_TOKEN (or GRAFANA_CLOUD_API_KEY; scopes
metrics:write, logs:write, traces:write), GRAFANA_CLOUD_METRICS_URL and _METRICS_USER, _LOGS_URL and _LOGS_USER, _OTLP_URL and
_OTLP_USER (the last four for alloy only). Optional: GRAFANA_CLOUD_READ_TOKEN reads back what was sent, with _TRACES_URL and
_TRACES_USER also the span; _CA_FILE; _PROXY_URL. The services check them before the play changes anything.
_GRAFANA_URL and _GRAFANA_TOKEN (of a service account, role Editor) put the dashboards into that Grafana, and _RULER_TOKEN
(rules:read, rules:write) the rules into the Mimir of the metrics.

Exit codes: 0 done, 1 failed or not possible (with the reason), 2 wrong command line, 130 interrupted.
More: $TOP/ansible/README.md
TEXT
}

# one_of OPTION VALUE CHOICE...
one_of() {
    local option=$1 value=$2 choice
    shift 2
    for choice in "$@"; do
        if [[ $value == "$choice" ]]; then return 0; fi
    done
    usage_error "$option \`$value\`: expected one of: $*"
}

parse() {
    local option value
    while (($#)); do
        option=$1
        value=""
        shift
        case $option in
            --destination=* | --collector=* | --alloy-package=*)
                value=${option#*=}
                option=${option%%=*}
                ;;
            --destination | --collector | --alloy-package)
                (($#)) || usage_error "$option needs a value"
                value=$1
                shift
                ;;
        esac
        case $option in
            --destination) one_of "$option" "$value" local grafana_cloud && DESTINATION=$value ;;
            --collector) one_of "$option" "$value" auto alloy prometheus && COLLECTOR=$value ;;
            --alloy-package)
                [[ -f $value ]] || usage_error "$option \`$value\`: expected a package file (.deb or .rpm)"
                ALLOY_PACKAGE=$(realpath -- "$value")
                ;;
            --check) CHECK=true ;;
            --uninstall) MODE=uninstall ;;
            --purge-data) PURGE=true ;;
            --take-over) TAKE_OVER=true ;;
            --sandbox) SANDBOX=true ;;
            --down) DOWN=true ;;
            --keep-cache) KEEP_CACHE=true ;;
            --yes) YES=true ;;
            --version)
                sed -nE 's/^__version__ = "(.*)"$/\1/p' "$TOP/instrumentation/hypertool/runtime/version.py"
                exit 0
                ;;
            --help | -h)
                help
                exit 0
                ;;
            -*) usage_error "unknown option \`$option\`" ;;
            *) usage_error "unexpected \`$option\`: there are only options, no arguments" ;;
        esac
    done
    if $PURGE && [[ $MODE != uninstall ]]; then usage_error "--purge-data goes with --uninstall"; fi
    if $DOWN && ! $SANDBOX; then usage_error "--down goes with --sandbox"; fi
    if $KEEP_CACHE && ! $DOWN; then usage_error "--keep-cache goes with --sandbox --down"; fi
    if $SANDBOX && { $CHECK || [[ $MODE == uninstall ]]; }; then
        usage_error "--check and --uninstall are for this host; a sandbox is removed with --sandbox --down"
    fi
    if [[ -n $ALLOY_PACKAGE && $COLLECTOR == prometheus ]]; then usage_error "--alloy-package does not go with --collector prometheus"; fi
    PLAY_ARGUMENTS=(-e "hypertool_destination=$DESTINATION" -e "hypertool_collector=$COLLECTOR"
        -e "{\"hypertool_take_over\": $TAKE_OVER, \"hypertool_purge_data\": $PURGE}")
    if [[ -n $ALLOY_PACKAGE ]]; then PLAY_ARGUMENTS+=(-e "{alloy_package_file: !unsafe $(yaml_string "$ALLOY_PACKAGE")}"); fi
}

confirm() {
    local answer
    if $YES || $CHECK; then return 0; fi
    [[ -t 0 ]] || usage_error "this changes the host and cannot ask for confirmation here: add --yes (or --check to see what would change)"
    read -r -p "$1 [y/N] " answer
    [[ $answer == [yY]* ]] || fail "Nothing was changed."
}

show_addresses() {
    printf '\nMetrics of every run:      http://localhost:9464/metrics\n'
    if [[ $DESTINATION == grafana_cloud ]]; then
        echo "Everything else:           your stack in Grafana Cloud"
    else
        echo "Overview:                  http://localhost:9090/user/overview.html (the dashboards, without Grafana)"
        echo "Runbook:                   http://localhost:9090/user/runbook.html"
        # Debian's Prometheus 3 has no pages of its own.
        if [[ -d /usr/share/prometheus/web/templates || ${#SANDBOX_PORTS[@]} -gt 0 ]]; then
            echo "Prometheus:                http://localhost:9090/classic/graph (also /classic/alerts, /classic/targets)"
        fi
        echo "Alertmanager:              http://localhost:9093/api/v2/alerts (the distribution's package has no pages)"
        echo "Both ask for:              user hypertool, password in /etc/hypertool/secrets/web_password"
    fi
    if [[ -d /etc/alloy/hypertool || " ${SANDBOX_PORTS[*]} " == *" 12345 "* ]]; then
        echo "Alloy:                     http://localhost:12345 (components and their health)"
        echo "It asks for:               user hypertool, password in /etc/hypertool/secrets/web_password"
    fi
    if [[ -d /usr/share/grafana || " ${SANDBOX_PORTS[*]} " == *" 3000 "* ]]; then
        echo "Grafana:                   http://localhost:3000 (user admin, password in /etc/hypertool/grafana/admin_password)"
    fi
}

# Arguments for the checks after the play, which itself has verified the delivery to Grafana Cloud.
verify_arguments() {
    if [[ $DESTINATION == grafana_cloud ]]; then echo --exporter-only; fi
}

native_play() {
    local -a arguments=(-i "localhost," -c local -e ansible_python_interpreter=/usr/bin/python3 "${PLAY_ARGUMENTS[@]}")
    if $CHECK; then arguments+=(--check --diff); fi
    play "$1" "${arguments[@]}"
}

require_usable_host() {
    require_supported_os
    require_systemd
}

native_prepare() {
    step packages "Checking for Python on this host" bootstrap_packages /var/lib/hypertool-install/bootstrap-packages
    PYTHON=$(find_python)
    step ansible "Preparing Ansible" make_ansible
}

native_install() {
    require_usable_host
    if $CHECK; then
        native_prepare
        step play "Checking what would change (site.yml in check mode)" native_play site.yml
        sed -n '/^PLAY \[/,$ p' "${STEP_LOG[play]}"
        say "Nothing was changed. To install: sudo $PROGRAM"
        return
    fi
    confirm "Install the observability stack on $(uname -n)?"
    native_prepare
    step play "Installing the stack (site.yml)" native_play site.yml
    show_messages "${STEP_LOG[play]}"
    # shellcheck disable=SC2046  # one word or none
    step verify "Running the baseline and checking it" \
        "$PYTHON" "$TOP/scripts/lib/setup/verify_host.py" $(verify_arguments) -- /usr/local/bin/hypertool baseline
    sed 's/^/    /' "${STEP_LOG[verify]}"
    show_addresses
    printf '\nAgents of user NAME:       sudo usermod -aG hypertool NAME (then log in again)\nUninstall:                 sudo %s --uninstall\n' "$PROGRAM"
}

native_uninstall() {
    require_usable_host
    confirm "Remove the observability stack from $(uname -n)$($PURGE && echo ', with its data')?"
    native_prepare
    step play "Removing the stack (uninstall.yml)" native_play uninstall.yml
    if $CHECK; then
        sed -n '/^PLAY \[/,$ p' "${STEP_LOG[play]}"
        return
    fi
    show_messages "${STEP_LOG[play]}"
    # `--sandbox --down` deletes the sandbox's own part of the cache.
    rm -rf -- "$CACHE/ansible" "$CACHE/wheels" "$CACHE/wheelhouse" "$CACHE/tmp" "$CACHE/logs" "$CACHE/.setup.lock" "$CACHE/.steps"
    rmdir --ignore-fail-on-non-empty -- "$CACHE"
    if [[ -z ${HYPERTOOL_CACHE_DIR:-} && ! -e $CACHE ]]; then rmdir --ignore-fail-on-non-empty -- "$(dirname "$CACHE")"; fi
    LOG=""
    say "Removed, with the caches and logs of this script."
}

main() {
    CHECK=false
    parse "$@"
    require_root "$@"
    if [[ $DESTINATION == grafana_cloud && $MODE == install ]] && ! $DOWN; then require_cloud_variables "$COLLECTOR"; fi
    set -m
    trap interrupted INT TERM
    umask 022
    only_one "$CACHE"
    remove_leftovers "$CACHE/tmp"
    open_log "$CACHE/logs"
    if [[ $DESTINATION == grafana_cloud && $MODE == install ]] && ! $DOWN; then write_cloud_variables "$CACHE/tmp"; fi
    if $SANDBOX && $DOWN; then
        sandbox_remove
    elif $SANDBOX; then
        sandbox_install
    elif [[ $MODE == uninstall ]]; then
        native_uninstall
    else
        native_install
    fi
    if [[ -n $LOG ]]; then rm -f -- "$LOG".*; fi
}

main "$@"
