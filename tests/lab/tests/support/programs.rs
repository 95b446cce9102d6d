//! What runs in the pods of deploy/, run beside them: no kubelet does it here. kwok plays the pods; the programs get the
//! configuration and the `ServiceAccount` tokens of those pods, and the Service leads to them.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, Patch, PatchParams};
use muster_lab::process::{Launch, Process};
use muster_lab::{Gather, Lab, MusterOptions, Setup};
use serde_json::{Value, json};

const NAMESPACE: &str = "muster-system";
const PATIENCE: Duration = Duration::from_secs(30);

/// Muster, running beside its pod.
pub struct Muster {
    /// Where it listens.
    pub address: SocketAddr,
    _process: Process,
}

/// What runs in the pod of deploy/extender.yaml: the shipped configuration, and the `ServiceAccount`'s token.
pub async fn muster(lab: &Lab) -> Result<Muster> {
    let address = SocketAddr::new(this_machine()?, free_port()?);
    let config = lab.dir().join("muster.yaml");
    std::fs::write(&config, config_map(lab, "muster", "muster.yaml").await?)?;
    let token = lab.kubeconfig_of_account(NAMESPACE, "muster").await?;
    let mut options = MusterOptions::new(Setup::new(Gather::Gated, 0, 0).muster, &config);
    options.env = vec![("KUBECONFIG".to_owned(), token.display().to_string())];
    let listen = format!("--listen={address}");
    options.args = vec!["serve".to_owned(), format!("--config={}", config.display()), listen];
    let process = lab.start_muster(options)?;
    process.wait_ready(&format!("http://{address}/readyz"), PATIENCE).await?;
    lead_service_to(lab, address).await?;
    Ok(Muster { address, _process: process })
}

/// The API server refuses to call loopback addresses, so the Service needs another of this machine's.
fn this_machine() -> Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent: the kernel only looks for a route.
    socket.connect("192.0.2.1:9").context("the machine has no address besides loopback")?;
    Ok(socket.local_addr()?.ip())
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("0.0.0.0:0")?.local_addr()?.port())
}

async fn config_map(lab: &Lab, name: &str, key: &str) -> Result<String> {
    let maps: Api<ConfigMap> = Api::namespaced(lab.client(), NAMESPACE);
    let data = maps.get(name).await?.data.unwrap_or_default();
    data.get(key).cloned().with_context(|| format!("ConfigMap {name} has no {key}"))
}

/// Takes the Service from kwok's pod, behind which nothing listens, and gives it to the program. The API server calls
/// addresses of pods only, so the pod gets the program's address.
async fn lead_service_to(lab: &Lab, address: SocketAddr) -> Result<()> {
    let services: Api<Service> = Api::namespaced(lab.client(), NAMESPACE);
    let nobody = Patch::Merge(json!({"spec": {"selector": {"app.kubernetes.io/component": "none"}}}));
    services.patch("muster", &PatchParams::default(), &nobody).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(lab.client(), NAMESPACE);
    let all = ListParams::default().labels("kubernetes.io/service-name=muster");
    lab.wait("the Service to lead nowhere", PATIENCE, async || {
        let slices = slices.list(&all).await?;
        Ok(slices.iter().all(|slice| slice.endpoints.iter().flatten().next().is_none()).then_some(()))
    })
    .await?;
    let pods: Api<Pod> = Api::namespaced(lab.client(), NAMESPACE);
    let extender = ListParams::default().labels("app.kubernetes.io/component=extender");
    let pod = pods.list(&extender).await?.items.pop().context("Muster has no pod")?.metadata.name;
    let pod = pod.context("a pod without a name")?;
    let ip = address.ip();
    let moved = Patch::Merge(json!({"status": {"podIP": ip, "podIPs": [{"ip": ip}]}}));
    pods.patch_status(&pod, &PatchParams::default(), &moved).await?;
    let endpoints = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "muster-program", "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": "muster"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ip], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": NAMESPACE}}],
        "ports": [{"name": "http", "port": address.port(), "protocol": "TCP"}],
    });
    lab.apply(&endpoints.to_string()).await?;
    Ok(())
}

/// What runs in the pod of deploy/scheduler.yaml; only the extender's host and the way to the API server differ.
pub async fn second_scheduler(lab: &Lab, extender: SocketAddr) -> Result<Process> {
    let text = config_map(lab, "muster-scheduler", "scheduler-config.yaml").await?;
    let mut config: Value =
        serde_saphyr::from_str(&text.replace("muster.muster-system.svc:7070", &extender.to_string()))?;
    let token = lab.kubeconfig_of_account(NAMESPACE, "muster-scheduler").await?.display().to_string();
    config["clientConnection"]["kubeconfig"] = json!(token);
    let file = lab.dir().join("muster-scheduler.json");
    std::fs::write(&file, config.to_string())?;
    let port = free_port()?;
    let process = Launch::new("muster-scheduler", lab.program("kube-scheduler"), lab.dir())
        .args([format!("--config={}", file.display()), format!("--secure-port={port}")])
        .arg("--bind-address=127.0.0.1")
        .args(["authentication", "authorization"].map(|what| format!("--{what}-kubeconfig={token}")))
        .spawn()?;
    process.wait_ready(&format!("https://127.0.0.1:{port}/healthz"), PATIENCE).await?;
    Ok(process)
}
