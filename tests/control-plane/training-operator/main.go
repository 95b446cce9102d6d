// Package main is the Kubeflow training operator (TFJob, PyTorchJob, MPIJob v1
// and so on) without its servers.
//
// The published main cannot run beside other tests on one machine: it listens
// on fixed ports on all addresses and insists on a webhook server with rotated
// certificates. The reconcilers that make the pods are the published ones.
package main

import (
	"flag"
	"os"

	kubeflow "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
	"github.com/kubeflow/training-operator/pkg/config"
	controllers "github.com/kubeflow/training-operator/pkg/controller.v1"
	"github.com/kubeflow/training-operator/pkg/controller.v1/common"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// main reads the cluster from --kubeconfig, a flag of controller-runtime.
func main() {
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(); err != nil {
		ctrl.Log.Error(err, "training operator stopped")
		os.Exit(1)
	}
}

func run() error {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(kubeflow.AddToScheme(scheme))

	// Without these, which the published main fills from flags, a launcher's
	// init container has no image and the API server refuses the pod.
	config.Config.MPIKubectlDeliveryImage = config.MPIKubectlDeliveryImageDefault
	config.Config.PyTorchInitContainerImage = config.PyTorchInitContainerImageDefault
	config.Config.PyTorchInitContainerTemplateFile = config.PyTorchInitContainerTemplateFileDefault
	config.Config.PyTorchInitContainerMaxTries = config.PyTorchInitContainerMaxTriesDefault

	kubeconfig, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	kubeconfig.QPS, kubeconfig.Burst = 300, 600
	manager, err := ctrl.NewManager(kubeconfig, ctrl.Options{
		Scheme:  scheme,
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	var kinds controllers.EnabledSchemes
	kinds.FillAll()
	for _, kind := range kinds {
		setUp := controllers.SupportedSchemeReconciler[kind]
		if err := setUp(manager, common.GenNonGangSchedulerSetupFunc(), 1); err != nil {
			return err
		}
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
