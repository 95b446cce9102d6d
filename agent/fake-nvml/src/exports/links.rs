//! NVLinks, the PCIe tree, and MIG, which is off.

use std::ffi::c_uint;

use nvml::{
    nvmlDevice_t, nvmlEnableState_t, nvmlGpuTopologyLevel_t, nvmlIntNvLinkDeviceType_t, nvmlPciInfo_t,
};
use nvml_wrapper_sys::bindings as nvml;

use super::device::pci_info;
use super::{Code, card, code, devices, exports, out};
use crate::profile::Remote;
use crate::session::Session;

/// PCI bus of the first NVSwitch, and what it says it is.
const SWITCH_BUS: u32 = 0xe0;
const SWITCH_ID: u32 = 0x22a3_10de;

exports! { devices;
    fn nvmlDeviceGetTopologyCommonAncestor(one: nvmlDevice_t, other: nvmlDevice_t, level: *mut nvmlGpuTopologyLevel_t) |session| {
        let ancestor = card(session, one)?.ancestor(card(session, other)?).ok_or(code::INVALID)?;
        out::set(level, ancestor as nvmlGpuTopologyLevel_t)
    };
    fn nvmlDeviceGetNvLinkState(device: nvmlDevice_t, link: c_uint, is_active: *mut nvmlEnableState_t) |session| {
        let (_, is_up) = end(session, device, link)?;
        out::set(is_active, nvmlEnableState_t::from(is_up))
    };
    fn nvmlDeviceGetNvLinkVersion(device: nvmlDevice_t, link: c_uint, version: *mut c_uint) |session| {
        end(session, device, link)?;
        let nvlink = card(session, device)?.profile.nvlink.as_ref().ok_or(code::NOT_SUPPORTED)?;
        out::set(version, nvlink.version)
    };
    fn nvmlDeviceGetNvLinkRemotePciInfo_v2(device: nvmlDevice_t, link: c_uint, pci: *mut nvmlPciInfo_t) |session| {
        let info = match end(session, device, link)? {
            (_, false) => return Err(code::NOT_SUPPORTED),
            (Remote::Switch(switch), _) => pci_info(SWITCH_BUS + switch, SWITCH_ID),
            (Remote::Gpu(index), _) => {
                let peer = session.node()?.card(index).ok_or(code::INVALID)?;
                pci_info(peer.bus(), peer.profile.pci_device_id)
            }
        };
        out::set(pci, info)
    };
    fn nvmlDeviceGetNvLinkRemoteDeviceType(device: nvmlDevice_t, link: c_uint, kind: *mut nvmlIntNvLinkDeviceType_t) |session| {
        let kind_now = match end(session, device, link)? {
            (Remote::Gpu(_), _) => nvml::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_GPU,
            (Remote::Switch(_), _) => nvml::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_SWITCH,
        };
        out::set(kind, kind_now)
    };
    fn nvmlDeviceGetMigMode(device: nvmlDevice_t, current: *mut c_uint, pending: *mut c_uint) |session| {
        let is_capable = card(session, device)?.profile.compute_capability[0] >= 8;
        if !is_capable {
            return Err(code::NOT_SUPPORTED);
        }
        out::set(current, 0)?;
        out::set(pending, 0)
    };
    fn nvmlDeviceGetMaxMigDeviceCount(device: nvmlDevice_t, count: *mut c_uint)
        |session| { card(session, device)?; out::set(count, 0) };
}

/// Where a link leads and whether it is up. A link that goes to a GPU which is lost is down.
fn end(session: &Session, device: nvmlDevice_t, link: c_uint) -> Result<(Remote, bool), Code> {
    let card = card(session, device)?;
    if card.profile.nvlink.is_none() {
        return Err(code::NOT_SUPPORTED);
    }
    let (remote, is_up) = card.link(link).ok_or(code::INVALID)?;
    let is_gone = matches!(remote, Remote::Gpu(peer) if session.is_lost(peer));
    Ok((remote, is_up && !is_gone))
}
