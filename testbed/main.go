// The test bed: a Kubernetes control plane on one machine, without containers, for the tests of this repository.
//
// `testbed up` brings it up, `testbed front` is a TCP front for several servers, and the other commands are the parts
// that `up` starts as its children. README.md tells more.
package main

import (
	"fmt"
	"os"

	"keda-rs/testbed/internal/bed"
	"keda-rs/testbed/internal/components"
	"keda-rs/testbed/internal/front"
)

const usage = `testbed up [flags]       bring up a control plane and stay until told to end; --help lists the flags
testbed front [flags]    pass TCP connections on to the servers that are ready
testbed etcd|apiserver|controller-manager|scheduler [flags]    run one part
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	name, arguments := os.Args[1], os.Args[2:]
	switch name {
	case "up":
		os.Exit(bed.Run(arguments))
	case "front":
		os.Exit(front.Run(arguments))
	}
	run, known := components.Runners[name]
	if !known {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	os.Exit(run(arguments))
}
