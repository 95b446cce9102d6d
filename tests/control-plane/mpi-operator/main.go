// Package main is the Kubeflow MPI operator (MPIJob v2beta1) without leader
// election and without its health server.
//
// The published main serves a fixed port on all addresses, so two tests could
// not run it side by side. The controller that makes the pods is the published
// one. The MPIJob definition must be installed before it starts.
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"

	mpi "github.com/kubeflow/mpi-operator/pkg/client/clientset/versioned"
	mpischeme "github.com/kubeflow/mpi-operator/pkg/client/clientset/versioned/scheme"
	mpiinformers "github.com/kubeflow/mpi-operator/pkg/client/informers/externalversions"
	"github.com/kubeflow/mpi-operator/pkg/controller"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig file")
	flag.Parse()
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(stopped, *kubeconfig); err != nil {
		log.Fatalf("mpi operator stopped: %v", err)
	}
}

func run(stopped context.Context, path string) error {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 300, 600
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	jobs, err := mpi.NewForConfig(config)
	if err != nil {
		return err
	}
	// The controller records events about MPIJobs with the common scheme.
	if err := mpischeme.AddToScheme(scheme.Scheme); err != nil {
		return err
	}
	inCluster := informers.NewSharedInformerFactory(kube, 0)
	ofJobs := mpiinformers.NewSharedInformerFactory(jobs, 0)
	core := inCluster.Core().V1()
	allNamespaces, noGangScheduler := "", ""
	operator, err := controller.NewMPIJobController(kube, jobs, nil, nil,
		core.ConfigMaps(), core.Secrets(), core.Services(), inCluster.Batch().V1().Jobs(), core.Pods(),
		inCluster.Scheduling().V1().PriorityClasses(), ofJobs.Kubeflow().V2beta1().MPIJobs(),
		allNamespaces, noGangScheduler)
	if err != nil {
		return err
	}
	inCluster.Start(stopped.Done())
	ofJobs.Start(stopped.Done())
	return operator.Run(2, stopped.Done())
}
