#!/bin/sh
# What the demo service does: the baseline once in the life of the store, then an example workflow every five minutes.
set -eu
if [ ! -e /var/lib/hypertool/demo ]; then
    hypertool baseline
    : >/var/lib/hypertool/demo
fi
while :; do
    for name in feature_implementation bug_fix incident_response; do
        sleep "${HYPERTOOL_DEMO_SECONDS:-300}" &
        trap 'kill $!; exit 0' TERM INT
        wait $!
        hypertool workflow "$name"
    done
done
