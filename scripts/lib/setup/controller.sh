# shellcheck shell=bash
# The controller's side: a virtual environment with the pinned Ansible, cached by its contents, and the playbooks.

# Digest of the inputs of the environment.
ansible_key() {
    { cat "$TOP/requirements/ansible.txt"; "$1" -VV; } | sha256sum | cut -c 1-16
}

ansible_home() {
    printf '%s/ansible/%s' "$CACHE" "$(ansible_key "$PYTHON")"
}

# Complete or absent: an interrupted build is made again.
make_ansible() {
    local home
    home=$(ansible_home)
    mkdir -p "$CACHE/ansible"
    (
        flock 9
        if [[ -e $home/.complete ]] && "$home/bin/python" -c 'import ansible' 2>/dev/null; then
            echo "found in the cache: $home"
            exit 0
        fi
        rm -rf -- "$home"
        echo "creating a virtual environment"
        "$PYTHON" -m venv "$home"
        echo "installing the pinned Ansible"
        "$home/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary=:all: \
            --requirement "$TOP/requirements/ansible.txt" || {
            echo "Does this machine reach its Python package index? (\`pip config list\` shows which; a proxy goes into HTTPS_PROXY)"
            exit 1
        }
        touch "$home/.complete"
        find "$CACHE/ansible" -mindepth 1 -maxdepth 1 -type d ! -path "$home" -mtime +30 -exec rm -rf -- {} +
    ) 9>"$CACHE/ansible/.lock"
}

# make_wheels PYTHON_VERSION ARCHITECTURE: fill the cache while other steps run; the play finds the wheels there.
make_wheels() {
    "$(ansible_home)/bin/python" "$TOP/ansible/roles/hypertool/files/wheelhouse.py" \
        --source "$TOP" --cache "$CACHE" --python "$1" --arch "$2"
}

make_ansible_and_wheels() {
    make_ansible
    make_wheels "$@"
}

# play PLAYBOOK ARGUMENTS...
play() {
    local playbook=$1 home
    shift
    home=$(ansible_home)
    export ANSIBLE_CONFIG="$TOP/ansible/ansible.cfg" ANSIBLE_NOCOLOR=1 ANSIBLE_FORCE_COLOR=0 LC_ALL=C.UTF-8
    export HYPERTOOL_CACHE_DIR="$CACHE" PYTHONDONTWRITEBYTECODE=1
    # Keep Ansible out of the home folder. Sockets need a short path, so a long cache path gets another folder.
    export ANSIBLE_HOME="$CACHE/tmp/ansible"
    if ((${#CACHE} > 50)); then
        ANSIBLE_SSH_CONTROL_PATH_DIR=$(mktemp -d)
        export ANSIBLE_SSH_CONTROL_PATH_DIR
    fi
    "$home/bin/ansible-playbook" "$TOP/ansible/$playbook" "$@"
}

# The messages of a play, taken from its output.
show_messages() {
    sed -nE 's/^ *"?msg"?: *"?(.*)$/\1/p' "$1" | sed -E 's/"$//; s/\\n/ /g; s/\\"/"/g; s/^ +//' | while IFS= read -r line; do say "  $line"; done
}
