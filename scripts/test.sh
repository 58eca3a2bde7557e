#!/usr/bin/env bash
# Runs every test of the project on this machine, installing what they need first.
#   scripts/test.sh                    everything but the benchmarks, in parallel groups, with a summary
#   scripts/test.sh tests/unit -k gate only these tests (the arguments go to pytest)
#   scripts/test.sh --benchmarks       the benchmarks, with their tables
#   scripts/test.sh --install          only install what the tests need
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
    -h | --help)
        sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' scripts/test.sh
        exit
        ;;
esac

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Debian packages: the command that shows a package is there, and the package.
declare -A needed=(
    [debootstrap]=debootstrap [curl]=curl [ss]=iproute2 [ssh]=openssh-client [git]=git [node]=nodejs [npm]=npm
    [chromium]=chromium
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

# stamp FILE VALUE: whether FILE already holds VALUE.
stamp() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

# make_environment FOLDER PYTHON: a virtual environment with the tests' pinned packages and this package; else 1.
make_environment() {
    local folder=$1 pip=("$1/bin/python" -m pip install -q --disable-pip-version-check) wanted project
    wanted="$(sha256sum requirements/test.txt | cut -d' ' -f1) $("$2" -c 'import sys; print(sys.version)' | tr '\n' ' ')"
    if ! stamp "$folder/.made-for" "$wanted"; then
        say "installing the pinned Python packages of the tests into $folder (about a minute)"
        "$2" -m venv --clear "$folder" && "${pip[@]}" --require-hashes -r requirements/test.txt || return
        printf '%s' "$wanted" >"$folder/.made-for"
    fi
    project=$(sha256sum pyproject.toml | cut -d' ' -f1)
    if ! stamp "$folder/.installed-for" "$project"; then
        # The package itself, from this tree: imports and the two commands, as `pip install -e` makes them.
        "${pip[@]}" --no-deps --no-build-isolation -e . || return
        printf '%s' "$project" >"$folder/.installed-for"
    fi
}

# A Python of another minor version, for the tests of the package: the oldest supported one, else a newer one.
second_python() {
    local version candidate here
    here=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    for version in 3.10 3.14 3.13 3.12 3.11; do
        [ "$version" = "$here" ] && continue
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3; do
            # pyenv leaves commands on the PATH that only say how to choose a version.
            if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
                echo "$candidate"
                return
            fi
        done
    done
}

python=$(command -v python3) || die "python3 is not on the PATH; install Python 3.10 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
    || die "$python is $("$python" --version), but 3.10 or newer is needed"

install_packages
make_environment .venv "$python" || die "the pinned packages could not be installed (see above)"
if [ "${1:-}" = "--install" ]; then exit; fi

export PATH="$PWD/.venv/bin:$PATH"
if [ "${1:-}" = "--benchmarks" ]; then
    shift
    named=(tests/benchmarks)
    for argument in "$@"; do [[ "$argument" == tests/* ]] && named=(); done
    exec python -m pytest "${named[@]}" -m benchmark -s "$@"
fi
if [ $# -gt 0 ]; then
    say "pytest $*"
    exec python -m pytest -m "not benchmark" --durations=15 "$@"
fi

# Everything, in groups that run side by side; within a group the folders run one after the other. A folder that no group
# names is in `others`.
SIDE_BY_SIDE=5
MOST_AGAIN=4 # More failures than this in one group are no accident, and stay what they are.
LATEST_AGAIN=3200 # seconds: a run ends within the hour
# These make test hosts or change something of this machine; the longest starts first.
on_hosts=(
    "tests/roles"
    "tests/alloy_hosts"
    "tests/hosts"
    "tests/compose tests/changed_hosts"
    "tests/agent tests/cloud"
    "tests/foreign_hosts"
    "others"
    "tests/clocks"
)
# These are processes only.
of_processes=(
    "tests/rules tests/dashboards"
    "tests/agents tests/gateway"
    "tests/llm tests/reliability"
)
# These compare this whole machine before and after. They wait until no group of `on_hosts` is left.
comparing=(tests/setup tests/sandbox)
# On another Python: the package's own tests, and of the LLM tests those that need no provider's SDK.
on_another=(
    tests/unit tests/llm/test_providers.py tests/llm/test_shapes.py tests/llm/test_usage.py tests/llm/test_streams.py
    tests/llm/test_calls.py tests/llm/test_call_streams.py tests/llm/test_calls_survive.py tests/llm/test_contexts.py
    tests/llm/test_nested_calls.py tests/llm/test_same_response.py tests/llm/test_blocking.py tests/llm/test_crews.py
    tests/llm/test_types.py
)
others() {
    local folder
    for folder in tests/*/; do
        folder=${folder%/}
        case " ${on_hosts[*]} ${of_processes[*]} ${comparing[*]} tests/benchmarks tests/support tests/packages " in
            *" $folder "*) ;;
            *) [ -z "$(find "$folder" -name 'test_*.py' -print -quit)" ] || echo "$folder" ;;
        esac
    done
}

