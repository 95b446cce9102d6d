//! The calls that `nvml-wrapper` 0.13 lacks or gets wrong, on the function pointers that it loaded. The only
//! `unsafe` of the agent.
#![expect(unsafe_code, reason = "calls C functions with pointers to our own locals")]

use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, EventSet};
use nvml_wrapper_sys::bindings as nvml;

/// What is at the other end of an NVLink, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteKind {
    /// A GPU.
    Gpu,
    /// An NVSwitch.
    Switch,
    /// A processor with NVLink.
    Processor,
    /// NVML does not say.
    Unknown,
}

/// Kind of the other end of a link. The wrapper's own function writes the answer into a temporary and always says
/// `Unknown`.
pub(super) fn remote_kind(device: &Device<'_>, link: u32) -> Result<RemoteKind, NvmlError> {
    let ask = nvml_sym(device.nvml().lib().nvmlDeviceGetNvLinkRemoteDeviceType.as_ref())?;
    let mut kind: nvml::nvmlIntNvLinkDeviceType_t =
        nvml::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_UNKNOWN;
    // SAFETY: the handle is of this library, which is loaded as long as `device` lives; `kind` is a local.
    nvml_try(unsafe { ask(device.handle(), link, &raw mut kind) })?;
    Ok(match kind {
        nvml::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_GPU => RemoteKind::Gpu,
        nvml::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_SWITCH => RemoteKind::Switch,
        nvml::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_IBMNPU => RemoteKind::Processor,
        _ => RemoteKind::Unknown,
    })
}

/// Total and used bytes as drivers before 510 say them; the wrapper knows the second version only.
pub(super) fn memory_v1(device: &Device<'_>) -> Result<[u64; 2], NvmlError> {
    let ask = nvml_sym(device.nvml().lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    let mut memory = nvml::nvmlMemory_t { total: 0, free: 0, used: 0 };
    // SAFETY: as above.
    nvml_try(unsafe { ask(device.handle(), &raw mut memory) })?;
    Ok([memory.total, memory.used])
}

/// Where a GPU's handle points. It says whose an event is even if that GPU no longer answers.
pub(crate) fn address_of(device: &Device<'_>) -> usize {
    // SAFETY: the pointer is only compared, never followed.
    unsafe { device.handle() }.addr()
}

/// Adds a GPU's XIDs to an event set. The wrapper's own function gives the set up when one GPU refuses.
pub(crate) fn listen_to(device: &Device<'_>, set: &EventSet<'_>) -> Result<(), NvmlError> {
    let register = nvml_sym(device.nvml().lib().nvmlDeviceRegisterEvents.as_ref())?;
    let xids = u64::from(nvml::nvmlEventTypeXidCriticalError);
    // SAFETY: handle and set are of this library, which is loaded as long as they live.
    nvml_try(unsafe { register(device.handle(), xids, set.handle()) })
}
