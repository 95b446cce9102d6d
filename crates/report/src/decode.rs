//! Bytes to [`Report`], or the reason why not.
//!
//! The version is read first and alone: a report of a later version may have any shape, and "too new" is a
//! better answer than "malformed". Limits bound what one node can make the extender store.

use serde::Deserialize;
use thiserror::Error;

use crate::report::{DevicePlugin, Gpu, Health, Report, VERSION};

/// Longest report in bytes. 64 GPUs with both full matrices take about 80 KiB.
pub const BYTES_MAX: usize = 256 * 1024;
/// Most GPUs of one node. The largest machines have 16; NVLink domains span nodes.
pub const GPUS_MAX: usize = 64;
/// Longest text in bytes; a node's name has at most 253.
pub const TEXT_MAX: usize = 256;

/// Why a report was not read. Each says what is wrong, where, and what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than any report has.
    #[error("the report has {bytes} bytes, {BYTES_MAX} are allowed; check that the body is one report")]
    TooLarge {
        /// Bytes received.
        bytes: usize,
    },
    /// Not JSON, or not in the form of its version.
    #[error("the report is malformed: {0}; compare it with the report format of version {VERSION}")]
    Malformed(#[from] serde_json::Error),
    /// A version that this build does not know.
    #[error("version: {found} is not known here, {VERSION} is; upgrade the extender before its agents")]
    UnknownVersion {
        /// The version said.
        found: u64,
    },
    /// More GPUs than a node can have.
    #[error("gpus: {found} GPUs, {GPUS_MAX} are allowed on one node; report each node by itself")]
    TooManyGpus {
        /// GPUs said.
        found: usize,
    },
    /// One GPU twice.
    #[error("gpus: {uuid} is there twice; report each GPU once")]
    DuplicateGpu {
        /// The UUID.
        uuid: String,
    },
    /// A matrix or list does not fit the GPUs.
    #[error("{field}: {found} for {gpus} GPUs; send one row of {gpus} numbers per GPU, or leave all out")]
    MatrixSize {
        /// Path of the field.
        field: &'static str,
        /// Number of GPUs.
        gpus: usize,
        /// What was found instead.
        found: String,
    },
    /// A text without a character.
    #[error("{field}: is empty; it is needed to tell one from another")]
    TextEmpty {
        /// Path of the field.
        field: String,
    },
    /// A text that is too long.
    #[error("{field}: {bytes} bytes, {TEXT_MAX} are allowed; shorten it")]
    TextTooLong {
        /// Path of the field.
        field: String,
        /// Its length.
        bytes: usize,
    },
    /// A share of more than the whole.
    #[error("{field}: {found} %, but a share of time is at most 100 %; check the reading")]
    ShareTooLarge {
        /// Path of the field.
        field: String,
        /// The share said.
        found: u8,
    },
}

/// Reads a report.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn decode(body: &[u8]) -> Result<Report, DecodeError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }

    if body.len() > BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes: body.len() });
    }
    let Versioned { version } = serde_json::from_slice(body)?;
    if version != u64::from(VERSION) {
        return Err(DecodeError::UnknownVersion { found: version });
    }
    let report: Report = serde_json::from_slice(body)?;
    check(&report)?;
    Ok(report)
}

fn check(report: &Report) -> Result<(), DecodeError> {
    identity(|| "node".into(), &report.node)?;
    identity(|| "boot_id".into(), &report.boot_id)?;
    if let Some(driver) = &report.driver {
        bounded(|| "driver.why".into(), driver.why.as_deref().unwrap_or_default())?;
        bounded(|| "driver.version".into(), driver.version.as_deref().unwrap_or_default())?;
    }
    let gpus = report.gpus.len();
    if gpus > GPUS_MAX {
        return Err(DecodeError::TooManyGpus { found: gpus });
    }
    for (at, gpu) in report.gpus.iter().enumerate() {
        check_gpu(at, gpu)?;
    }
    let mut uuids: Vec<&str> = report.gpus.iter().map(|g| g.uuid.as_str()).collect();
    uuids.sort_unstable();
    if let Some(twice) = uuids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(DecodeError::DuplicateGpu { uuid: twice[0].to_owned() });
    }
    if !report.link_gbps.is_empty() {
        check_matrix("link_gbps", gpus, &report.link_gbps)?;
    }
    report.device_plugin.as_ref().map_or(Ok(()), |seen| check_plugin(gpus, seen))
}

fn check_plugin(gpus: usize, seen: &DevicePlugin) -> Result<(), DecodeError> {
    check_matrix("device_plugin.pair_points", gpus, &seen.pair_points)?;
    if seen.numa_nodes.len() != gpus {
        let found = format!("{} NUMA nodes", seen.numa_nodes.len());
        return Err(DecodeError::MatrixSize { field: "device_plugin.numa_nodes", gpus, found });
    }
    Ok(())
}

fn check_gpu(at: usize, gpu: &Gpu) -> Result<(), DecodeError> {
    identity(|| format!("gpus[{at}].uuid"), &gpu.uuid)?;
    bounded(|| format!("gpus[{at}].model"), &gpu.model)?;
    bounded(|| format!("gpus[{at}].pci_address"), &gpu.pci_address)?;
    if let Health::Unhealthy { reason } | Health::Degraded { reason } = &gpu.health {
        bounded(|| format!("gpus[{at}].health.reason"), reason)?;
    }
    if gpu.utilisation_percent > 100 {
        let field = format!("gpus[{at}].utilisation_percent");
        return Err(DecodeError::ShareTooLarge { field, found: gpu.utilisation_percent });
    }
    Ok(())
}

fn check_matrix(field: &'static str, gpus: usize, rows: &[Vec<u32>]) -> Result<(), DecodeError> {
    if rows.len() != gpus {
        return Err(DecodeError::MatrixSize { field, gpus, found: format!("{} rows", rows.len()) });
    }
    match rows.iter().position(|row| row.len() != gpus) {
        Some(at) => {
            let found = format!("{} numbers in row {at}", rows[at].len());
            Err(DecodeError::MatrixSize { field, gpus, found })
        }
        None => Ok(()),
    }
}

fn identity(field: impl Fn() -> String, text: &str) -> Result<(), DecodeError> {
    if text.is_empty() {
        return Err(DecodeError::TextEmpty { field: field() });
    }
    bounded(field, text)
}

fn bounded(field: impl Fn() -> String, text: &str) -> Result<(), DecodeError> {
    if text.len() > TEXT_MAX {
        return Err(DecodeError::TextTooLong { field: field(), bytes: text.len() });
    }
    Ok(())
}
