#!/usr/bin/env bash
# Runs every test of the project on this machine, installing what they need first.
#   scripts/test.sh                    everything but the benchmarks
#   scripts/test.sh tests/unit -k gate what is named (arguments go to pytest)
#   scripts/test.sh --benchmarks       the benchmarks, with their tables
#   scripts/test.sh --install          only install what the tests need
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Debian packages: the command that shows a package is there, and the package.
declare -A needed=(
  [debootstrap]=debootstrap [curl]=curl [ss]=iproute2 [ssh]=openssh-client [git]=git [node]=nodejs [npm]=npm
)

install_packages() {
  local missing=() command
  for command in "${!needed[@]}"; do
    command -v "$command" >/dev/null 2>&1 || missing+=("${needed[$command]}")
  done
  "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    say "not installed: ${missing[*]} (needs root and apt-get); the tests that need them are skipped and say so"
    return
  fi
  say "installing Debian packages: ${missing[*]}"
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
}

# stamp FILE VALUE: whether FILE of .venv already holds VALUE.
stamp() { [ "$(cat ".venv/$1" 2>/dev/null)" = "$2" ]; }

install_python_packages() {
  local pip=(.venv/bin/python -m pip install -q --disable-pip-version-check) wanted project
  wanted="$(sha256sum requirements/test.txt | cut -d' ' -f1) $("$python" -c 'import sys; print(sys.version)' | tr '\n' ' ')"
  if ! stamp .made-for "$wanted"; then
    say "installing the pinned Python packages of the tests into .venv (about a minute)"
    "$python" -m venv --clear .venv
    "${pip[@]}" --require-hashes -r requirements/test.txt
    printf '%s' "$wanted" >.venv/.made-for
  fi
  project=$(sha256sum pyproject.toml | cut -d' ' -f1)
  if ! stamp .installed-for "$project"; then
    # The package itself, from this tree: imports and the two commands, as `pip install -e` makes them.
    "${pip[@]}" --no-deps --no-build-isolation -e .
    printf '%s' "$project" >.venv/.installed-for
  fi
}

python=$(command -v python3) || die "python3 is not on the PATH; install Python 3.10 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
  || die "$python is $("$python" --version), but 3.10 or newer is needed"

install_packages
install_python_packages
if [ "${1:-}" = "--install" ]; then exit; fi

export PATH="$PWD/.venv/bin:$PATH"
if [ "${1:-}" = "--benchmarks" ]; then
  shift
  named=(tests/benchmarks)
  for argument in "$@"; do [[ "$argument" == tests/* ]] && named=(); done
  exec python -m pytest "${named[@]}" -m benchmark -s "$@"
fi

# Everything. Tests on hosts and of outages wait more than they compute, so they run beside the others; those that compare
# this whole machine before and after have it to themselves, last.
beside=(tests/hosts tests/compose tests/alloy_hosts "tests/roles tests/agent tests/cloud")
alone=(tests/setup tests/sandbox)

run() {
  say "pytest $*"
  exec python -m pytest -m "not benchmark" --durations=15 "$@"
}

if [ $# -gt 0 ]; then run "$@"; fi

logs=$(mktemp -d)
running=()
trap 'kill "${running[@]}" 2>/dev/null || true; rm -rf "$logs"' EXIT
failed=0
ignored=()
for number in "${!beside[@]}"; do
  read -ra folders <<<"${beside[number]}"
  ignored+=("${folders[@]/#/--ignore=}")
  (run "${folders[@]}") >"$logs/$number" 2>&1 &
  running+=($!)
done
(run tests "${ignored[@]}" "${alone[@]/#/--ignore=}") || failed=1
for number in "${!running[@]}"; do
  wait "${running[number]}" || failed=1
  cat "$logs/$number"
done
running=()
(run "${alone[@]}") || failed=1
exit "$failed"
