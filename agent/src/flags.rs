//! What the agent is told on its command line, and what is wrong with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use reqwest::Url;
use thiserror::Error;

/// The kernel's name of this machine; good enough to print one report.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Reports the GPUs of this node to Muster
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Flags {
    /// `metadata.name` of this machine's Node object
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node: Option<String>,
    /// Where the extender listens; reports go to /v1/reports there
    #[arg(long, value_name = "URL", default_value = "http://muster.muster-system.svc:7070")]
    pub extender: String,
    /// Where /metrics, /livez and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9402")]
    pub listen: SocketAddr,
    /// The driver's library; by default the loader looks for libnvidia-ml.so.1
    #[arg(long, value_name = "PATH")]
    pub nvml_library: Option<PathBuf>,
    /// Time between two sweeps over the GPUs, such as 5s or 500ms; reports come as often until the extender wishes
    /// for another time
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub interval: Duration,
    /// How long the driver may take over one sweep before it is reported as unresponsive
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub driver_timeout: Duration,
    /// Where sysfs is mounted: NUMA nodes and PCI devices are read there
    #[arg(long, value_name = "PATH", default_value = "/sys")]
    pub sysfs: PathBuf,
    /// Print one report as JSON and end
    #[arg(long)]
    pub once: bool,
    /// Form of the log on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Flags that have been checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the Node object.
    pub node: String,
    /// Where reports go, path included.
    pub reports: Url,
    /// Where metrics are served.
    pub listen: SocketAddr,
    /// The driver's library, if it is not the loader's choice.
    pub nvml_library: Option<PathBuf>,
    /// Time between two sweeps.
    pub interval: Duration,
    /// How long a sweep may take.
    pub driver_timeout: Duration,
    /// Where sysfs is.
    pub sysfs: PathBuf,
    /// Print one report and end.
    pub once: bool,
}

/// What is wrong with the flags.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FlagsError {
    /// Nobody said which node this is.
    #[error("--node is missing: reports name their Node; set NODE_NAME from spec.nodeName in the DaemonSet")]
    NoNode,
    /// Not a URL to which a report can be sent.
    #[error(
        "--extender {said}: {why}; give the address of Muster's Service, such as http://muster.muster-system.svc:7070"
    )]
    Extender {
        /// What was given.
        said: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Flags {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn checked(self) -> Result<Settings, FlagsError> {
        let reports = reports_url(&self.extender)
            .map_err(|why| FlagsError::Extender { said: self.extender.clone(), why })?;
        let host = || std::fs::read_to_string(HOST_NAME).ok().map(|name| name.trim().to_owned());
        let named = self.node.filter(|name| !name.is_empty());
        let node = if self.once { named.or_else(host) } else { named }.ok_or(FlagsError::NoNode)?;
        Ok(Settings {
            node,
            reports,
            listen: self.listen,
            nvml_library: self.nvml_library,
            interval: self.interval,
            driver_timeout: self.driver_timeout,
            sysfs: self.sysfs,
            once: self.once,
        })
    }
}

fn reports_url(said: &str) -> Result<Url, String> {
    let url = Url::parse(said).map_err(|fault| fault.to_string())?;
    match url.scheme() {
        "http" => url.join("/v1/reports").map_err(|fault| fault.to_string()),
        "https" => Err("this build speaks http only".to_owned()),
        other => Err(format!("{other} is not http")),
    }
}

/// `500ms`, `5s` or `2m`; at least 10 ms.
fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err("give a number and ms, s or m, such as 5s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "give a number and ms, s or m, such as 5s".to_owned())?;
    match number.checked_mul(milliseconds) {
        Some(total @ 10..=3_600_000) => Ok(Duration::from_millis(total)),
        _ => Err("give a time from 10ms to 60m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(arguments: &[&str]) -> Result<Settings, FlagsError> {
        Flags::parse_from([&["muster-agent", "--node", "n"], arguments].concat()).checked()
    }

    #[test]
    fn the_reports_go_to_the_intake() {
        let settings = flags(&["--extender", "http://muster.muster-system.svc:7070"]).unwrap();
        assert_eq!(settings.reports.as_str(), "http://muster.muster-system.svc:7070/v1/reports");
        let fault = flags(&["--extender", "https://muster"]).unwrap_err().to_string();
        assert!(fault.contains("speaks http only"), "{fault}");
        let fault = flags(&["--extender", "muster:7070"]).unwrap_err().to_string();
        assert!(fault.contains("is not http"), "{fault}");
    }

    #[test]
    fn times_have_units_and_bounds() {
        let table = [("500ms", Some(500)), ("5s", Some(5_000)), ("2m", Some(120_000))];
        let bad = [("5", None), ("s", None), ("0s", None), ("5h", None), ("99999999999999999999s", None)];
        for (text, milliseconds) in table.into_iter().chain(bad) {
            assert_eq!(duration(text).ok(), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}
