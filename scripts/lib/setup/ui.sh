# shellcheck shell=bash
# How the set-up script talks: steps with elapsed time, one log file, and what to do next when something fails.

# Exit codes: 1 something failed or is not possible, 2 the command line is wrong, 130 interrupted.
declare -A STEP_PID=() STEP_TITLE=() STEP_LOG=() STEP_BEGAN=()
LOG=""
BEGAN=$SECONDS
HEARTBEAT_SECONDS=10
LEFT_STEPS_SECONDS=900
STEPS_FILE=""
NEXT_STEP="Then run the same command again: it goes on from where it stopped."

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

usage_error() {
    printf 'setup: %s\nTry: %s --help\n' "$*" "$PROGRAM" >&2
    exit 2
}

# One run at a time. Steps close the lock (8), or the services that they start would hold it for ever.
only_one() {
    mkdir -p "$1"
    exec 8>"$1/.setup.lock"
    flock --nonblock 8 || fail "another run of this script is in progress (lock $1/.setup.lock); wait for it, or stop it"
    STEPS_FILE="$1/.steps"
    wait_for_left_steps
    : >"$STEPS_FILE"
}

# The start of a process in ticks since boot, empty if it is gone; tells it from a later process with the same id.
process_start() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    stat=${stat##*) }
    cut -d ' ' -f 20 <<<"$stat"
}

# Steps of a run that was killed (kill -9) continue without it, and two plays at once would disturb each other.
wait_for_left_steps() {
    local pid started title said="" deadline=$((SECONDS + LEFT_STEPS_SECONDS))
    [[ -f $STEPS_FILE ]] || return 0
    while read -r pid started title; do
        while [[ $pid =~ ^[0-9]+$ && -n $started && $(process_start "$pid") == "$started" ]]; do
            if [[ $said != "$pid" ]]; then
                said=$pid
                say "A step of a killed run is still running ($title, process $pid); waiting for it. To stop it: kill -- -$pid"
            fi
            if ((SECONDS >= deadline)); then
                fail "process $pid ($title) of a killed run is still running after $LEFT_STEPS_SECONDS s; stop it with: kill -- -$pid"
            fi
            sleep 0.5
        done
    done <"$STEPS_FILE"
}

# What a person should do after a failure from here on.
next_step() {
    NEXT_STEP=$*
}

say() {
    printf '[%4ds] %s\n' "$((SECONDS - BEGAN))" "$*"
    if [[ -n $LOG ]]; then printf '[%4ds] %s\n' "$((SECONDS - BEGAN))" "$*" >>"$LOG"; fi
}

open_log() {
    local folder=$1
    mkdir -p "$folder"
    LOG="$folder/setup-$(date +%Y%m%d-%H%M%S)-$$.log"
    : >"$LOG"
    # Keep the newest 30.
    find "$folder" -maxdepth 1 -name 'setup-*.log*' -printf '%T@ %p\n' | sort -rn | tail -n +31 | cut -d' ' -f2- | xargs -r rm -f --
    say "Log: $LOG"
}

# start NAME TITLE COMMAND...: run a command in the background, its output goes to the log.
start() {
    local name=$1 title=$2
    shift 2
    STEP_TITLE[$name]=$title
    STEP_BEGAN[$name]=$SECONDS
    STEP_LOG[$name]="$LOG.$name"
    say "$title ..."
    # It may end long before `finish` waits for it.
    (
        trap 'echo "$SECONDS" >"${STEP_LOG[$name]}.end"' EXIT
        "$@"
    ) >"${STEP_LOG[$name]}" 2>&1 </dev/null 8>&- &
    STEP_PID[$name]=$!
    if [[ -n $STEPS_FILE ]]; then printf '%s %s %s\n' "$!" "$(process_start "$!")" "$title" >>"$STEPS_FILE"; fi
}

# What a step is doing now, from the end of its output.
detail() {
    tail -n 40 "${STEP_LOG[$1]}" 2>/dev/null | grep -v '^[[:space:]]*$' | sed -nE '
        s/^TASK \[(.*)\] \**$/\1/; t keep
        /^(ok|changed|skipping|PLAY|\[WARN|\[DEPR| )/ d
        :keep
        s/^\[ *[0-9.]+s\] //; s/[[:cntrl:]]//g; p' | tail -n 1 | cut -c 1-90
}

progress_line() {
    local name=$1
    printf '%s: %d s%s' "${STEP_TITLE[$name]}" "$((SECONDS - STEP_BEGAN[$name]))" "$(detail "$name" | sed 's/^\(.\)/ - \1/')"
}

# finish NAME: wait for a step, showing how all running steps go; ends the script if it failed.
finish() {
    local name=$1 running other code=0 shown=$SECONDS
    while kill -0 "${STEP_PID[$name]}" 2>/dev/null; do
        sleep 0.5
        if [[ -t 1 ]]; then
            running=$(progress_line "$name")
            printf '\r\033[K[%4ds] %s' "$((SECONDS - BEGAN))" "${running:0:$((${COLUMNS:-100} - 10))}"
        elif ((SECONDS - shown >= HEARTBEAT_SECONDS)); then
            shown=$SECONDS
            for other in "${!STEP_PID[@]}"; do
                if kill -0 "${STEP_PID[$other]}" 2>/dev/null; then say "  $(progress_line "$other")"; fi
            done
        fi
    done
    if [[ -t 1 ]]; then printf '\r\033[K'; fi
    wait "${STEP_PID[$name]}" || code=$?
    unset "STEP_PID[$name]"
    { printf -- '--- %s\n' "${STEP_TITLE[$name]}"; cat "${STEP_LOG[$name]}"; } >>"$LOG"
    if ((code != 0)); then step_failed "$name" "$code"; fi
    say "${STEP_TITLE[$name]}: done in $(($(<"${STEP_LOG[$name]}.end") - STEP_BEGAN[$name])) s"
}

step() {
    start "$@"
    finish "$1"
}

# The lines a person needs: Ansible's own error text where there is one, else the end of the output.
relevant_lines() {
    local errors
    errors=$(sed -nE '/^\[ERROR\]/,/^(Origin:|fatal:|$)/ { /^(Origin:|fatal:)/ d; p }' "$1")
    if [[ -n $errors ]]; then printf '%s\n' "$errors" | head -n 40; else tail -n 20 "$1"; fi
}

step_failed() {
    local name=$1 code=$2
    stop_steps
    {
        printf '\nFAILED: %s (exit %d after %d s)\n\n' "${STEP_TITLE[$name]}" "$code" "$((SECONDS - STEP_BEGAN[$name]))"
        relevant_lines "${STEP_LOG[$name]}" | sed 's/^/    /'
        printf '\nFull output: %s\n%s\n' "$LOG" "$NEXT_STEP"
    } >&2
    exit 1
}

stop_steps() {
    local name
    for name in "${!STEP_PID[@]}"; do
        # Each step is a process group of its own (set -m), so its children end with it.
        if kill -0 "${STEP_PID[$name]}" 2>/dev/null; then
            # Without this the shell reports the end of each.
            disown "${STEP_PID[$name]}"
            kill -TERM -- "-${STEP_PID[$name]}"
        fi
        { printf -- '--- %s (stopped)\n' "${STEP_TITLE[$name]}"; cat "${STEP_LOG[$name]}"; } >>"$LOG"
    done
}

interrupted() {
    trap - INT TERM
    stop_steps
    printf '\nsetup: interrupted. Run the same command again: it goes on from where it stopped. Log: %s\n' "$LOG" >&2
    exit 130
}
