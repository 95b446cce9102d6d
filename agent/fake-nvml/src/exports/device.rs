//! Handles, identity and readings of GPUs.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_ulonglong};
use std::mem::size_of;

use nvml::{
    nvmlAffinityScope_t, nvmlDevice_t, nvmlEccCounterType_t, nvmlEnableState_t, nvmlMemory_t,
    nvmlMemory_v2_t, nvmlMemoryErrorType_t, nvmlPciInfo_t, nvmlTemperatureSensors_t, nvmlUtilization_t,
};
use nvml_wrapper_sys::bindings as nvml;

use super::{Code, card, code, devices, exports, handle, index_of, out};
use crate::play::Card;
use crate::session::Session;

const MIB: u64 = 1 << 20;
const ENABLED: nvmlEnableState_t = nvml::nvmlEnableState_enum_NVML_FEATURE_ENABLED;
/// What the driver keeps for itself; clients see it as `reserved`, or as part of `used` in the first version.
const RESERVED_MIB: u64 = 450;
/// Real NVML wants the struct's size and `version << 24` in its first word.
const MEMORY_V2: usize = size_of::<nvmlMemory_v2_t>() | 2 << 24;

exports! { devices;
    fn nvmlDeviceGetCount_v2(count: *mut c_uint) |session| {
        session.node()?;
        out::set(count, c_uint::try_from(session.enumerated().len()).unwrap_or_default())
    };
    fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut nvmlDevice_t) |session| {
        session.node()?;
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        give(session, session.enumerated().get(at).copied(), code::INVALID, device)
    };
    fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut nvmlDevice_t) |session| {
        let wanted = out::read(uuid)?;
        give(session, find(session, |card| card.uuid() == wanted)?, code::NOT_FOUND, device)
    };
    fn nvmlDeviceGetHandleBySerial(serial: *const c_char, device: *mut nvmlDevice_t) |session| {
        let wanted = out::read(serial)?;
        give(session, find(session, |card| card.serial() == wanted)?, code::NOT_FOUND, device)
    };
    fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: *const c_char, device: *mut nvmlDevice_t) |session| {
        // Both the four-digit and the eight-digit domain are taken, in either case.
        let wanted = out::read(bus_id)?.to_lowercase();
        let is_it = |card: Card<'_>| bus_id_of(card.bus()).to_lowercase().ends_with(&wanted);
        give(session, find(session, is_it)?, code::NOT_FOUND, device)
    };
    fn nvmlDeviceGetUUID(device: nvmlDevice_t, uuid: *mut c_char, length: c_uint)
        |session| out::text(uuid, length, &card(session, device)?.uuid());
    fn nvmlDeviceGetName(device: nvmlDevice_t, name: *mut c_char, length: c_uint)
        |session| out::text(name, length, &card(session, device)?.profile.model);
    fn nvmlDeviceGetSerial(device: nvmlDevice_t, serial: *mut c_char, length: c_uint)
        |session| out::text(serial, length, &card(session, device)?.serial());
    fn nvmlDeviceGetIndex(device: nvmlDevice_t, index: *mut c_uint) |session| {
        let own = card(session, device)?.index;
        let at = session.enumerated().iter().position(|other| *other == own).ok_or(code::INVALID)?;
        out::set(index, c_uint::try_from(at).unwrap_or_default())
    };
    fn nvmlDeviceGetMinorNumber(device: nvmlDevice_t, minor: *mut c_uint)
        |session| out::set(minor, card(session, device)?.index);
    fn nvmlDeviceGetPciInfo_v3(device: nvmlDevice_t, pci: *mut nvmlPciInfo_t) |session| {
        let card = card(session, device)?;
        out::set(pci, pci_info(card.bus(), card.profile.pci_device_id))
    };
    fn nvmlDeviceGetMemoryInfo(device: nvmlDevice_t, memory: *mut nvmlMemory_t) |session| {
        let [total, used, reserved] = memory_of(card(session, device)?);
        out::set(memory, nvmlMemory_t { total, free: total - used - reserved, used: used + reserved })
    };
    fn nvmlDeviceGetMemoryInfo_v2(device: nvmlDevice_t, memory: *mut nvmlMemory_v2_t) |session| {
        let [total, used, reserved] = memory_of(card(session, device)?);
        if memory.is_null() {
            return Err(code::INVALID);
        }
        let version = (*memory).version;
        if usize::try_from(version) != Ok(MEMORY_V2) {
            return Err(code::VERSION);
        }
        out::set(memory, nvmlMemory_v2_t { version, total, reserved, free: total - used - reserved, used })
    };
    fn nvmlDeviceGetUtilizationRates(device: nvmlDevice_t, rates: *mut nvmlUtilization_t) |session| {
        let gpu = card(session, device)?.now.utilisation_percent;
        out::set(rates, nvmlUtilization_t { gpu, memory: gpu / 2 })
    };
    fn nvmlDeviceGetTemperature(device: nvmlDevice_t, sensor: nvmlTemperatureSensors_t, degrees: *mut c_uint) |session| {
        let card = card(session, device)?;
        if sensor != nvml::nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU {
            return Err(code::INVALID);
        }
        out::set(degrees, card.temperature_c())
    };
    fn nvmlDeviceGetPowerUsage(device: nvmlDevice_t, milliwatts: *mut c_uint)
        |session| out::set(milliwatts, card(session, device)?.power_mw());
    fn nvmlDeviceGetEnforcedPowerLimit(device: nvmlDevice_t, milliwatts: *mut c_uint)
        |session| out::set(milliwatts, card(session, device)?.profile.power_limit_mw);
    fn nvmlDeviceGetPersistenceMode(device: nvmlDevice_t, mode: *mut nvmlEnableState_t)
        |session| { card(session, device)?; out::set(mode, ENABLED) };
    fn nvmlDeviceGetCudaComputeCapability(device: nvmlDevice_t, major: *mut c_int, minor: *mut c_int) |session| {
        let [high, low] = card(session, device)?.profile.compute_capability;
        out::set(major, high)?;
        out::set(minor, low)
    };
    fn nvmlDeviceGetArchitecture(device: nvmlDevice_t, architecture: *mut c_uint)
        |session| out::set(architecture, card(session, device)?.profile.architecture);
    fn nvmlDeviceGetMaxPcieLinkGeneration(device: nvmlDevice_t, generation: *mut c_uint)
        |session| out::set(generation, card(session, device)?.profile.pcie.generation);
    fn nvmlDeviceGetMaxPcieLinkWidth(device: nvmlDevice_t, lanes: *mut c_uint)
        |session| out::set(lanes, card(session, device)?.profile.pcie.width);
    fn nvmlDeviceGetMemoryAffinity(device: nvmlDevice_t, words: c_uint, set: *mut c_ulong, scope: nvmlAffinityScope_t) |session| {
        let _ = scope;
        nodes(card(session, device)?.numa(), words, set)
    };
    fn nvmlDeviceGetEccMode(device: nvmlDevice_t, current: *mut nvmlEnableState_t, pending: *mut nvmlEnableState_t) |session| {
        card(session, device)?;
        out::set(current, ENABLED)?;
        out::set(pending, ENABLED)
    };
    fn nvmlDeviceGetTotalEccErrors(device: nvmlDevice_t, kind: nvmlMemoryErrorType_t, since: nvmlEccCounterType_t, count: *mut c_ulonglong) |session| {
        let _ = since;
        let gpu = card(session, device)?.now;
        let is_uncorrected = kind == nvml::nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_UNCORRECTED;
        out::set(count, if is_uncorrected { gpu.ecc_uncorrected } else { gpu.ecc_corrected })
    };
}

