# shellcheck shell=bash
# Passes Grafana Cloud's addresses and credential from the environment to the playbook, in a file that only root can read.

CLOUD_NAMES=(METRICS_URL METRICS_USER LOGS_URL LOGS_USER OTLP_URL OTLP_USER TOKEN READ_TOKEN TRACES_URL TRACES_USER
    CA_FILE PROXY_URL GRAFANA_URL GRAFANA_TOKEN RULER_TOKEN)
CLOUD_FILE=""

# The variables that a collector needs; with `auto`, the play says what is missing for the one that it chooses.
cloud_required() {
    local name
    for name in METRICS_URL METRICS_USER TOKEN; do echo "$name"; done
    if [[ $1 == alloy ]]; then
        for name in LOGS_URL LOGS_USER OTLP_URL OTLP_USER; do echo "$name"; done
    fi
}

require_cloud_variables() {
    local name variable
    local -a missing=()
    GRAFANA_CLOUD_TOKEN=${GRAFANA_CLOUD_TOKEN:-${GRAFANA_CLOUD_API_KEY:-}}
    for name in $(cloud_required "$1"); do
        variable=GRAFANA_CLOUD_$name
        [[ -n ${!variable:-} ]] || missing+=("$variable")
    done
    if ((${#missing[@]})); then
        fail "--destination grafana_cloud needs these environment variables, which are empty or not set: ${missing[*]}." \
            "The pages of your stack in Grafana Cloud show them (Prometheus, Loki, OpenTelemetry: each has its own user id);" \
            "with sudo: sudo --preserve-env=GRAFANA_CLOUD_TOKEN,... $PROGRAM. Nothing was changed."
    fi
    if [[ -n ${GRAFANA_CLOUD_CA_FILE:-} ]]; then
        [[ -r $GRAFANA_CLOUD_CA_FILE ]] || fail "GRAFANA_CLOUD_CA_FILE is \`$GRAFANA_CLOUD_CA_FILE\`, which cannot be read. Nothing was changed."
        GRAFANA_CLOUD_CA_FILE=$(realpath -- "$GRAFANA_CLOUD_CA_FILE")
    fi
}

# A text as YAML has it between double quotes; control characters are left out, because none is meant.
yaml_string() {
    local text=${1//\\/\\\\}
    # Line breaks to YAML.
    text=${text//$'\u2028'/\\L}
    text=${text//$'\u2029'/\\P}
    text=${text//[[:cntrl:]]/}
    printf '"%s"' "${text//\"/\\\"}"
}

# Write them into a file for the play, and take them out of the environment of everything that is started from here on.
write_cloud_variables() {
    local name variable
    mkdir -p "$1"
    CLOUD_FILE=$(umask 077 && mktemp "$1/cloud-XXXXXX.yml")
    trap remove_cloud_variables EXIT
    for name in "${CLOUD_NAMES[@]}"; do
        variable=GRAFANA_CLOUD_$name
        if [[ -n ${!variable:-} ]]; then
            # Never a template, whatever is in it.
            printf 'grafana_cloud_%s: !unsafe %s\n' "${name,,}" "$(yaml_string "${!variable}")"
        fi
    done >"$CLOUD_FILE"
    unset GRAFANA_CLOUD_API_KEY
    for name in "${CLOUD_NAMES[@]}"; do unset "GRAFANA_CLOUD_$name"; done
    PLAY_ARGUMENTS+=(-e "@$CLOUD_FILE")
}

# What a run that was killed left: a file with the credential among it. The lock says that no other run is at work.
remove_leftovers() {
    rm -f -- "$1"/cloud-* "$1"/web-password "$1"/sandbox-inventory.json
}

remove_cloud_variables() {
    if [[ -n $CLOUD_FILE ]]; then rm -f -- "$CLOUD_FILE"; fi
}
