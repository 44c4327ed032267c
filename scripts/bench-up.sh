#!/usr/bin/env bash
# Measures `keda up` with many ScaledObjects on one Redis: connections, memory, processor time, and how polls spread.
#
# Usage: scripts/bench-up.sh [OBJECTS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."

objects=${1:-500} seconds=${2:-20} interval=5
keda=$(realpath "${CARGO_TARGET_DIR:-target}/release/keda")
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; wait; rm -rf "$folder"' EXIT

redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$folder" > "$folder/redis.log" &
pids+=($!)
until redis-cli -p "$port" ping > /dev/null 2>&1; do sleep 0.1; done

for ((i = 0; i < objects; i++)); do
    cat << END
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker-$i}
spec:
  selector: {matchLabels: {app: worker-$i}}
  template:
    metadata: {labels: {app: worker-$i}}
    spec: {containers: [{name: main, command: [sleep, '1000']}]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: object-$i}
spec:
  scaleTargetRef: {name: worker-$i}
  pollingInterval: $interval
  triggers:
  - type: redis
    metadata: {address: '127.0.0.1:$port', listName: list-$i}
---
END
done > "$folder/many.yaml"

"$keda" up -f "$folder/many.yaml" --state-dir "$folder/state" > "$folder/events.jsonl" &
up=$!
pids+=("$up")
sleep $((2 * interval))
ticks() { awk '{ print $14 + $15 }' "/proc/$up/stat"; }
before=$(ticks)
# Reads in each second; those of the first and last one are cut off.
(timeout "$seconds" redis-cli -p "$port" monitor || true) > "$folder/monitor"
after=$(ticks)

echo "objects:          $objects, each read every $interval s"
echo "connections:      $(redis-cli -p "$port" client list | grep -vc 'cmd=client')"
echo "memory:           $(awk '/VmRSS/ { printf "%.1f MiB now", $2 / 1024 } /VmHWM/ { high = $2 / 1024 } END { printf ", %.1f MiB at most", high }' "/proc/$up/status")"
echo "processor:        $(awk -v t=$((after - before)) -v s="$seconds" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f s in a minute", t / hz / s * 60 }')"
awk '/"TYPE"/ { split($1, at, "."); count[at[1]]++ }
    END {
        for (second in count) { if (first == "" || second < first) first = second; if (second > last) last = second }
        for (second = first + 1; second < last; second++) { sum += count[second]; n++; if (count[second] > peak) peak = count[second] }
        printf "reads per second: %.1f on average, %d at most (%.2f times the average)\n", sum / n, peak, peak * n / sum
    }' "$folder/monitor"
