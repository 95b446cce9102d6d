//! Flags of `muster serve`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of `muster serve`. They count more than the file.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeFlags {
    /// Configuration file (YAML); see deploy/muster.yaml. Without one the defaults hold
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port to serve on, in place of `listen` in the file
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Kubeconfig file; otherwise $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Form of the log
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}
