#!/usr/bin/env bash
# Builds the images of the Compose profile `minimal` from the distribution's packages, where no image registry answers.
set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RELEASE=trixie
# The Debian packages of each image; our own package is copied in.
declare -A PACKAGES=(
    [prometheus]="prometheus,promtool"
    [alertmanager]="prometheus-alertmanager"
    [hypertool]="python3,python3-prometheus-client,ca-certificates"
)

say() { printf '==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

help() {
    cat <<TEXT
Usage: sudo $0 [--docker "COMMAND"] [--remove]

Builds hypertool/prometheus:local, hypertool/alertmanager:local and hypertool/hypertool:local from Debian $RELEASE's
packages (the mirror is this machine's own), loads them into the Docker Engine, and has compose/ use them
(compose.override.yaml). Then, in compose/:

    docker compose --profile minimal up --wait

  --docker "COMMAND"   the command of the engine's client (default: docker)
  --remove             remove these images again
  --help               print this

Needs root, a Docker Engine, and apt-get (installs mmdebstrap if it is missing).
TEXT
}

docker=(docker)
remove=false
while (($#)); do
    case $1 in
        --docker)
            (($# > 1)) || fail "--docker needs the command, such as \"docker --host unix:///run/docker.sock\""
            read -ra docker <<<"$2"
            shift
            ;;
        --remove) remove=true ;;
        --help | -h)
            help
            exit 0
            ;;
        *) fail "unknown argument \`$1\` (see --help)" ;;
    esac
    shift
done

((EUID == 0)) || fail "this needs root (it is run as $(id -un)): sudo $0"
"${docker[@]}" version --format '{{.Server.Version}}' >/dev/null 2>&1 \
    || fail "no Docker Engine answers to \`${docker[*]} version\`; start it, or name its client command with --docker"
if $remove; then
    for name in "${!PACKAGES[@]}"; do "${docker[@]}" image rm --force "hypertool/$name:local" >/dev/null 2>&1 || true; done
    if [[ -L $TOP/compose/compose.override.yaml ]]; then rm -- "$TOP/compose/compose.override.yaml"; fi
    say "The local images are removed"
    exit 0
fi
if ! command -v mmdebstrap >/dev/null; then
    command -v apt-get >/dev/null || fail "found neither mmdebstrap nor apt-get; install mmdebstrap"
    say "Installing mmdebstrap"
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends mmdebstrap debian-archive-keyring >/dev/null
fi

WORK=$(mktemp -d)
trap 'rm -rf -- "$WORK"' EXIT
chmod 755 "$WORK"
# The mirror and the transport settings are those the machine's own apt uses, as for the sandbox.
mapfile -t sources < <(PYTHONPATH="$TOP/scripts/sandbox" PYTHONDONTWRITEBYTECODE=1 python3 -c \
    'import sys; from sandbox import sources; print(*sources.lines(sys.argv[1]), sep="\n")' "$RELEASE")
PYTHONPATH="$TOP/scripts/sandbox" PYTHONDONTWRITEBYTECODE=1 python3 -c \
    'from sandbox import sources; print(sources.apt_configuration(), end="")' >"$WORK/apt.conf"

# build NAME HOOK: the root file system of one image, as a tar file.
build() {
    say "Building hypertool/$1:local (${PACKAGES[$1]})"
    if ! mmdebstrap --quiet --format=tar --variant=minbase --include="${PACKAGES[$1]}" --aptopt="$WORK/apt.conf" \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="$2" "$RELEASE" "$WORK/$1.tar" ${sources[@]+"${sources[@]}"} >"$WORK/$1.log" 2>&1; then
        tail -n 15 "$WORK/$1.log" >&2
        fail "mmdebstrap could not make hypertool/$1:local (its last lines are above)"
    fi
}

# load NAME CHANGE...: into the engine, with what a Dockerfile would say.
load() {
    local name=$1 change
    local -a changes=()
    shift
    for change in "$@"; do changes+=(--change "$change"); done
    "${docker[@]}" import "${changes[@]}" "$WORK/$name.tar" "hypertool/$name:local" >/dev/null
    rm -f -- "$WORK/$name.tar"
}

# The same paths and users as in the maintainers' images, so that compose.yaml needs no difference.
# shellcheck disable=SC2016  # $1 is mmdebstrap's root folder
build prometheus 'install --directory --owner=65534 --group=65534 --mode=0755 "$1/prometheus"'
load prometheus 'ENTRYPOINT ["/bin/prometheus"]' 'USER 65534:65534'
# shellcheck disable=SC2016
build alertmanager 'install --directory --owner=65534 --group=65534 --mode=0755 "$1/alertmanager" &&
    ln -s prometheus-alertmanager "$1/usr/bin/alertmanager"'
load alertmanager 'ENTRYPOINT ["/bin/alertmanager"]' 'USER 65534:65534'
export HYPERTOOL_SOURCE=$TOP
# shellcheck disable=SC2016
build hypertool 'set -e
    mkdir -p "$1/opt/hypertool"
    cp -R "$HYPERTOOL_SOURCE/instrumentation/hypertool" "$1/opt/hypertool/hypertool"
    find "$1/opt/hypertool" -name __pycache__ -prune -exec rm -rf {} +
    chmod -R go=rX "$1/opt/hypertool"
    install --mode=0755 "$HYPERTOOL_SOURCE/compose/hypertool" "$1/usr/local/bin/hypertool"
    chroot "$1" groupadd --gid 10464 hypertool
    chroot "$1" useradd --uid 10464 --gid 10464 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hypertool
    cd "$1/var/lib"
    install --directory --owner=0 --group=10464 --mode=2750 hypertool
    install --directory --owner=10464 --group=10464 --mode=3770 hypertool/live hypertool/requests
    install --directory --owner=10464 --group=10464 --mode=2750 hypertool/shared
    install --directory --owner=10464 --group=10464 --mode=0700 hypertool/service'
load hypertool 'ENV PYTHONPATH=/opt/hypertool PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1' 'USER 10464:10464' 'CMD ["hypertool", "exporter"]'

if [[ -e $TOP/compose/compose.override.yaml && ! -L $TOP/compose/compose.override.yaml ]]; then
    fail "the images are there, but compose/compose.override.yaml is a file of yours: add local-images.yaml with --file"
fi
ln -sfn local-images.yaml "$TOP/compose/compose.override.yaml"
say "Done. In $TOP/compose: docker compose --profile minimal up --wait"
