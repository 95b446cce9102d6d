//! NVML: finding the library, initialising it, and telling what its errors mean for us.
//!
//! Everything under here may block for ever and is called on the sampler's and the XID thread only.

mod identity;
mod links;
mod raw;
mod sweep;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use thiserror::Error;

pub(crate) use links::read as read_links;
pub(crate) use raw::{address_of, listen_to};
pub(crate) use sweep::sweep;

use crate::node::Identity;

/// What the loader is asked for if nobody names a file.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// Linux names PCI vendors so; 0x10de is NVIDIA.
const NVIDIA: &str = "0x10de";
/// Display controllers: a GPU is one, the switches and audio devices beside it are not.
const DISPLAY: &str = "0x03";

/// An initialised driver.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Shared with the thread that waits for XIDs.
    pub(crate) nvml: Arc<Nvml>,
    pub(crate) version: String,
    /// Index and identity of the GPUs that said who they are.
    pub(crate) gpus: Vec<(u32, Identity)>,
    /// How many GPUs NVML counts.
    pub(crate) count: u32,
}

/// Why there is no driver to ask. Each says what is wrong, why, and what to do next.
#[derive(Debug, Error)]
pub(crate) enum DriverError {
    /// The loader does not find or take the file.
    #[error("cannot load {library}: {why}; {next}")]
    NoLibrary { library: String, why: String, next: String },
    /// A library, but another one.
    #[error(
        "{library} is not NVML: it has no nvmlInit_v2; give the driver's libnvidia-ml.so.1 to --nvml-library"
    )]
    NotNvml { library: String },
    /// The library is there, the kernel module is not.
    #[error("{library} finds no kernel driver; {next}")]
    NotLoaded { library: String, next: String },
    /// The driver was exchanged under a library that is still the old one.
    #[error(
        "{library} and the kernel driver are of different versions; restart the pod once the upgrade is over"
    )]
    Mismatch { library: String },
    /// A function that cannot be done without.
    #[error("{library} has no {function}; the driver is too old or broken: install 450 or later")]
    NoFunction { library: String, function: String },
    /// Anything else.
    #[error("{action} failed: {source}; the driver's own log (dmesg) says more")]
    Failed { action: &'static str, source: NvmlError },
}

/// What an error of one call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// That GPU is gone.
    Gpu,
    /// The driver is gone.
    Driver,
    /// That reading is not to be had.
    Reading,
}

/// `NVML_ERROR_GPU_NOT_FOUND`, which the wrapper's enum does not have.
const GPU_NOT_FOUND: u32 = 28;

/// What an error is about.
pub(crate) fn blame(error: &NvmlError) -> Blame {
    match error {
        NvmlError::GpuLost | NvmlError::ResetRequired | NvmlError::UnexpectedVariant(GPU_NOT_FOUND) => {
            Blame::Gpu
        }
        NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch => {
            Blame::Driver
        }
        _ => Blame::Reading,
    }
}

impl Driver {
    /// Loads and initialises the library, and asks every GPU who it is.
    pub(crate) fn open(library: Option<&Path>, sysfs: &Path) -> Result<Driver, DriverError> {
        let library = library.unwrap_or(Path::new(LIBRARY));
        let nvml = Nvml::builder().lib_path(library.as_os_str()).init();
        let nvml = nvml.map_err(|source| at_start(source, library.as_os_str(), sysfs))?;
        let failed = |action| move |source| in_use(action, source, library.as_os_str());
        let version = nvml.sys_driver_version().unwrap_or_else(|_| "unknown".to_owned());
        let count = nvml.device_count().map_err(failed("counting the GPUs"))?;
        let mut gpus = Vec::new();
        for index in 0..count {
            match identity::read(&nvml, index, sysfs) {
                Ok(identity) => gpus.push((index, identity)),
                Err(error) if blame(&error) == Blame::Gpu => {}
                Err(error) => return Err(failed("asking a GPU who it is")(error)),
            }
        }
        Ok(Driver { nvml: Arc::new(nvml), version, gpus, count })
    }
}

fn at_start(source: NvmlError, library: &OsStr, sysfs: &Path) -> DriverError {
    let library = library.to_string_lossy().into_owned();
    let next = || match nvidia_gpus(sysfs) {
        0 => "the PCI bus has no NVIDIA GPU, so there is nothing to do".to_owned(),
        count => {
            format!(
                "the PCI bus has NVIDIA GPUs ({count}): install the driver, or make it visible to this pod"
            )
        }
    };
    match source {
        NvmlError::LibloadingError(source) => {
            // The loader's own words are in the source of the source.
            let why =
                std::error::Error::source(&source).map_or_else(|| source.to_string(), ToString::to_string);
            DriverError::NoLibrary { library, why, next: next() }
        }
        NvmlError::FailedToLoadSymbol(_) => DriverError::NotNvml { library },
        NvmlError::DriverNotLoaded => DriverError::NotLoaded { library, next: next() },
        NvmlError::LibRmVersionMismatch => DriverError::Mismatch { library },
        source => DriverError::Failed { action: "nvmlInit", source },
    }
}

fn in_use(action: &'static str, source: NvmlError, library: &OsStr) -> DriverError {
    let library = library.to_string_lossy().into_owned();
    match source {
        // The loader says `…: undefined symbol: NAME`.
        NvmlError::FailedToLoadSymbol(text) => {
            let function = text.rsplit(": ").next().unwrap_or(&text).to_owned();
            DriverError::NoFunction { library, function }
        }
        NvmlError::LibRmVersionMismatch => DriverError::Mismatch { library },
        source => DriverError::Failed { action, source },
    }
}

/// GPUs of NVIDIA's on the PCI bus, whether or not there is a driver for them.
fn nvidia_gpus(sysfs: &Path) -> usize {
    let Ok(devices) = std::fs::read_dir(sysfs.join("bus/pci/devices")) else { return 0 };
    let has = |device: &Path, file: &str, begin: &str| {
        std::fs::read_to_string(device.join(file)).is_ok_and(|text| text.starts_with(begin))
    };
    let is_gpu = |device: &std::fs::DirEntry| {
        has(&device.path(), "vendor", NVIDIA) && has(&device.path(), "class", DISPLAY)
    };
    devices.flatten().filter(is_gpu).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_without_a_driver_are_counted_and_their_switches_are_not() {
        let sysfs = tempfile::tempdir().unwrap();
        let device = |name: &str, vendor: &str, class: &str| {
            let folder = sysfs.path().join("bus/pci/devices").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("vendor"), vendor).unwrap();
            std::fs::write(folder.join("class"), class).unwrap();
        };
        assert_eq!(nvidia_gpus(sysfs.path()), 0);
        device("0000:07:00.0", "0x10de\n", "0x030200\n");
        device("0000:c4:00.0", "0x10de\n", "0x068000\n");
        device("0000:02:00.0", "0x8086\n", "0x030000\n");
        assert_eq!(nvidia_gpus(sysfs.path()), 1);
    }
}
