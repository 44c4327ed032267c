#!/usr/bin/env bash
# Measures the operator with 1,000 ScaledObjects on a control plane of this machine, and another operator where there
# is one. The figures go to bench-results/cluster.json.
#
# BENCH_OBJECTS       number of ScaledObjects, 1000 unless given
# BENCH_IDLE_MINUTES  length of the idle time, 10 unless given
# BENCH_PODS          pods of the big cluster, 20000 unless given; 0 leaves it out
# BENCH_RUNS          runs whose medians are taken, 1 unless given
# PEER_COMMAND        a shell command that starts another operator and stays. All processes of its process group are
#                     measured. It is run on a control plane of its own, which holds KEDA's definitions, and finds
#                     KUBECONFIG       of a ServiceAccount that may do everything
#                     POD_NAMESPACE, KEDA_CLUSTER_OBJECT_NAMESPACE, WATCH_NAMESPACE  keda, keda and nothing: all
#                     METRICS_PORT     where the API server asks for external metrics, by TLS; the APIService
#                                      v1beta1.external.metrics.k8s.io leads to it, and the command gives it a caBundle
#                                      or insecureSkipTLSVerify
#                     SERVICE_PORT, PROBES_PORT, PROMETHEUS_PORT  free ports: between operator and adapter, for
#                                      health probes, for Prometheus metrics
#                     WORK_FOLDER      a folder for its files
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
testbed=$(scripts/testbed.sh)
# What is measured is built for size, which takes some minutes.
echo 'building what is measured' >&2
scripts/build.sh release --example bench-cluster
scripts/build.sh dist --bin keda
exec "$target/release/examples/bench-cluster" \
    --testbed "$testbed" --keda "$target/dist/keda" --output bench-results/cluster.json
