#!/bin/sh
# What the demo service does: the baseline once in the life of the store, then an example workflow every five minutes.
set -eu
# Beside the alert log, in the service's own folder; a store that the image did not make has none.
done=/var/lib/hypertool/service/demo
[ -d "${done%/*}" ] || done=/var/lib/hypertool/demo
if [ ! -e "$done" ]; then
    hypertool baseline
    : >"$done"
fi
while :; do
    for name in feature_implementation bug_fix incident_response; do
        sleep "${HYPERTOOL_DEMO_SECONDS:-300}" &
        trap 'kill $!; exit 0' TERM INT
        wait $!
        hypertool workflow "$name"
    done
done
