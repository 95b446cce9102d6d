//! The program under test.

use std::path::PathBuf;

use anyhow::Result;

use crate::Lab;
use crate::identity::MUSTER;
use crate::process::{Launch, Process};

/// How to start Muster.
#[derive(Debug, Clone)]
pub struct MusterOptions {
    /// The program, for example `env!("CARGO_BIN_EXE_muster")`.
    pub binary: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// Environment variables, over those of the test.
    pub env: Vec<(String, String)>,
    /// Arguments; when empty `serve --config CONFIG`.
    pub args: Vec<String>,
    /// Names the log; two replicas in one lab need two names.
    pub name: String,
}

impl MusterOptions {
    /// `muster serve --config CONFIG`.
    pub fn new(binary: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        let name = "muster".to_owned();
        Self { binary: binary.into(), config: config.into(), env: Vec::new(), args: Vec::new(), name }
    }
}

impl Lab {
    /// Starts Muster as [`MUSTER`], the identity that it has in a real cluster (its RBAC rules must have been
    /// applied). It finds the API server through `KUBECONFIG`.
    ///
    /// Drop the process before the lab, or it will look for a server that is gone.
    pub fn start_muster(&self, options: MusterOptions) -> Result<Process> {
        let mut launch = Launch::new(options.name, options.binary, self.dir())
            .env("KUBECONFIG", self.site.kubeconfig(MUSTER).display().to_string());
        for (name, value) in options.env {
            launch = launch.env(name, value);
        }
        let launch = if options.args.is_empty() {
            launch.args(["serve", "--config"]).arg(options.config.display().to_string())
        } else {
            launch.args(options.args)
        };
        launch.spawn()
    }
}
