//! Bounded waiting, and a report of the cluster for when it was in vain.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use crate::Lab;

const INTERVAL: Duration = Duration::from_millis(50);

/// Asks `probe` again and again until it answers `Some`. Errors count as "not yet"; the last one is part of the
/// error after `timeout`.
pub async fn until<T>(
    timeout: Duration,
    interval: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        // A probe that hangs must not outlast the deadline by much.
        let left = deadline.saturating_duration_since(Instant::now()).max(INTERVAL);
        let answer = match tokio::time::timeout(left, probe()).await {
            Ok(answer) => answer,
            Err(_) => Err(anyhow!("the last question was never answered")),
        };
        match answer {
            Ok(Some(value)) => return Ok(value),
            Ok(None) if Instant::now() >= deadline => return Err(anyhow!("not after {timeout:?}")),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("not after {timeout:?}")));
            }
            Ok(None) | Err(_) => tokio::time::sleep(interval).await,
        }
    }
}

/// The last `lines` lines of a file, with its name.
pub fn tail(file: &Path, lines: usize) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("--- {name}: {} lines, the last are\n{}\n", all.len(), last.join("\n"))
}

impl Lab {
    /// Asks `probe` every 50 ms until it answers `Some`. After `timeout` the error says what was waited for and
    /// shows pods, events and the end of every log.
    pub async fn wait<T>(
        &self,
        what: &str,
        timeout: Duration,
        probe: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        self.wait_every(what, timeout, INTERVAL, probe).await
    }

    /// [`Lab::wait`] with another interval, for questions that cost the API server much.
    pub async fn wait_every<T>(
        &self,
        what: &str,
        timeout: Duration,
        interval: Duration,
        probe: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        match until(timeout, interval, probe).await {
            Ok(value) => Ok(value),
            Err(error) => {
                let report = self.report().await;
                Err(error.context(format!("waited for: {what}\n{report}")))
            }
        }
    }

    /// Pods, the latest events and the end of every log, for a human.
    pub async fn report(&self) -> String {
        let mut text = String::new();
        let in_time = Duration::from_secs(5);
        match tokio::time::timeout(in_time, self.describe_cluster()).await {
            Ok(Ok(cluster)) => text.push_str(&cluster),
            Ok(Err(error)) => drop(writeln!(text, "the API server does not say more: {error:#}")),
            Err(_) => text.push_str("the API server does not answer\n"),
        }
        let entries = fs::read_dir(self.dir()).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut logs: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
        logs.sort();
        for log in &logs {
            text.push_str(&tail(log, 12));
        }
        text
    }

    async fn describe_cluster(&self) -> Result<String> {
        let everything = ListParams::default();
        let pods = Api::<Pod>::all(self.client()).list(&everything).await?;
        let mut text = format!("--- {} pods\n", pods.items.len());
        for pod in pods.items.iter().take(60) {
            describe_pod(&mut text, pod);
        }
        let mut events = Api::<Event>::all(self.client()).list(&everything).await?.items;
        events.sort_by_key(|event| event.metadata.creation_timestamp.as_ref().map(|time| time.0));
        let _ = writeln!(text, "--- {} events, the last are", events.len());
        for event in events.iter().skip(events.len().saturating_sub(20)) {
            let _ = writeln!(
                text,
                "{} {}: {}: {}",
                event.involved_object.kind.as_deref().unwrap_or_default(),
                event.involved_object.name.as_deref().unwrap_or_default(),
                event.reason.as_deref().unwrap_or_default(),
                event.message.as_deref().unwrap_or_default(),
            );
        }
        Ok(text)
    }
}

fn describe_pod(text: &mut String, pod: &Pod) {
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let node = spec.and_then(|spec| spec.node_name.as_deref()).unwrap_or("-");
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("-");
    let namespace = pod.namespace().unwrap_or_default();
    let deleting = if pod.metadata.deletion_timestamp.is_some() { " (being deleted)" } else { "" };
    let _ = write!(text, "{namespace}/{} {phase} on {node}{deleting}", pod.name_any());
    for gate in spec.and_then(|spec| spec.scheduling_gates.as_ref()).into_iter().flatten() {
        let _ = write!(text, ", gate {}", gate.name);
    }
    for condition in status.and_then(|status| status.conditions.as_ref()).into_iter().flatten() {
        if condition.type_ == "PodScheduled" && condition.status == "False" {
            let reason = condition.reason.as_deref().unwrap_or_default();
            let _ = write!(text, ", {reason}: {}", condition.message.as_deref().unwrap_or_default());
        }
    }
    text.push('\n');
}
