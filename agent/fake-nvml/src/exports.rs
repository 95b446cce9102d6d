//! The C functions, by subject, and how each of them is called.

mod device;
mod events;
mod links;
mod out;
mod system;
mod unsupported;

use std::panic::{AssertUnwindSafe, catch_unwind};

use nvml::{nvmlDevice_t, nvmlReturn_t as Code};
use nvml_wrapper_sys::bindings as nvml;

use crate::play::Card;
use crate::session::{self, Session};

/// The codes that the functions answer with, by short names.
mod code {
    use super::{Code, nvml};

    pub(super) const SUCCESS: Code = nvml::nvmlReturn_enum_NVML_SUCCESS;
    pub(super) const INVALID: Code = nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT;
    pub(super) const NOT_SUPPORTED: Code = nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED;
    pub(super) const NOT_FOUND: Code = nvml::nvmlReturn_enum_NVML_ERROR_NOT_FOUND;
    pub(super) const TOO_SMALL: Code = nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE;
    pub(super) const NO_FUNCTION: Code = nvml::nvmlReturn_enum_NVML_ERROR_FUNCTION_NOT_FOUND;
    pub(super) const VERSION: Code = nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    pub(super) const LOST: Code = nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST;
    pub(super) const TIMEOUT: Code = nvml::nvmlReturn_enum_NVML_ERROR_TIMEOUT;
    pub(super) const UNKNOWN: Code = nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN;
}

/// Defines C functions: each hands its name and what to do to the function named first.
macro_rules! exports {
    ($call:path; $(fn $name:ident($($arg:ident: $type:ty),*) $body:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: $type),*) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            // SAFETY: the caller keeps to the header: pointers are null or point to what the header says.
            #[allow(unused_unsafe, reason = "some bodies write nothing")]
            unsafe { $call(stringify!($name), $body) }
        }
    )*};
}
use exports;

/// A call on the library as a whole: no delay.
fn library(name: &str, ask: impl FnOnce(&mut Session) -> Result<(), Code>) -> Code {
    guarded(|| {
        session::with(|session| if is_missing(session, name) { Err(code::NO_FUNCTION) } else { ask(session) })
    })
}

/// A call on GPUs: as late as the scenario wants it.
fn devices(name: &str, ask: impl FnOnce(&Session) -> Result<(), Code>) -> Code {
    guarded(|| {
        session::delay(|driver| driver.call_delay_ms);
        session::with(|session| if is_missing(session, name) { Err(code::NO_FUNCTION) } else { ask(session) })
    })
}

/// A panic must not unwind into C: that would end the program.
fn guarded(call: impl FnOnce() -> Result<(), Code>) -> Code {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => code::SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => code::UNKNOWN,
    }
}

fn is_missing(session: &Session, name: &str) -> bool {
    session.node().is_ok_and(|play| play.scenario.missing.iter().any(|missing| missing == name))
}

/// Handles are addresses that nothing lies at: a client that looks behind one crashes at once.
const FIRST_HANDLE: usize = 0x1000;
const HANDLE_STEP: usize = 0x10;

fn handle(index: u32) -> nvmlDevice_t {
    let index = usize::try_from(index).unwrap_or_default();
    std::ptr::without_provenance_mut(FIRST_HANDLE + index * HANDLE_STEP)
}

/// The index of a handle, whether or not its GPU is still there.
fn index_of(session: &Session, device: nvmlDevice_t) -> Result<u32, Code> {
    let index = device.addr().wrapping_sub(FIRST_HANDLE) / HANDLE_STEP;
    let index = u32::try_from(index).map_err(|_| code::INVALID)?;
    let is_known = handle(index) == device && session.enumerated().contains(&index);
    if is_known { Ok(index) } else { Err(code::INVALID) }
}

/// The GPU of a handle, if it answers.
fn card(session: &Session, device: nvmlDevice_t) -> Result<Card<'_>, Code> {
    let play = session.node()?;
    let index = index_of(session, device)?;
    if session.is_lost(index) { Err(code::LOST) } else { play.card(index).ok_or(code::INVALID) }
}
