//! One look at every GPU's readings: about ten calls for each.

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::error::NvmlError;

use super::{Blame, Driver, blame, raw};
use crate::node::{Readings, Sweep};

const MIB: u64 = 1 << 20;

/// Reads every GPU. One that is lost is left out; nobody else is blamed for it.
///
/// # Errors
/// An error that is about the driver as a whole: it must be initialised again.
pub(crate) fn sweep(driver: &Driver) -> Result<Sweep, NvmlError> {
    let mut sweep = Sweep::new();
    for (index, identity) in &driver.gpus {
        match driver.nvml.device_by_index(*index).and_then(|device| readings(&device)) {
            Ok(readings) => drop(sweep.insert(identity.uuid.clone(), readings)),
            Err(error) if blame(&error) == Blame::Driver => return Err(error),
            Err(_) => {}
        }
    }
    Ok(sweep)
}

/// What a GPU does not have (utilisation under MIG, power on some boards) reads as 0.
fn readings(device: &Device<'_>) -> Result<Readings, NvmlError> {
    let utilisation = optional(device.utilization_rates())?.map_or(0, |rates| rates.gpu);
    let ecc = |kind| optional(device.total_ecc_errors(kind, EccCounter::Volatile));
    Ok(Readings {
        utilisation_percent: u8::try_from(utilisation.min(100)).unwrap_or(100),
        memory_used_mib: optional(memory(device))?.map_or(0, |[_, used]| used / MIB),
        temperature_c: optional(device.temperature(TemperatureSensor::Gpu))?
            .map_or(0, |degrees| u16::try_from(degrees).unwrap_or(u16::MAX)),
        power_mw: optional(device.power_usage())?.unwrap_or(0),
        ecc_corrected: ecc(MemoryError::Corrected)?,
        ecc_uncorrected: ecc(MemoryError::Uncorrected)?,
    })
}

/// Total and used bytes, by the version of the call that the library has.
pub(super) fn memory(device: &Device<'_>) -> Result<[u64; 2], NvmlError> {
    match device.memory_info() {
        Ok(memory) => Ok([memory.total, memory.used]),
        Err(error) if blame(&error) == Blame::Reading => raw::memory_v1(device),
        Err(error) => Err(error),
    }
}

/// `None` if this reading is not to be had; an error if the GPU or the driver is gone.
fn optional<T>(reading: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match reading {
        Ok(value) => Ok(Some(value)),
        Err(error) if blame(&error) == Blame::Reading => Ok(None),
        Err(error) => Err(error),
    }
}