/// Gives out the handle of a GPU that was found.
///
/// # Safety
/// `device` is null or valid for a write.
unsafe fn give(
    session: &Session,
    index: Option<u32>,
    none: Code,
    device: *mut nvmlDevice_t,
) -> Result<(), Code> {
    let index = index.ok_or(none)?;
    if session.is_lost(index) {
        return Err(code::LOST);
    }
    // SAFETY: this function's contract.
    unsafe { out::set(device, handle(index)) }
}

fn find(session: &Session, is_it: impl Fn(Card<'_>) -> bool) -> Result<Option<u32>, Code> {
    let found = session.node()?.cards().find(|card| is_it(*card)).map(|card| card.index);
    Ok(found.filter(|index| index_of(session, handle(*index)).is_ok()))
}

/// Total, used and reserved bytes.
fn memory_of(card: Card<'_>) -> [u64; 3] {
    let total = card.profile.memory_mib * MIB;
    let used = card.now.memory_used_mib * MIB;
    [total, used, (RESERVED_MIB * MIB).min(total - used)]
}

fn bus_id_of(bus: u32) -> String {
    format!("00000000:{bus:02X}:00.0")
}

/// PCI information as NVML gives it, of something on a bus.
pub(super) fn pci_info(bus: u32, device_id: u32) -> nvmlPciInfo_t {
    nvmlPciInfo_t {
        busIdLegacy: out::field(&format!("0000:{bus:02X}:00.0")),
        domain: 0,
        bus,
        device: 0,
        pciDeviceId: device_id,
        pciSubSystemId: 0,
        busId: out::field(&bus_id_of(bus)),
    }
}

/// A set of NUMA nodes with one member.
///
/// # Safety
/// `set` is null or valid for a write of `words` words.
unsafe fn nodes(node: u32, words: c_uint, set: *mut c_ulong) -> Result<(), Code> {
    let (word, bit) = (node / c_ulong::BITS, node % c_ulong::BITS);
    if set.is_null() {
        return Err(code::INVALID);
    }
    if word >= words {
        return Err(code::TOO_SMALL);
    }
    for at in 0..words {
        let value = if at == word { 1 << bit } else { 0 };
        // SAFETY: `at` is below `words`.
        unsafe { set.add(usize::try_from(at).unwrap_or_default()).write(value) };
    }
    Ok(())
}
