# shellcheck shell=bash
# Checks of this machine (user, operating system, init), and the few packages that the controller needs.

SUPPORTED_TEXT="Debian 12 and 13 (run by the tests), Ubuntu 22.04 and 24.04, the RHEL 9 family, Fedora 41 to 43 (not run)"
OS_RELEASE=${HYPERTOOL_OS_RELEASE:-/etc/os-release}

# One value of os-release, read as text: the file is never executed, and any field may be missing.
os_field() {
    local line value=""
    [[ -r $OS_RELEASE ]] || return 0
    while IFS= read -r line || [[ -n $line ]]; do
        if [[ $line == "$1="* ]]; then value=${line#*=}; fi
    done <"$OS_RELEASE"
    value=${value%$'\r'}
    value=${value#[\"\']}
    printf '%s' "${value%[\"\']}"
}

# `run`, `not run` or `none`, as in ansible/README.md.
os_support() {
    local id=$1 version=$2
    case "$id:$version" in
        debian:12 | debian:12.* | debian:13 | debian:13.*) echo "run" ;;
        ubuntu:22.04 | ubuntu:24.04) echo "not run" ;;
        rhel:9 | rhel:9.* | rocky:9 | rocky:9.* | almalinux:9 | almalinux:9.* | centos:9 | ol:9 | ol:9.*) echo "not run" ;;
        fedora:41 | fedora:42 | fedora:43) echo "not run" ;;
        *) echo "none" ;;
    esac
}

require_supported_os() {
    local id version name support
    id=$(os_field ID)
    version=$(os_field VERSION_ID)
    name=$(os_field PRETTY_NAME)
    support=$(os_support "$id" "$version")
    if [[ $support == none ]]; then
        fail "this host is ${name:-an unknown system} (ID=${id:-missing}, VERSION_ID=${version:-missing} in $OS_RELEASE)." \
            "Supported are $SUPPORTED_TEXT. On any machine with Docker or apt, $PROGRAM --sandbox works. Nothing was changed."
    fi
    if [[ $support == "not run" ]]; then
        say "NOT TESTED: the support for ${name:-$id $version} follows its documentation and has never run; please report what you find"
    fi
}

require_root() {
    if ((EUID != 0)); then
        fail "this needs root (it is run as $(id -un)): sudo $PROGRAM $*"
    fi
}

require_systemd() {
    local init
    init=$(cat /proc/1/comm 2>/dev/null || echo unknown)
    if [[ $init != systemd || ! -d /run/systemd/system ]]; then
        fail "process 1 of this host is \`$init\`, not systemd, so no service can be installed." \
            "$PROGRAM --sandbox does the same in a throwaway host that has it. Nothing was changed."
    fi
}

# A Python that can make virtual environments and run the pinned ansible-core: for 3.10 that is one without fixes by now, so
# it is taken only where there is nothing newer.
find_python() {
    local oldest candidate
    for oldest in "3, 11" "3, 10"; do
        for candidate in /usr/bin/python3{,.14,.13,.12,.11} /usr/local/bin/python3; do
            if [[ -x $candidate ]] && "$candidate" -c "import sys, venv, ensurepip; sys.exit(sys.version_info < ($oldest))" 2>/dev/null; then
                printf '%s' "$candidate"
                return 0
            fi
        done
    done
    return 1
}

# bootstrap_packages RECORD [ssh]: install the controller's packages; RECORD first gets the names of the new ones.
bootstrap_packages() {
    local record=$1 plan
    local -a wanted=() update=(apt-get -o DPkg::Lock::Timeout=180 update)
    local -a install=(apt-get -o DPkg::Lock::Timeout=180 --assume-yes --no-install-recommends install)
    find_python >/dev/null || wanted+=(python3-venv)
    if [[ ${2:-} == ssh ]] && ! { command -v ssh && command -v ssh-keygen; } >/dev/null; then wanted+=(openssh-client); fi
    ((${#wanted[@]})) || return 0
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none LC_ALL=C
    mkdir -p "$(dirname "$record")"
    if command -v apt-get >/dev/null; then
        if ! plan=$(apt-get --simulate --no-install-recommends install "${wanted[@]}" 2>&1); then
            # A broken repository of another vendor stops nothing; only a missing package does.
            "${update[@]}" || echo "apt-get update does not read every repository of this host; going on"
            plan=$(apt-get --simulate --no-install-recommends install "${wanted[@]}")
        fi
        sed -nE 's/^Inst ([^ ]+) \(.*/\1/p' <<<"$plan" >>"$record"
        # Retry with fresh lists: old lists name files that the mirror no longer has.
        "${install[@]}" "${wanted[@]}" || { "${update[@]}" || true; "${install[@]}" "${wanted[@]}"; }
    elif command -v dnf >/dev/null; then
        wanted=("${wanted[@]/python3-venv/python3.12}")
        wanted=("${wanted[@]/openssh-client/openssh-clients}")
        rpm -q "${wanted[@]}" | sed -nE 's/^package (.*) is not installed$/\1/p' >>"$record"
        dnf --assumeyes install "${wanted[@]}"
    else
        echo "missing: ${wanted[*]}; install them (this script can use apt-get or dnf, and found neither)" >&2
        return 1
    fi
}
