#!/usr/bin/env bash
# Durable ingest under load: the daemon, and, in turn, a floor program given in FLOOR (a server that takes
# `PORT ingest DB 0` and stores each POST /e with one commit group). Needs wrk. Prints requests per second and the ratio.
#   FLOOR=path/to/http_floor scripts/load.sh [SECONDS] [CLIENTS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
clients=${2:-64}
command -v wrk >/dev/null || { echo "install wrk (Debian: apt-get install wrk)" >&2; exit 1; }
cargo build --release --locked --quiet
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
bin=target/release/breachclock

cat > "$dir/c.toml" <<C
[server]
listen = "127.0.0.1:7391"
[data]
dir = "data"
[log]
origin = "load.test/log"
[[entity]]
id = "acme"
name = "Acme"
roles = ["controller"]
established_in = ["FR"]
main_establishment = "FR"
zone = "Europe/Paris"
C
$bin token create --config "$dir/c.toml" --role reporter > "$dir/token"
RUST_LOG=warn $bin serve --config "$dir/c.toml" 2> "$dir/log" &
daemon=$!
cat > "$dir/post.lua" <<L
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer $(cat "$dir/token")"
wrk.body = '{"title":"load","entity":"acme","facts":{"personal_data":true,"risk":"risk","times.aware":"2026-01-05T10:00:00Z"}}'
L
cat > "$dir/floor.lua" <<L
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"title":"load","entity":"acme","facts":{"personal_data":true,"risk":"risk","times.aware":"2026-01-05T10:00:00Z"}}'
L
run() { wrk -t1 -c"$clients" -d"${seconds}s" --latency -s "$1" "$2" | awk '/Requests\/sec/ {r=$2} /50%/ {a=$2} /99%/ {b=$2} /Non-2xx/ {bad=$0} END {print r, a, b, bad}'; }
sleep 1
for round in 1 2 3; do
    ours=$(run "$dir/post.lua" http://127.0.0.1:7391/api/v1/incidents)
    echo "daemon  req/s p50 p99: $ours"
    if [ -n "${FLOOR:-}" ]; then
        BLOB=1000 LIFE=$((seconds + 5)) "$FLOOR" 7392 ingest "$dir/floor.db" 0 & floor_pid=$!
        sleep 0.5
        floor=$(run "$dir/floor.lua" http://127.0.0.1:7392/e)
        kill $floor_pid 2>/dev/null || true
        wait $floor_pid 2>/dev/null || true
        echo "floor   req/s p50 p99: $floor"
        awk -v a="${ours%% *}" -v b="${floor%% *}" 'BEGIN { printf "ratio   %.3f\n", a / b }'
    fi
done
echo "resident after load: $(awk '/VmRSS/ {print $2, $3}' /proc/$daemon/status)"
