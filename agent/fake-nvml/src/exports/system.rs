//! Starting and stopping the library, and what it says of itself.

use std::ffi::{c_char, c_int, c_uint};

use nvml::nvmlReturn_t;
use nvml_wrapper_sys::bindings as nvml;

use super::{exports, guarded, library, out};
use crate::session;

/// CUDA 12.8, as NVML packs it.
const CUDA_VERSION: c_int = 12_080;

exports! { library;
    fn nvmlShutdown() session::Session::shut_down;
    fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint)
        |session| out::text(version, length, &session.node()?.scenario.driver.version);
    fn nvmlSystemGetNVMLVersion(version: *mut c_char, length: c_uint)
        |session| out::text(version, length, &format!("12.{}", session.node()?.scenario.driver.version));
    fn nvmlSystemGetCudaDriverVersion(version: *mut c_int)
        |session| { session.node()?; out::set(version, CUDA_VERSION) };
    fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int)
        |session| { session.node()?; out::set(version, CUDA_VERSION) };
}

fn start() -> nvmlReturn_t {
    guarded(|| {
        session::delay(|driver| driver.init_delay_ms);
        session::with(session::Session::start)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    start()
}

/// The flags say what to do without GPUs and when to attach to them; there is nothing to attach to.
#[unsafe(no_mangle)]
extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> nvmlReturn_t {
    start()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(result: nvmlReturn_t) -> *const c_char {
    let text = match result {
        nvml::nvmlReturn_enum_NVML_SUCCESS => c"The operation was successful",
        nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED => c"Uninitialized",
        nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT => c"Invalid Argument",
        nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED => c"Not Supported",
        nvml::nvmlReturn_enum_NVML_ERROR_NOT_FOUND => c"Not Found",
        nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE => c"Insufficient Size",
        nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED => c"Driver Not Loaded",
        nvml::nvmlReturn_enum_NVML_ERROR_TIMEOUT => c"Timeout",
        nvml::nvmlReturn_enum_NVML_ERROR_FUNCTION_NOT_FOUND => c"Function Not Found",
        nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST => c"GPU is lost",
        nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH => c"Argument version mismatch",
        _ => c"Unknown Error",
    };
    text.as_ptr()
}
