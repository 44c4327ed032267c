// Package bed brings a Kubernetes control plane up on this machine, for tests: the real API server, controller manager
// and scheduler with a real etcd, and kwok in place of nodes. All are children of this process and die with it.
package bed

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

type options struct {
	folder           string
	kubeconfig       string
	nodes            int
	untilStdinCloses bool
	// extra arguments of the components, by name.
	extra map[string][]string
}

// Run brings everything up, says so in a line of JSON on the standard output, and stays until it is told to end. It
// returns the exit code.
func Run(arguments []string) int {
	log.SetFlags(log.Ltime)
	log.SetPrefix("testbed: ")
	o := parse(arguments)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer cancel()
	if o.untilStdinCloses {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	if err := o.run(ctx); err != nil {
		log.Print(err)
		return 1
	}
	return 0
}

func parse(arguments []string) *options {
	o := &options{extra: map[string][]string{}}
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	flags.StringVar(&o.folder, "dir", "", "`folder` for data, certificates and logs; a temporary one unless given")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` to write the administrator's kubeconfig to, besides the folder")
	flags.IntVar(&o.nodes, "nodes", 1, "`number` of nodes")
	flags.BoolVar(&o.untilStdinCloses, "until-stdin-closes", false, "end also when the standard input does")
	for _, name := range []string{"apiserver", "controller-manager", "scheduler"} {
		flags.Func(name+"-arg", "one more `argument` for the "+name+"; may be given several times", func(value string) error {
			o.extra[name] = append(o.extra[name], value)
			return nil
		})
	}
	_ = flags.Parse(arguments)
	return o
}

func (o *options) run(ctx context.Context) error {
	made, err := o.makeFolder()
	if err != nil {
		return err
	}
	if made {
		defer os.RemoveAll(o.folder)
	}
	ports, err := choosePorts()
	if err != nil {
		return err
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", ports.apiserver)
	if err := writeFiles(o.folder, server); err != nil {
		return err
	}
	components, err := o.components(ports)
	if err != nil {
		return err
	}
	defer stopAll(components)
	if err := o.startAll(ctx, components); err != nil {
		return err
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	controlServer := &http.Server{Handler: control(components)}
	defer controlServer.Close()
	go func() { _ = controlServer.Serve(listener) }()

	kubeconfig, err := o.publishKubeconfig()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{
		"kubeconfig": kubeconfig,
		"server":     server,
		"control":    "http://" + listener.Addr().String(),
		"dir":        o.folder,
	}); err != nil {
		return err
	}
	// For a reader at a terminal.
	fmt.Fprintln(os.Stderr, "export KUBECONFIG="+kubeconfig)
	<-ctx.Done()
	return nil
}

// makeFolder tells whether the folder is ours to remove.
func (o *options) makeFolder() (made bool, err error) {
	if o.folder == "" {
		o.folder, err = os.MkdirTemp("", "testbed-")
		return true, err
	}
	if o.folder, err = filepath.Abs(o.folder); err != nil {
		return false, err
	}
	_, err = os.Stat(o.folder)
	made = os.IsNotExist(err)
	return made, os.MkdirAll(o.folder, 0o700)
}

// publishKubeconfig returns the path that the user is told.
func (o *options) publishKubeconfig() (string, error) {
	ours := kubeconfigPath(o.folder, "admin")
	if o.kubeconfig == "" {
		return ours, nil
	}
	content, err := os.ReadFile(ours)
	if err != nil {
		return "", err
	}
	path, err := filepath.Abs(o.kubeconfig)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, content, 0o600)
}

// components in the order in which they can start.
func (o *options) components(p ports) ([]*component, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var all []*component
	add := func(name, ready string, command ...string) {
		command = append(command, o.extra[name]...)
		all = append(all, &component{name: name, command: command, folder: o.folder, ready: answers(ready)})
	}
	role := func(name string, arguments []string) []string { return append([]string{self, name}, arguments...) }
	add("etcd", fmt.Sprintf("http://127.0.0.1:%d/health", p.etcd),
		role("etcd", etcdArguments(o.folder, p))...)
	add("apiserver", fmt.Sprintf("https://127.0.0.1:%d/readyz", p.apiserver),
		role("apiserver", apiserverArguments(o.folder, p))...)
	add("controller-manager", fmt.Sprintf("https://127.0.0.1:%d/healthz", p.controllerManager),
		role("controller-manager", controllerManagerArguments(o.folder, p))...)
	add("scheduler", fmt.Sprintf("https://127.0.0.1:%d/healthz", p.scheduler),
		role("scheduler", schedulerArguments(o.folder, p))...)
	add("kwok", fmt.Sprintf("http://127.0.0.1:%d/healthz", p.kwok),
		append([]string{filepath.Join(filepath.Dir(self), "kwok")}, kwokArguments(o.folder, p)...)...)
	return all, nil
}

func (o *options) startAll(ctx context.Context, components []*component) error {
	store, apiserver, rest := components[0], components[1], components[2:]
	for _, c := range []*component{store, apiserver} {
		if err := c.start(ctx); err != nil {
			return err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfigPath(o.folder, "admin"))
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, 0
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}

	startCtx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	results := make(chan error)
	for _, c := range rest {
		go func() { results <- c.start(startCtx) }()
	}
	go func() { results <- createNodes(startCtx, client, o.nodes) }()
	for range len(rest) + 1 {
		// The first failure is the one to report; it ends the waiting for the others.
		if failed := <-results; failed != nil && err == nil {
			err = failed
			giveUp()
		}
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if err = clusterReady(ctx, client, o.nodes); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster did not become ready: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stopAll kills: the data are thrown away.
func stopAll(components []*component) {
	var all sync.WaitGroup
	for _, c := range components {
		all.Go(func() { _ = c.stop(syscall.SIGKILL) })
	}
	all.Wait()
}
