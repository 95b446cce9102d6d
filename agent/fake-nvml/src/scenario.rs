//! The scenario file: which machine is played, and what is the matter with it now.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use crate::profile::Profile;

/// A scenario as in the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name of a built-in machine: see [`Profile::NAMES`].
    pub profile: String,
    /// Seed of UUIDs and serial numbers: two nodes of one profile have different GPUs.
    pub node: String,
    /// The driver as a whole.
    #[serde(default)]
    pub driver: Driver,
    /// Functions that answer `FUNCTION_NOT_FOUND`, as a library says that is newer than its kernel module.
    #[serde(default)]
    pub missing: Vec<String>,
    /// What differs from an idle, healthy GPU, by index.
    #[serde(default)]
    pub gpus: BTreeMap<u32, Gpu>,
}

/// The driver as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Driver {
    /// Whether the kernel module is there.
    pub state: Presence,
    /// What `nvmlSystemGetDriverVersion` says.
    pub version: String,
    /// How long initialisation takes, in milliseconds.
    pub init_delay_ms: u64,
    /// How long every call on a GPU takes, in milliseconds. A call that waits goes on as soon as this shrinks.
    pub call_delay_ms: u64,
}

impl Default for Driver {
    fn default() -> Driver {
        let version = "570.86.15".to_owned();
        Driver { state: Presence::Loaded, version, init_delay_ms: 0, call_delay_ms: 0 }
    }
}

/// Whether the kernel module is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It is.
    Loaded,
    /// Calls say `DRIVER_NOT_LOADED`.
    Absent,
}

/// One GPU; what is absent is as on an idle, healthy one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gpu {
    /// Whether it answers.
    pub state: State,
    /// Share of time in which a kernel ran, 0 to 100.
    pub utilisation_percent: u32,
    /// Memory in use in MiB.
    pub memory_used_mib: u64,
    /// Temperature in degrees Celsius.
    pub temperature_c: Option<u32>,
    /// Power in milliwatts.
    pub power_mw: Option<u32>,
    /// Corrected memory errors since the driver was loaded.
    pub ecc_corrected: u64,
    /// Uncorrected memory errors since the driver was loaded.
    pub ecc_uncorrected: u64,
    /// XIDs raised so far. A number that is appended while somebody waits for events is delivered once.
    pub xids: Vec<u64>,
    /// `NVLinks` that are down, by number.
    pub links_down: Vec<u32>,
}

/// Whether a GPU answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    #[default]
    Ok,
    /// It has fallen off the bus: calls say `GPU_IS_LOST`, and go on saying so until the library is shut down and
    /// initialised again, whatever the file says.
    Lost,
    /// It is not enumerated by the next initialisation: the count is smaller.
    Gone,
}

/// What is wrong with a scenario.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The variable is not set.
    #[error(
        "no scenario: set {variable} to the path of a scenario file, such as scenarios/idle-dgx-h100.yaml"
    )]
    NoPath {
        /// The variable's name.
        variable: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read the scenario {path}: {source}; check {variable}")]
    Read {
        /// The file.
        path: String,
        /// The variable's name.
        variable: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Not YAML, or an unknown or ill-typed field.
    #[error("the scenario is malformed: {0}")]
    Malformed(String),
    /// An unknown machine.
    #[error("profile: there is no {found:?}; there are {known}", known = Profile::NAMES.join(", "))]
    UnknownProfile {
        /// The name said.
        found: String,
    },
    /// A GPU that the machine does not have.
    #[error("gpus: there is no GPU {index}; the profile has 0 to {last}")]
    NoSuchGpu {
        /// The index said.
        index: u32,
        /// The last index there is.
        last: u32,
    },
    /// A value out of range.
    #[error("gpus.{index}.{field}: {found} is more than {most}")]
    TooMuch {
        /// The GPU.
        index: u32,
        /// Its field.
        field: &'static str,
        /// The value said.
        found: u64,
        /// The most it may be.
        most: u64,
    },
    /// A link that the GPU does not have.
    #[error("gpus.{index}.links_down: there is no link {link}; the GPU has {links}")]
    NoSuchLink {
        /// The GPU.
        index: u32,
        /// The link said.
        link: u32,
        /// How many there are.
        links: usize,
    },
}

impl Scenario {
    /// Reads a scenario and the profile that it names.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<(Scenario, Profile), ScenarioError> {
        let scenario: Scenario =
            serde_saphyr::from_str(text).map_err(|fault| ScenarioError::Malformed(fault.to_string()))?;
        let profile = Profile::named(&scenario.profile)
            .ok_or_else(|| ScenarioError::UnknownProfile { found: scenario.profile.clone() })?;
        for (index, gpu) in &scenario.gpus {
            check(*index, gpu, &profile)?;
        }
        Ok((scenario, profile))
    }
}

fn check(index: u32, gpu: &Gpu, profile: &Profile) -> Result<(), ScenarioError> {
    if index >= profile.gpus {
        return Err(ScenarioError::NoSuchGpu { index, last: profile.gpus.saturating_sub(1) });
    }
    let bounded = |field, found, most| {
        if found > most { Err(ScenarioError::TooMuch { index, field, found, most }) } else { Ok(()) }
    };
    bounded("utilisation_percent", u64::from(gpu.utilisation_percent), 100)?;
    bounded("memory_used_mib", gpu.memory_used_mib, profile.memory_mib)?;
    let links = profile.links(index).len();
    let absent = |link: &&u32| usize::try_from(**link).is_ok_and(|link| link >= links);
    match gpu.links_down.iter().find(absent) {
        Some(link) => Err(ScenarioError::NoSuchLink { index, link: *link, links }),
        None => Ok(()),
    }
}
