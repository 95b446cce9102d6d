//! kube-scheduler: with the configuration that Muster ships, or plain.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::identity::SCHEDULER;
use crate::process::Process;
use crate::{Lab, http, ports};

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the extender listens.
#[derive(Debug, Clone)]
pub struct Extender {
    /// `http://HOST:PORT` or `https://HOST:PORT`; the paths stay those of the configuration file.
    pub base: String,
    /// The files kube-scheduler needs to speak TLS with it; required for `https`.
    pub tls: Option<ExtenderTls>,
}

/// The files of mutual TLS, as kube-scheduler's `tlsConfig` wants them.
#[derive(Debug, Clone)]
pub struct ExtenderTls {
    /// Signs the extender's certificate.
    pub ca_file: PathBuf,
    /// kube-scheduler's own certificate.
    pub cert_file: PathBuf,
    /// The key of that certificate.
    pub key_file: PathBuf,
}

impl From<&str> for Extender {
    fn from(base: &str) -> Self {
        Self { base: base.to_owned(), tls: None }
    }
}

impl From<String> for Extender {
    fn from(base: String) -> Self {
        Self { base, tls: None }
    }
}

#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) process: Process,
    url: String,
}

impl Lab {
    /// Starts kube-scheduler with a shipped configuration file and waits until it is healthy; one that runs already
    /// is stopped first.
    ///
    /// Only these differ from the file: the kubeconfig, leader election (off), the scheme, host and port of each
    /// extender, and its TLS settings.
    pub async fn start_scheduler(&self, config: &Path, extender: impl Into<Extender>) -> Result<()> {
        let context = || format!("scheduler configuration {}", config.display());
        let text = fs::read_to_string(config).with_context(context)?;
        let shipped = serde_saphyr::from_str(&text).with_context(context)?;
        let adapted = self.adapt(shipped, &extender.into()).with_context(context)?;
        self.run_scheduler(&adapted).await
    }

    /// Starts kube-scheduler without an extender: the default scheduler, for comparison.
    pub async fn start_plain_scheduler(&self) -> Result<()> {
        let config = json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {
                "kubeconfig": self.site.kubeconfig(SCHEDULER),
                "qps": 1000,
                "burst": 2000,
            },
            "leaderElection": {"leaderElect": false},
        });
        self.run_scheduler(&config).await
    }

    /// Stops kube-scheduler; nothing happens if there is none.
    pub async fn stop_scheduler(&self) -> Result<()> {
        let running = self.scheduler().take();
        if let Some(scheduler) = running {
            scheduler.process.stop(Duration::from_secs(5)).await?;
        }
        Ok(())
    }

    /// Freezes kube-scheduler (SIGSTOP): its connections stay open and it does nothing.
    pub fn pause_scheduler(&self) -> Result<()> {
        self.scheduler().as_ref().context("no scheduler runs")?.process.pause()
    }

    /// Lets a paused kube-scheduler go on (SIGCONT).
    pub fn resume_scheduler(&self) -> Result<()> {
        self.scheduler().as_ref().context("no scheduler runs")?.process.resume()
    }

    /// kube-scheduler's process id, if one runs.
    pub fn scheduler_pid(&self) -> Option<u32> {
        self.scheduler().as_ref().map(|scheduler| scheduler.process.pid())
    }

    /// kube-scheduler's metrics in Prometheus' text format.
    pub async fn scheduler_metrics(&self) -> Result<String> {
        let url = self.scheduler().as_ref().context("no scheduler runs")?.url.clone();
        http::get_text(&format!("{url}/metrics")).await
    }

    async fn run_scheduler(&self, config: &Value) -> Result<()> {
        self.stop_scheduler().await?;
        let file = self.dir().join("scheduler-config.json");
        fs::write(&file, serde_json::to_vec_pretty(config)?)
            .with_context(|| format!("write {}", file.display()))?;
        let mut tries_left = 2;
        loop {
            let [port] = ports::free()?;
            let url = format!("https://127.0.0.1:{port}");
            let process = self.site.scheduler(&file, port)?;
            match process.wait_ready(&format!("{url}/healthz"), START_TIMEOUT).await {
                Ok(()) => {
                    *self.scheduler() = Some(Scheduler { process, url });
                    return Ok(());
                }
                Err(error) if tries_left > 0 && ports::was_taken(&error) => tries_left -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn adapt(&self, mut config: Value, extender: &Extender) -> Result<Value> {
        let root = config.as_object_mut().context("it is not a mapping")?;
        let section = |name: &str| root.get(name).cloned().unwrap_or_else(|| json!({}));
        let (mut connection, mut election) = (section("clientConnection"), section("leaderElection"));
        connection["kubeconfig"] = json!(self.site.kubeconfig(SCHEDULER));
        election["leaderElect"] = json!(false);
        root.insert("clientConnection".to_owned(), connection);
        root.insert("leaderElection".to_owned(), election);
        let extenders =
            root.get_mut("extenders").and_then(Value::as_array_mut).context("it has no extenders")?;
        for entry in extenders {
            redirect(entry, extender)?;
        }
        Ok(config)
    }
}

/// Points one entry of `extenders` at another address.
fn redirect(entry: &mut Value, extender: &Extender) -> Result<()> {
    let entry = entry.as_object_mut().context("an extender is not a mapping")?;
    let prefix = entry.get("urlPrefix").and_then(Value::as_str).context("an extender has no urlPrefix")?;
    let (_, after_scheme) = prefix.split_once("://").context("urlPrefix has no scheme")?;
    let path = after_scheme.find('/').and_then(|slash| after_scheme.get(slash..)).unwrap_or_default();
    let moved = format!("{}{path}", extender.base.trim_end_matches('/'));
    entry.insert("urlPrefix".to_owned(), json!(moved));
    if extender.base.starts_with("https://") {
        let tls = extender.tls.as_ref().context("an https extender needs TLS files")?;
        entry.insert("enableHTTPS".to_owned(), json!(true));
        entry.insert(
            "tlsConfig".to_owned(),
            json!({"caFile": tls.ca_file, "certFile": tls.cert_file, "keyFile": tls.key_file}),
        );
    } else {
        entry.insert("enableHTTPS".to_owned(), json!(false));
        entry.remove("tlsConfig");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extender_keeps_its_path_and_loses_its_tls() {
        let mut entry = json!({
            "urlPrefix": "https://muster.muster-system.svc:8443/scheduler/v1",
            "filterVerb": "filter", "enableHTTPS": true, "tlsConfig": {"caFile": "/ca.crt"},
        });
        redirect(&mut entry, &"http://127.0.0.1:9000/".into()).unwrap();
        let expected = json!({
            "urlPrefix": "http://127.0.0.1:9000/scheduler/v1", "filterVerb": "filter", "enableHTTPS": false,
        });
        assert_eq!(entry, expected);
    }

    #[test]
    fn https_without_its_files_is_refused() {
        let mut entry = json!({"urlPrefix": "http://muster:80"});
        assert!(redirect(&mut entry, &"https://127.0.0.1:9000".into()).is_err());
    }
}
