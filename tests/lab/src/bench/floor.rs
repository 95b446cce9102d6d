//! What a figure is measured against, in a process of its own, as Muster is.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A server as another process: this same program with another `--only`. Dropping it ends it.
pub(super) struct Floor {
    child: Child,
    /// Where it listens.
    pub(super) port: u16,
}

impl Floor {
    /// Starts the one of a name; it says its port in its first line.
    pub(super) fn start(name: &str, environment: &[(&str, &OsStr)]) -> Result<Floor> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["bench", "--muster", "none", "--only", name])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let mut line = String::new();
        let output = child.stdout.take().context("it has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse();
        let floor = Floor { child, port: *port.as_ref().unwrap_or(&0) };
        port.with_context(|| format!("{name} said {line:?} instead of its port"))?;
        Ok(floor)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
