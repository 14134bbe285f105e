#!/usr/bin/env bash
# The release binary under faults, heavier than in the tests: kill -9, clocks that jump or run fast, silent mail servers,
# full disks, and the comparison with an hourly check. Prints a table of figures. With 1000 kills about half an hour.
#   scripts/faults.sh [KILLS] [DRAWS]
set -euo pipefail
cd "$(dirname "$0")/.."
export BREACHCLOCK_KILLS=${1:-1000} BREACHCLOCK_DRAWS=${2:-1000}
if [ -z "${BREACHCLOCK_TEST_PYTHON:-}" ]; then
    export BREACHCLOCK_TEST_PYTHON="$PWD/target/test-venv/bin/python"
fi
"$BREACHCLOCK_TEST_PYTHON" -c 'import aiosmtpd' 2>/dev/null || { echo "run scripts/test.sh once: it installs the mail server for tests" >&2; exit 1; }
cargo build --release --locked --quiet
cargo test --locked --quiet --test house --no-run
export BREACHCLOCK_TEST_BINARY="$PWD/target/release/breachclock"

out=$(mktemp)
trap 'rm -f "$out"' EXIT
failed=()
for name in kill_nine fault_fast_clock fault_clock fault_hang fault_disk fault_wake head_to_head; do
    began=$SECONDS
    if cargo test --locked --quiet --test house "$name" -- --nocapture >"$out" 2>&1; then
        verdict=ok
    else
        verdict=FAULT
        failed+=("$name")
        grep -v '^daemon:' "$out" >&2 || true
    fi
    printf '%-18s %-6s %5d s\n' "$name" "$verdict" $((SECONDS - began))
    grep -o 'figure: .*' "$out" | sed 's/^figure: /    /' || true
done
[ ${#failed[@]} = 0 ]
