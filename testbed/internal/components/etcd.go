package components

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd serves one member on the loopback interface. The data are those of a test: nothing is forced to the disk.
func runEtcd(arguments []string) int {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	folder := flags.String("data-dir", "", "folder of the data")
	client := flags.String("listen-client-url", "", "http URL to serve clients on")
	peer := flags.String("listen-peer-url", "", "http URL that other members would use; there are none")
	_ = flags.Parse(arguments)

	if err := serveEtcd(*folder, *client, *peer); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	return 0
}

func serveEtcd(folder, client, peer string) error {
	clientURL, err := url.Parse(client)
	if err != nil {
		return err
	}
	peerURL, err := url.Parse(peer)
	if err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = folder
	config.ListenClientUrls = []url.URL{*clientURL}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = []url.URL{*peerURL}
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	// Not set by itself, and with 0 each single request is one to warn of.
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	config.QuotaBackendBytes = 8 << 30
	// Many small objects that change often: the history would otherwise be what takes the memory.
	config.AutoCompactionMode = embed.CompactorModePeriodic
	config.AutoCompactionRetention = "5m"

	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-server.Err():
		return err
	case <-stop:
		return nil
	}
}
