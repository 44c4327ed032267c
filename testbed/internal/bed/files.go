package bed

import (
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"keda-rs/testbed/internal/pki"
	"keda-rs/testbed/stages"
)

// The users of the control plane: a kubeconfig is written for each, named after it.
var users = map[string][]string{
	"admin":                          {"system:masters"},
	"kwok":                           {"system:masters"},
	"system:kube-controller-manager": nil,
	"system:kube-scheduler":          nil,
}

// hosts are the names by which clients may call the API server; the address is that of its Service.
var hosts = []string{
	"localhost", "127.0.0.1", "::1", "10.96.0.1",
	"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
}

// writeFiles fills the folder with all that the components read: certificates, keys, kubeconfigs and stages.
func writeFiles(folder, server string) error {
	authority, err := pki.NewAuthority("testbed")
	if err != nil {
		return err
	}
	frontProxy, err := pki.NewAuthority("testbed-front-proxy")
	if err != nil {
		return err
	}
	serving, err := authority.Server(hosts...)
	if err != nil {
		return err
	}
	// The API server shows this certificate to extension servers, and tells them its authority in a ConfigMap.
	proxyClient, err := frontProxy.Client("front-proxy-client")
	if err != nil {
		return err
	}
	serviceAccounts, err := pki.SigningKey()
	if err != nil {
		return err
	}
	kwokStages, err := stages.YAML()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"ca.crt":                 authority.PEM,
		"front-proxy-ca.crt":     frontProxy.PEM,
		"apiserver.crt":          serving.Certificate,
		"apiserver.key":          serving.Key,
		"front-proxy-client.crt": proxyClient.Certificate,
		"front-proxy-client.key": proxyClient.Key,
		"service-accounts.key":   serviceAccounts,
		"stages.yaml":            kwokStages,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return err
		}
	}
	for user, groups := range users {
		client, err := authority.Client(user, groups...)
		if err != nil {
			return err
		}
		if err := clientcmd.WriteToFile(kubeconfig(server, authority.PEM, client), kubeconfigPath(folder, user)); err != nil {
			return err
		}
	}
	return nil
}

func kubeconfigPath(folder, user string) string {
	return filepath.Join(folder, strings.TrimPrefix(user, "system:kube-")+".kubeconfig")
}

func kubeconfig(server string, authority []byte, client pki.Pair) clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters["testbed"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos["testbed"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: client.Certificate,
		ClientKeyData:         client.Key,
	}
	config.Contexts["testbed"] = &clientcmdapi.Context{Cluster: "testbed", AuthInfo: "testbed", Namespace: "default"}
	config.CurrentContext = "testbed"
	return *config
}
