#!/usr/bin/env bash
# One night: run a suite, hold it to the baseline, publish the page. Run from the repository, in its environment.
#   docs/nightly/nightly.sh SUITE [KEY=VALUE …]       e.g. docs/nightly/nightly.sh smoke vendor=cpu
# The first night saves the baseline; after an intended change: python -m runner.compare baseline save --force …
set -uo pipefail
suite=$1; shift
root=${RUN_ROOT:-outputs}
baseline=${BASELINE:-nightly_$suite}
results=${RESULTS:-$root/nightly}
mkdir -p "$results"

# A night that was cut off goes on where it was.
python -m runner -m "suite=$suite" run.root="$root/$(date +%F)" resume=true "$@"
ran=$?

if python -m runner.compare baseline show "$baseline" > /dev/null 2>&1; then
  python -m runner.compare "$root/$(date +%F)" --root "$root" --baseline "$baseline" --fail-below "${FAIL_BELOW:-0.97}" \
    --junit "$results/gate.xml" --summary "${GITHUB_STEP_SUMMARY:-$results/summary.md}"
  held=$?
else
  python -m runner.compare baseline save "$baseline" "$root/$(date +%F)" --root "$root"
  held=$?
fi

python -m runner.report "$root/$(date +%F)" --overwrite --out "$results/$(date +%F).html"
python -m runner.site "$root" "$results/site"

# The page is there whatever happened; the night failed where a case or the gate did.
test "$ran" -eq 0 && test "$held" -eq 0
