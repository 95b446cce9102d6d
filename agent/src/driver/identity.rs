//! Who a GPU is and where it sits: read once for each initialisation.

use std::path::Path;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings::NVML_AFFINITY_SCOPE_NODE;

use super::sweep::memory;
use crate::node::Identity;

const MIB: u64 = 1 << 20;
/// Enough words for the 256 NUMA nodes that a report can name.
const NODE_WORDS: usize = 4;

/// Reads one GPU. Only the UUID cannot be done without.
pub(super) fn read(nvml: &Nvml, index: u32, sysfs: &Path) -> Result<Identity, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let uuid = device.uuid()?;
    let pci_address = device.pci_info().map(|pci| pci_address(&pci.bus_id)).unwrap_or_default();
    let said = sysfs_numa_node(&pci_address, sysfs);
    Ok(Identity {
        uuid,
        model: device.name().unwrap_or_default(),
        memory_mib: memory(&device).map_or(0, |[total, _]| total / MIB),
        numa_node: said.or_else(|| near_node(&device)),
        plugin_numa_node: said,
        pci_address,
    })
}

/// The address as Linux writes it: NVML has a domain of eight digits and capitals.
pub(super) fn pci_address(bus_id: &str) -> String {
    match bus_id.split_once(':') {
        Some((domain, rest)) => {
            let domain = domain.get(domain.len().saturating_sub(4)..).unwrap_or(domain);
            format!("{domain}:{rest}").to_lowercase()
        }
        None => bus_id.to_lowercase(),
    }
}

/// The NUMA node of the GPU's PCI device, and all that the device plugin knows of it. NVML's own `NumaNodeId` is
/// something else: the node of the GPU's memory, on machines where that is one.
fn sysfs_numa_node(pci_address: &str, sysfs: &Path) -> Option<u8> {
    let file = sysfs.join("bus/pci/devices").join(pci_address).join("numa_node");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The first node of the set that the driver thinks near: in virtual machines sysfs can say -1.
fn near_node(device: &Device<'_>) -> Option<u8> {
    first_node(&device.memory_affinity(NODE_WORDS, NVML_AFFINITY_SCOPE_NODE).ok()?)
}

fn first_node(words: &[std::ffi::c_ulong]) -> Option<u8> {
    let (at, word) = words.iter().enumerate().find(|(_, word)| **word != 0)?;
    let bits = usize::try_from(std::ffi::c_ulong::BITS).ok()?;
    u8::try_from(at.checked_mul(bits)?.checked_add(usize::try_from(word.trailing_zeros()).ok()?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_linux_does() {
        assert_eq!(pci_address("00000000:1B:00.0"), "0000:1b:00.0");
        assert_eq!(pci_address("0001:07:00.0"), "0001:07:00.0");
        assert_eq!(pci_address(""), "");
    }

    #[test]
    fn the_first_node_of_a_set() {
        assert_eq!(first_node(&[0, 0]), None);
        assert_eq!(first_node(&[0b1000]), Some(3));
        assert_eq!(first_node(&[0, 0b10]), Some(u8::try_from(std::ffi::c_ulong::BITS).unwrap() + 1));
    }
}