results=$(mktemp -d)
mkdir "$results/again"
declare -A names=() pythons=() folders_of=() hosts_left=()
trap 'kill "${!names[@]}" 2>/dev/null || true; rm -rf "$results"' EXIT
failed=0

# name_of FOLDER...: the name of a group.
name_of() {
    local name="${*#tests/}"
    echo "${name// /+}"
}

# start NAME PYTHON FOLDER...: run a group in the background.
start() {
    local name=$1
    say "started: $name"
    pythons[$name]=$2
    shift 2
    folders_of[$name]=$*
    group "$name" "$results/$name.xml" --durations=15 >"$results/$name.log" 2>&1 &
    names[$!]=$name
}

# group NAME REPORT OPTION...: become the pytest of a group.
group() {
    local name=$1 report=$2 folders
    shift 2
    read -ra folders <<<"${folders_of[$name]}"
    # The shell starts background commands with SIGINT ignored, and the tests would inherit that.
    # Property tests try the same examples in every whole run, so that a change is never judged by another one's luck. By
    # themselves (scripts/test.sh tests/unit) they try new ones.
    exec env --default-signal=INT,QUIT "${pythons[$name]}" -m pytest -m "not benchmark" -o junit_suite_name="$name" \
        --hypothesis-profile=ci -o cache_dir="$results/cache-$name" --junitxml="$report" "$@" "${folders[@]}"
}

# run_again: the tests of NAME that failed, once more and alone, as CPython's test runner does: five groups at once on two
# cores make a machine on which a program sometimes misses its deadline. The summary names what passed only now.
run_again() {
    local name=$1 count
    count=$(python scripts/lib/summary_of_tests.py --failures "$results/$name.xml")
    if [ "$count" -eq 0 ] || [ "$count" -gt "$MOST_AGAIN" ] || [ "$SECONDS" -gt "$LATEST_AGAIN" ]; then return; fi
    say "once more, alone: $name ($count failed)"
    # The summary judges what fails again.
    (group "$name" "$results/again/$name.xml" --last-failed --last-failed-no-failures none) || true
}

# finish: wait for one group, print its output.
finish() {
    local ended code=0
    wait -n -p ended "${!names[@]}" || code=$?
    say "ended: ${names[$ended]} (exit $code)"
    cat "$results/${names[$ended]}.log"
    # 1 is for tests that failed, and the summary judges them. Others end before they have written a report.
    [ "$code" -le 1 ] && [ -e "$results/${names[$ended]}.xml" ] || failed=1
    unset "hosts_left[${names[$ended]}]" "names[$ended]"
    if [ "${#comparing[@]}" -gt 0 ] && [ "${#hosts_left[@]}" -eq 0 ]; then
        start "$(name_of "${comparing[@]}")" python "${comparing[@]}"
        comparing=()
    fi
}

# in_turn NAME PYTHON FOLDER...: start a group as soon as there is a place for it.
in_turn() {
    while [ "${#names[@]}" -ge "$SIDE_BY_SIDE" ]; do finish; done
    start "$@"
}

mapfile -t rest < <(others)
for index in "${!on_hosts[@]}"; do
    if [ "${on_hosts[$index]}" = others ]; then on_hosts[index]=${rest[*]}; fi
    read -ra folders <<<"${on_hosts[$index]}"
    hosts_left[$(name_of "${folders[@]}")]=1
done
for group in "${on_hosts[@]}" "${of_processes[@]}"; do
    read -ra folders <<<"$group"
    in_turn "$(name_of "${folders[@]}")" python "${folders[@]}"
done
notes=()
second=$(second_python)
if [ -z "$second" ]; then
    notes+=("tests/unit and tests/llm ran on one Python only: install another one (python3.10 to python3.14, or pyenv)")
elif make_environment .venv-second "$second"; then
    in_turn "unit+llm-on-$("$second" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" \
        .venv-second/bin/python "${on_another[@]}"
else
    notes+=("the pinned packages could not be installed for $second (see above)")
    failed=1
fi
while [ "${#names[@]}" -gt 0 ]; do finish; done
for report in "$results"/*.xml; do run_again "$(basename "$report" .xml)"; done
python scripts/lib/summary_of_tests.py "$results"/*.xml "$results"/again/*.xml || failed=1
for note in "${notes[@]}"; do say "$note"; done
exit "$failed"
