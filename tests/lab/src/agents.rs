//! Real node agents, each on a driver that plays a scenario: `muster-agent` with the fake `libnvidia-ml.so.1`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process::{Launch, Process};
use crate::{cluster, ports};

/// Where the agent and the fake driver are.
#[derive(Clone, Debug)]
pub struct AgentPrograms {
    /// `muster-agent`.
    pub agent: PathBuf,
    /// The fake driver's library.
    pub driver: PathBuf,
}

impl AgentPrograms {
    /// Those that cargo built into a folder such as `target/debug`.
    pub fn built_into(folder: &Path) -> Result<AgentPrograms> {
        let programs =
            AgentPrograms { agent: folder.join("muster-agent"), driver: folder.join("libfake_nvml.so") };
        for file in [&programs.agent, &programs.driver] {
            ensure!(file.exists(), "{} is missing: run `cargo build` first", file.display());
        }
        Ok(programs)
    }

    /// Those in the workspace's debug folder.
    pub fn locate() -> Result<AgentPrograms> {
        Self::built_into(&cluster::repository().join("target/debug"))
    }
}

/// Running agents, by node. Dropping them kills them.
pub struct Agents {
    agents: BTreeMap<String, Agent>,
}

/// One running agent.
pub struct Agent {
    /// The program.
    pub process: Process,
    /// Where it serves its metrics: `http://127.0.0.1:PORT`.
    pub url: String,
    scenario: PathBuf,
}

impl Agent {
    /// Starts the agent of a node whose driver plays a scenario, which begins with `profile:`; the name is added.
    /// `dir` is for its files.
    pub fn start(
        programs: &AgentPrograms,
        dir: &Path,
        node: &str,
        scenario: &str,
        arguments: &[&str],
    ) -> Result<Agent> {
        let file = dir.join(format!("{node}-driver.yaml"));
        play(&file, node, scenario)?;
        let [port] = ports::free()?;
        let process = Launch::new(format!("agent-{node}"), &programs.agent, dir)
            .env("NODE_NAME", node)
            .env("FAKE_NVML_SCENARIO", file.display().to_string())
            .arg("--nvml-library")
            .arg(programs.driver.display().to_string())
            .args(["--listen".to_owned(), format!("127.0.0.1:{port}")])
            // No machine of ours may tell a played GPU where it is.
            .args(["--sysfs".to_owned(), dir.join("no-sysfs").display().to_string()])
            .args(arguments.iter().copied())
            .spawn()?;
        Ok(Agent { process, url: format!("http://127.0.0.1:{port}"), scenario: file })
    }
}

impl Agents {
    /// Starts an agent for each node; they report to the extender at `base` and look at their GPUs often.
    pub fn start<'n>(
        dir: &Path,
        base: &str,
        nodes: impl IntoIterator<Item = (&'n str, &'n str)>,
    ) -> Result<Agents> {
        let programs = AgentPrograms::locate()?;
        let arguments = ["--extender", base, "--interval", "200ms"];
        let start = |(node, scenario): (&str, &str)| {
            let agent = Agent::start(&programs, dir, node, scenario, &arguments)?;
            Ok((node.to_owned(), agent))
        };
        Ok(Agents { agents: nodes.into_iter().map(start).collect::<Result<_>>()? })
    }

    /// The agent of a node.
    pub fn of(&self, node: &str) -> Result<&Agent> {
        self.agents.get(node).with_context(|| format!("{node} has no agent"))
    }

    /// Changes what the driver of a node plays.
    pub fn play(&self, node: &str, scenario: &str) -> Result<()> {
        play(&self.of(node)?.scenario, node, scenario)
    }
}

/// Replaces the file as a whole, so that nobody reads a half of it.
fn play(file: &Path, node: &str, scenario: &str) -> Result<()> {
    let draft = file.with_extension("draft");
    fs::write(&draft, format!("node: {node}\n{scenario}\n")).context("write a scenario")?;
    fs::rename(&draft, file).context("replace a scenario")
}
