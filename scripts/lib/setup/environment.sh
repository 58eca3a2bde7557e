# shellcheck shell=bash
# What the environment may decide: a closed list of variables. Others change what bash, tar, grep, pip or Ansible do.

KEPT_VARIABLES=(COLUMNS HOME LOGNAME PATH SHELL SSH_AUTH_SOCK SSL_CERT_DIR SSL_CERT_FILE SUDO_GID SUDO_UID SUDO_USER
    TERM TMPDIR TZ USER XDG_CACHE_HOME
    ALL_PROXY HTTPS_PROXY HTTP_PROXY NO_PROXY all_proxy https_proxy http_proxy no_proxy
    DOCKER_CERT_PATH DOCKER_CONTEXT DOCKER_HOST DOCKER_TLS_VERIFY
    PIP_CERT PIP_CLIENT_CERT PIP_CONFIG_FILE PIP_DEFAULT_TIMEOUT PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_INDEX_URL
    PIP_NO_INDEX PIP_PROXY PIP_RETRIES PIP_TRUSTED_HOST)

# Functions of the caller (BASH_FUNC_name%%) are no variables to bash, but programs that it starts would take them over:
# start again without them. Only names are in the arguments, never a value.
drop_functions() {
    local entry
    local -a without=()
    while IFS= read -r -d '' entry; do
        if [[ ! ${entry%%=*} =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then without+=(-u "${entry%%=*}"); fi
    done < <(env -0)
    if ((${#without[@]})); then exec env "${without[@]}" /bin/bash -p "$@"; fi
}

# Take everything else out of the environment of this script and of what it starts.
clean_environment() {
    local name
    local -A kept=()
    set +o posix
    for name in "${KEPT_VARIABLES[@]}"; do kept[$name]=1; done
    while IFS= read -r name; do
        if [[ -n ${kept[$name]:-} || $name == HYPERTOOL_* || $name == GRAFANA_CLOUD_* ]]; then continue; fi
        # Bash's own (SHELLOPTS, BASHOPTS, UID, ...) cannot be unset; they are not passed on.
        if [[ ${!name@a} == *r* ]]; then export -n "${name?}"; else unset -v "$name"; fi
    done < <(compgen -e)
    export LC_ALL=C.UTF-8
    # Root runs no program from a folder that others may write.
    PATH=$(trusted_path "$PATH")
    export PATH
}

# The absolute folders of a path; empty entries and relative ones mean the working directory.
trusted_path() {
    local folder
    local -a folders=() good=()
    IFS=: read -r -a folders <<<"$1"
    for folder in "${folders[@]}"; do
        if [[ $folder == /* ]]; then good+=("$folder"); fi
    done
    if ((${#good[@]} == 0)); then good=(/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin); fi
    (IFS=: && printf '%s' "${good[*]}")
}
