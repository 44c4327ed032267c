// Package front is a small TCP front for several servers of one kind, as a Service is in a cluster: it passes each new
// connection to the next server that says it is ready.
package front

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

const pollInterval = 200 * time.Millisecond

// Run serves until SIGTERM or SIGINT and returns the exit code.
func Run(arguments []string) int {
	flags := flag.NewFlagSet("front", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "`address` to listen on; port 0 is any free one")
	front := &front{}
	flags.Func("backend", "`address` of a server with https://…/readyz; may be given several times", func(address string) error {
		front.backends = append(front.backends, &backend{address: address})
		return nil
	})
	_ = flags.Parse(arguments)
	if len(front.backends) == 0 {
		fmt.Fprintln(os.Stderr, "front: at least one --backend is needed")
		return 2
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := front.serve(ctx, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "front:", err)
		return 1
	}
	return 0
}

type front struct {
	backends []*backend
	next     atomic.Int64
}

type backend struct {
	address string
	ready   atomic.Bool
}

func (f *front) serve(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	for _, b := range f.backends {
		go b.poll(ctx)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"listen": listener.Addr().String()}); err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go f.pass(client.(*net.TCPConn))
	}
}

// pass hands the connection to a ready backend. Where none is, the client is reset, as one is by a Service without
// endpoints.
func (f *front) pass(client *net.TCPConn) {
	defer client.Close()
	server := f.dial()
	if server == nil {
		_ = client.SetLinger(0)
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	copyOneWay := func(to, from *net.TCPConn) {
		if _, err := io.Copy(to, from); err != nil {
			// One side is gone without a goodbye: the other shall notice.
			_ = to.Close()
			_ = from.Close()
		} else {
			_ = to.CloseWrite()
		}
		done <- struct{}{}
	}
	go copyOneWay(server, client)
	go copyOneWay(client, server)
	<-done
	<-done
}

func (f *front) dial() *net.TCPConn {
	var ready []*backend
	for _, b := range f.backends {
		if b.ready.Load() {
			ready = append(ready, b)
		}
	}
	first := int(f.next.Add(1))
	for i := range ready {
		connection, err := net.DialTimeout("tcp", ready[(first+i)%len(ready)].address, time.Second)
		if err == nil {
			return connection.(*net.TCPConn)
		}
	}
	return nil
}

func (b *backend) poll(ctx context.Context) {
	client := &http.Client{
		Timeout: time.Second,
		Transport: &http.Transport{
			// Readiness probes of a cluster do not verify the certificate either.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
	}
	for ctx.Err() == nil {
		response, err := client.Get("https://" + b.address + "/readyz")
		b.ready.Store(err == nil && response.StatusCode == http.StatusOK)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
		time.Sleep(pollInterval)
	}
}
