#!/usr/bin/env python3
"""Measures `keda render`: 1,000 ScaledObjects in one run, and a single one.

Usage: bench-render.py KEDA. Prints medians of several runs, and writes them to bench-results/render.json.
"""

import json
import os
import statistics
import sys
import tempfile
import time

OBJECTS = 1000
RUNS = {"thousand": 7, "one": 51}

TRIGGERS = [
    "type: redis\n    metadata: {address: 'redis.shop.svc:6379', listName: list-%d, listLength: '10'}",
    "type: rabbitmq\n    metadata: {hostFromEnv: RABBITMQ, queueName: queue-%d, mode: QueueLength, value: '20'}",
    "type: kafka\n    metadata: {bootstrapServers: 'kafka:9092', consumerGroup: group, topic: topic-%d}",
    "type: prometheus\n    metadata: {serverAddress: 'http://prometheus:9090', query: 'sum(up{job=\"%d\"})', threshold: '5'}",
    "type: postgresql\n    metadata: {connectionFromEnv: DATABASE, query: 'select %d', targetQueryValue: '3'}\n"
    "    authenticationRef: {name: login}",
]

WORKLOAD = """---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker-%(n)d}
spec:
  selector: {matchLabels: {app: worker-%(n)d}}
  template:
    metadata: {labels: {app: worker-%(n)d}}
    spec:
      containers:
      - name: main
        image: worker
        env:
        - {name: RABBITMQ, value: 'amqp://rabbitmq:5672/shop'}
        - {name: DATABASE, valueFrom: {secretKeyRef: {name: database, key: url}}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: worker-%(n)d}
spec:
  scaleTargetRef: {name: worker-%(n)d}
  maxReplicaCount: 20
  triggers:
  - %(trigger)s
"""

SHARED = """---
apiVersion: v1
kind: Secret
metadata: {name: database}
stringData: {url: 'postgresql://shop@database/shop', password: secret}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: login}
spec: {secretTargetRef: [{parameter: password, name: database, key: password}]}
"""


def manifests(count):
    objects = (WORKLOAD % {"n": n, "trigger": TRIGGERS[n % len(TRIGGERS)] % n} for n in range(count))
    return SHARED + "".join(objects)


def run(keda, path, out):
    """Seconds and MiB of one run."""
    start = time.monotonic()
    to_file = [(os.POSIX_SPAWN_OPEN, 1, out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    process = os.posix_spawn(keda, [keda, "render", "-o", "json", "-f", path], os.environ, file_actions=to_file)
    _, status, usage = os.wait4(process, 0)
    seconds = time.monotonic() - start
    if status != 0:
        sys.exit(f"{keda} render failed")
    return seconds, usage.ru_maxrss / 1024


def measure(keda, count, runs):
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, "app.yaml"), os.path.join(folder, "out.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(manifests(count))
        results = [run(keda, path, out) for _ in range(runs)]
        with open(out, encoding="utf-8") as file:
            rendered = len(json.load(file)["items"])
    if rendered != count:
        sys.exit(f"{rendered} HPAs of {count} ScaledObjects")
    return (statistics.median(result[place] for result in results) for place in (0, 1))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    keda = os.path.realpath(sys.argv[1])
    seconds, mib = measure(keda, OBJECTS, RUNS["thousand"])
    one_seconds, one_mib = measure(keda, 1, RUNS["one"])
    results = {
        "thousand_seconds": round(seconds, 3), "thousand_rss_mib": round(mib, 1),
        "one_ms": round(one_seconds * 1000, 2), "one_rss_mib": round(one_mib, 1),
    }
    os.makedirs("bench-results", exist_ok=True)
    with open("bench-results/render.json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=2)
        file.write("\n")
    print(f"{OBJECTS} ScaledObjects: {seconds:.3f} s, {mib:.1f} MiB (limits: 1 s, 60 MiB)")
    print(f"one ScaledObject: {one_seconds * 1000:.2f} ms, {one_mib:.1f} MiB (limit: 20 ms)")


main()
