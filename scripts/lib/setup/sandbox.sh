# shellcheck shell=bash
# The same installation in a throwaway systemd host (scripts/sandbox), with its ports on this machine's loopback.

SANDBOX_NAME=hypertool
SANDBOX_RELEASE=trixie
SANDBOX_PYTHON=3.13
SANDBOX_PORTS=(9090 9093 9464)

sandbox() {
    "$PYTHON" "$TOP/scripts/sandbox" "$@"
}

# Which of the host's ports to publish here.
sandbox_ports() {
    if [[ $DESTINATION == grafana_cloud ]]; then SANDBOX_PORTS=(9464); fi
    if [[ -n $ALLOY_PACKAGE || $COLLECTOR == alloy ]]; then SANDBOX_PORTS+=(12345); fi
}

sandbox_up() {
    PYTHON=$(find_python)
    sandbox up "$SANDBOX_NAME" --release "$SANDBOX_RELEASE" --publish "${SANDBOX_PORTS[@]}"
}

# The password of the host's web services, for the checks from outside; a host without them has none.
sandbox_password() {
    (umask 077 && sandbox exec "$SANDBOX_NAME" -- cat /etc/hypertool/secrets/web_password >"$CACHE/tmp/web-password" 2>/dev/null) ||
        rm -f -- "$CACHE/tmp/web-password"
}

sandbox_play() {
    local inventory="$CACHE/tmp/sandbox-inventory.json"
    mkdir -p "$CACHE/tmp"
    (umask 077 && sandbox inventory "$SANDBOX_NAME" >"$inventory")
    play "$1" -i "$inventory" "${PLAY_ARGUMENTS[@]}" "${@:2}"
}

sandbox_install() {
    next_step "Then run the same command again: it goes on from where it stopped. To remove the sandbox: $PROGRAM --sandbox --down"
    step packages "Checking for Python and SSH on this machine" bootstrap_packages "$CACHE/sandbox-packages" ssh
    PYTHON=$(find_python)
    sandbox_ports
    # Make the host and the wheels for it at the same time.
    start host "Making a throwaway Debian host" sandbox_up
    start controller "Preparing Ansible and the package" make_ansible_and_wheels "$SANDBOX_PYTHON" "$(uname -m)"
    finish host
    finish controller
    # The checks below look at the targets themselves, while the baseline runs.
    step play "Installing the stack in the host (site.yml over SSH)" sandbox_play site.yml -e host_targets_timeout=0
    show_messages "${STEP_LOG[play]}"
    if sandbox exec "$SANDBOX_NAME" -- test -d /usr/share/grafana 2>/dev/null; then
        SANDBOX_PORTS+=(3000)
        step publish "Publishing Grafana" sandbox_up
    fi
    sandbox_password
    # shellcheck disable=SC2046  # one word or none
    step verify "Running the baseline and checking it from outside" "$PYTHON" "$TOP/scripts/lib/setup/verify_host.py" $(verify_arguments) \
        --password-file "$CACHE/tmp/web-password" -- "$PYTHON" "$TOP/scripts/sandbox" exec "$SANDBOX_NAME" -- hypertool baseline
    rm -f -- "$CACHE/tmp/web-password"
    sed 's/^/    /' "${STEP_LOG[verify]}"
    show_addresses
    cat <<TEXT

A command in the host:     python3 scripts/sandbox exec $SANDBOX_NAME -- hypertool status
Remove all of it:          sudo $PROGRAM --sandbox --down
TEXT
}

# Remove everything; --keep-cache keeps the downloads.
sandbox_remove() {
    local -a extra=()
    local kept="The downloads stay in $CACHE for the next time."
    next_step "Then run the same command again."
    PYTHON=$(find_python) || fail "no Python with venv found; install python3-venv to remove the sandbox"
    step down "Removing the sandbox" sandbox down "$SANDBOX_NAME"
    rm -rf -- "$CACHE/tmp"
    if ! $KEEP_CACHE && [[ -n $(sandbox list) ]]; then
        kept="Other hosts of scripts/sandbox are up, so their engine and the downloads stay."
    elif ! $KEEP_CACHE; then
        mapfile -t extra < <(sandbox packages)
        step cache "Removing the downloads" sandbox down --all --purge-cache
        rm -rf -- "$CACHE/ansible" "$CACHE/wheels" "$CACHE/wheelhouse"
        kept="Nothing is left of it."
    fi
    if [[ -s $CACHE/sandbox-packages ]]; then mapfile -t -O ${#extra[@]} extra < <(sort -u "$CACHE/sandbox-packages"); fi
    if ((${#extra[@]})) && pgrep -x dockerd >/dev/null; then
        kept+=" These packages were installed for it and stay, because a Docker Engine runs: ${extra[*]}"
    elif ((${#extra[@]})) && command -v apt-get >/dev/null; then
        step packages "Removing the packages that were added for it" \
            env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=180 --assume-yes purge "${extra[@]}"
    fi
    rm -f -- "$CACHE/sandbox-packages"
    if ! $KEEP_CACHE; then
        rm -rf -- "$CACHE/logs" "$CACHE/.setup.lock" "$CACHE/.steps"
        if [[ -d $CACHE ]]; then rmdir --ignore-fail-on-non-empty -- "$CACHE"; fi
        # shellcheck disable=SC2034  # ui.sh writes to it
        LOG=""
    fi
    say "The sandbox is gone. $kept"
}
