//! Event sets: XIDs that are appended to the scenario while somebody waits.

use std::ffi::{c_uint, c_ulonglong};
use std::time::Duration;

use nvml::{nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlReturn_t};
use nvml_wrapper_sys::bindings as nvml;

use super::{card, code, exports, guarded, handle, library, out};
use crate::session;

const XID: c_ulonglong = nvml::nvmlEventTypeXidCriticalError as c_ulonglong;
const SINGLE_BIT: c_ulonglong = nvml::nvmlEventTypeSingleBitEccError as c_ulonglong;
const DOUBLE_BIT: c_ulonglong = nvml::nvmlEventTypeDoubleBitEccError as c_ulonglong;
/// How often a wait looks at the scenario. A real driver sleeps until its interrupt; this is what it costs not to
/// have one.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// `gpuInstanceId` and `computeInstanceId` of a GPU that is not cut up.
const NO_INSTANCE: c_uint = c_uint::MAX;

exports! { library;
    fn nvmlEventSetCreate(set: *mut nvmlEventSet_t) |session| {
        session.node()?;
        out::set(set, std::ptr::without_provenance_mut(session.create_set()))
    };
    fn nvmlEventSetFree(set: nvmlEventSet_t) |session| session.free_set(set.addr());
    fn nvmlDeviceGetSupportedEventTypes(device: nvmlDevice_t, types: *mut c_ulonglong)
        |session| { card(session, device)?; out::set(types, XID | SINGLE_BIT | DOUBLE_BIT) };
    fn nvmlDeviceRegisterEvents(device: nvmlDevice_t, types: c_ulonglong, set: nvmlEventSet_t) |session| {
        let index = card(session, device)?.index;
        if types & !(XID | SINGLE_BIT | DOUBLE_BIT) != 0 {
            return Err(code::NOT_SUPPORTED);
        }
        // Only XIDs are ever raised.
        if types & XID == 0 { Ok(()) } else { session.register(set.addr(), index) }
    };
}

/// Waits without the lock, so that other calls go on.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetWait_v2(
    set: nvmlEventSet_t,
    data: *mut nvmlEventData_t,
    timeout_ms: c_uint,
) -> nvmlReturn_t {
    guarded(|| {
        let mut left = Duration::from_millis(u64::from(timeout_ms));
        loop {
            let next = session::with(|session| session.next_xid(set.addr()))?;
            if let Some((index, xid)) = next {
                // SAFETY: the caller's pointer, as the header says.
                return unsafe { out::set(data, event(index, xid)) };
            }
            if left.is_zero() {
                return Err(code::TIMEOUT);
            }
            let nap = left.min(LOOK_EVERY);
            std::thread::sleep(nap);
            left -= nap;
        }
    })
}

fn event(index: u32, xid: u64) -> nvmlEventData_t {
    nvmlEventData_t {
        device: handle(index),
        eventType: XID,
        eventData: xid,
        gpuInstanceId: NO_INSTANCE,
        computeInstanceId: NO_INSTANCE,
    }
}
