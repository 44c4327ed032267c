package bed

import (
	"fmt"
	"path/filepath"
)

// ports of one control plane, all on the loopback interface.
type ports struct{ etcd, etcdPeer, apiserver, controllerManager, scheduler, kwok int }

func choosePorts() (ports, error) {
	free, err := freePorts(6)
	if err != nil {
		return ports{}, err
	}
	return ports{free[0], free[1], free[2], free[3], free[4], free[5]}, nil
}

func etcdArguments(folder string, p ports) []string {
	return []string{
		"--data-dir=" + filepath.Join(folder, "etcd"),
		fmt.Sprintf("--listen-client-url=http://127.0.0.1:%d", p.etcd),
		fmt.Sprintf("--listen-peer-url=http://127.0.0.1:%d", p.etcdPeer),
	}
}

func apiserverArguments(folder string, p ports) []string {
	file := func(name string) string { return filepath.Join(folder, name) }
	return []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", p.etcd),
		fmt.Sprintf("--secure-port=%d", p.apiserver),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		// Endpoints may not hold loopback addresses, so the Service `kubernetes` gets none.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--cert-dir=" + folder,
		"--tls-cert-file=" + file("apiserver.crt"),
		"--tls-private-key-file=" + file("apiserver.key"),
		"--client-ca-file=" + file("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",

		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + file("service-accounts.key"),
		"--service-account-signing-key-file=" + file("service-accounts.key"),

		"--requestheader-client-ca-file=" + file("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + file("front-proxy-client.crt"),
		"--proxy-client-key-file=" + file("front-proxy-client.key"),
		// Extension servers and webhooks are called by the name in a Service of type ExternalName.
		"--enable-aggregator-routing=false",

		// This plugin taints a new node until the node lifecycle controller, which does not run here, clears it.
		"--disable-admission-plugins=TaintNodesByCondition",
		// One worker takes two minutes for the 20,000 pods of a namespace.
		"--delete-collection-workers=16",
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1000",
		"--profiling=false",
	}
}

// controllers are those that workloads, autoscaling and the upkeep of the API need. More can be added with
// --controller-manager-arg=--controllers=NAME. The node lifecycle controller is left out on purpose: after a stop of
// the API server it would take all nodes for lost, and no kubelet is there that would make their pods ready again.
const controllers = "horizontal-pod-autoscaler-controller,deployment-controller,replicaset-controller," +
	"statefulset-controller,job-controller,namespace-controller,garbage-collector-controller," +
	"serviceaccount-controller,serviceaccount-token-controller,endpointslice-controller," +
	"root-ca-certificate-publisher-controller,clusterrole-aggregation-controller," +
	"pod-garbage-collector-controller,ttl-after-finished-controller"

func controllerManagerArguments(folder string, p ports) []string {
	return []string{
		"--kubeconfig=" + kubeconfigPath(folder, "system:kube-controller-manager"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", p.controllerManager),
		"--leader-elect=false",
		// Each controller acts as a service account of its own, as in a real cluster: what the autoscaler may read of
		// the metrics APIs depends on it.
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + filepath.Join(folder, "service-accounts.key"),
		"--root-ca-file=" + filepath.Join(folder, "ca.crt"),
		"--controllers=" + controllers,
		"--horizontal-pod-autoscaler-sync-period=2s",
		"--concurrent-horizontal-pod-autoscaler-syncs=20",
		"--concurrent-deployment-syncs=20",
		"--concurrent-replicaset-syncs=20",
		"--concurrent-gc-syncs=40",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--profiling=false",
	}
}

func schedulerArguments(folder string, p ports) []string {
	return []string{
		"--kubeconfig=" + kubeconfigPath(folder, "system:kube-scheduler"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", p.scheduler),
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--profiling=false",
	}
}

func kwokArguments(folder string, p ports) []string {
	return []string{
		"--kubeconfig=" + kubeconfigPath(folder, "kwok"),
		"--config=" + filepath.Join(folder, "stages.yaml"),
		"--manage-all-nodes=true",
		"--cidr=10.128.0.0/9",
		// Without leases of nodes kwok takes them over at once when it starts again.
		"--node-lease-duration-seconds=0",
		fmt.Sprintf("--server-address=127.0.0.1:%d", p.kwok),
		"--v=WARN",
	}
}
