// Package components runs one part of the control plane in this process: the commands of Kubernetes as they are, and
// an etcd that lives in the same binary.
package components

import (
	_ "time/tzdata" // CronJobs may name a time zone, and the machine may have none of the files.

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// Runners holds what the first argument of the binary may name. Each runs until it is told to end, with the arguments
// after its name, and returns the exit code.
var Runners = map[string]func(arguments []string) int{
	"etcd":               runEtcd,
	"apiserver":          kubernetes(apiserver.NewAPIServerCommand),
	"controller-manager": kubernetes(controllermanager.NewControllerManagerCommand),
	"scheduler":          kubernetes(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
}

func kubernetes(command func() *cobra.Command) func([]string) int {
	return func(arguments []string) int {
		c := command()
		c.SetArgs(arguments)
		return cli.Run(c)
	}
}
