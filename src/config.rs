//! The configuration: one YAML file and a few flags, read once and validated as a whole.
//!
//! Two steps: what the user wrote (`raw`), then what it means (`meaning`). Both collect faults instead of
//! stopping at the first, so that a user sees all of them at once, each with its path, what is wrong and
//! what to do. A [`Config`] is only made of a file without faults.

mod fault;
mod flags;
mod meaning;
mod raw;
mod section;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use muster_placement::Settings;
use thiserror::Error;

pub use fault::{Fault, Faults};
pub use flags::{LogFormat, ServeFlags};

/// What `muster serve` runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where extender verbs, intake, API, probes and metrics are served.
    pub listen: SocketAddr,
    /// Names of the kube-schedulers that call us; pods of others only take room.
    pub scheduler_names: Vec<String>,
    /// Settings of the core.
    pub settings: Settings,
    /// Kubeconfig file; absent inside a cluster, and where the usual places are meant.
    pub kubeconfig: Option<PathBuf>,
    /// Form of the log.
    pub log_format: LogFormat,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file was not read.
    #[error("the configuration {} cannot be read: {source}; check --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a configuration.
    #[error("the configuration {}: {faults}", path.display())]
    Validate {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        faults: Faults,
    },
}

impl Config {
    /// Reads the file that the flags name; without one the defaults hold.
    ///
    /// # Errors
    /// Why the file cannot be read, or all faults in it.
    pub fn load(flags: &ServeFlags) -> Result<Config, ConfigError> {
        let Some(path) = &flags.config else {
            let path = Path::new("(none)").to_owned();
            return Config::parse("", flags).map_err(|faults| ConfigError::Validate { path, faults });
        };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        Config::parse(&text, flags).map_err(|faults| ConfigError::Validate { path: path.clone(), faults })
    }

    /// Reads a configuration text. Flags count more than the text.
    ///
    /// # Errors
    /// All faults.
    pub fn parse(text: &str, flags: &ServeFlags) -> Result<Config, Faults> {
        let mut faults = Vec::new();
        let raw = raw::read(text, &mut faults);
        let config = meaning::validate(raw, flags, &mut faults);
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(Faults(faults)),
        }
    }
}
