//! The library as C programs see it: loaded by path, called through the header's signatures.

#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, reason = "a test that calls C functions")]
#![allow(non_upper_case_globals, reason = "codes have the header's names")]

use std::ffi::{CStr, c_char};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nvml_wrapper_sys::bindings::*;

/// The library and the scenario that it plays, one test at a time: both are the process's.
struct Stage {
    nvml: &'static NvmlLib,
    scenario: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

/// `cargo test` builds the shared library beside the tests, because both are of the same package.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().join("libfake_nvml.so")
}

fn stage(text: &str) -> Stage {
    static TURN: Mutex<()> = Mutex::new(());
    static LOADED: OnceLock<(NvmlLib, tempfile::TempDir)> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (nvml, folder) = LOADED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        // SAFETY: no other thread reads the environment: the tests wait for their turn.
        unsafe { std::env::set_var(fake_nvml::SCENARIO_VARIABLE, folder.path().join("scenario.yaml")) };
        // SAFETY: our own library, whose initialisers do nothing.
        (unsafe { NvmlLib::new(library()) }.unwrap(), folder)
    });
    let stage = Stage { nvml, scenario: folder.path().join("scenario.yaml"), _turn: turn };
    stage.play(text);
    stage
}

/// Calls a function of the library by name and gives its code.
macro_rules! call {
    ($stage:expr, $name:ident $(, $argument:expr)*) => {
        unsafe { $stage.nvml.$name.as_ref().unwrap()($($argument),*) }
    };
}

impl Stage {
    fn play(&self, text: &str) {
        let draft = self.scenario.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, &self.scenario).unwrap();
    }

    fn start(&self) {
        assert_eq!(call!(self, nvmlInit_v2), nvmlReturn_enum_NVML_SUCCESS);
    }

    fn device(&self, index: u32) -> Result<nvmlDevice_t, nvmlReturn_t> {
        let mut device = std::ptr::null_mut();
        match call!(self, nvmlDeviceGetHandleByIndex_v2, index, &raw mut device) {
            nvmlReturn_enum_NVML_SUCCESS => Ok(device),
            code => Err(code),
        }
    }

    fn uuid(&self, device: nvmlDevice_t, length: u32) -> Result<String, nvmlReturn_t> {
        let mut text = [0 as c_char; 96];
        match call!(self, nvmlDeviceGetUUID, device, text.as_mut_ptr(), length) {
            nvmlReturn_enum_NVML_SUCCESS => {
                Ok(unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap().to_owned())
            }
            code => Err(code),
        }
    }

    fn wait(&self, set: nvmlEventSet_t) -> Result<(nvmlDevice_t, u64), nvmlReturn_t> {
        let mut data: nvmlEventData_t = unsafe { std::mem::zeroed() };
        match call!(self, nvmlEventSetWait_v2, set, &raw mut data, 50) {
            nvmlReturn_enum_NVML_SUCCESS => Ok((data.device, data.eventData)),
            code => Err(code),
        }
    }

    fn set_of(&self, device: nvmlDevice_t) -> nvmlEventSet_t {
        let mut set = std::ptr::null_mut();
        assert_eq!(call!(self, nvmlEventSetCreate, &raw mut set), 0);
        assert_eq!(
            call!(self, nvmlDeviceRegisterEvents, device, u64::from(nvmlEventTypeXidCriticalError), set),
            0
        );
        set
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        while call!(self, nvmlShutdown) == nvmlReturn_enum_NVML_SUCCESS {}
    }
}

const L40S: &str = "profile: l40s\nnode: n\n";

#[test]
fn nothing_is_answered_before_the_start_and_after_the_end() {
    let stage = stage(L40S);
    let mut count = 0;
    assert_eq!(call!(stage, nvmlDeviceGetCount_v2, &raw mut count), nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
    stage.start();
    stage.start();
    assert_eq!((call!(stage, nvmlDeviceGetCount_v2, &raw mut count), count), (0, 4));
    assert_eq!(call!(stage, nvmlShutdown), 0);
    assert!(stage.device(0).is_ok(), "started twice, ended once");
    assert_eq!(call!(stage, nvmlShutdown), 0);
    assert_eq!(stage.device(0), Err(nvmlReturn_enum_NVML_ERROR_UNINITIALIZED));
}

#[test]
fn bad_pointers_handles_and_lengths_are_refused() {
    let stage = stage(L40S);
    stage.start();
    let device = stage.device(3).unwrap();
    assert_eq!(stage.device(4), Err(nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT));
    assert_eq!(stage.uuid(device, 96).unwrap().len(), 40);
    assert_eq!(stage.uuid(device, 41).unwrap().len(), 40);
    assert_eq!(stage.uuid(device, 40), Err(nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE));
    let between = device.wrapping_byte_add(1);
    assert_eq!(stage.uuid(between, 96), Err(nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT));
    assert_eq!(stage.uuid(std::ptr::null_mut(), 96), Err(nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT));
    let null = std::ptr::null_mut();
    assert_eq!(
        call!(stage, nvmlDeviceGetPowerUsage, device, null),
        nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT
    );
}

/// A client that asks for another version of a struct must not have it written over.
#[test]
fn a_struct_of_another_version_is_refused() {
    let stage = stage(L40S);
    stage.start();
    let device = stage.device(0).unwrap();
    let mut memory: nvmlMemory_v2_t = unsafe { std::mem::zeroed() };
    let size = u32::try_from(size_of::<nvmlMemory_v2_t>()).unwrap();
    for (version, code) in [(2, 0), (1, nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH)] {
        memory.version = size | version << 24;
        assert_eq!(
            call!(stage, nvmlDeviceGetMemoryInfo_v2, device, &raw mut memory),
            code,
            "version {version}"
        );
    }
    assert_eq!(memory.total, 46_068 << 20);
}

#[test]
fn a_lost_gpu_stays_lost_until_the_next_start() {
    let stage = stage(L40S);
    stage.start();
    let device = stage.device(1).unwrap();
    stage.play("profile: l40s\nnode: n\ngpus: {1: {state: lost}}\n");
    assert_eq!(stage.uuid(device, 96), Err(nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST));
    assert_eq!(stage.device(1), Err(nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST));
    assert!(stage.device(0).is_ok());
    stage.play(L40S);
    assert_eq!(stage.device(1), Err(nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST));
    assert_eq!(call!(stage, nvmlShutdown), 0);
    stage.start();
    assert!(stage.device(1).is_ok());
}

#[test]
fn every_event_set_gets_every_later_xid_once_and_no_earlier_one() {
    let stage = stage("profile: l40s\nnode: n\ngpus: {2: {xids: [31]}}\n");
    stage.start();
    let device = stage.device(2).unwrap();
    let sets = [stage.set_of(device), stage.set_of(device)];
    assert_eq!(stage.wait(sets[0]), Err(nvmlReturn_enum_NVML_ERROR_TIMEOUT));
    stage.play("profile: l40s\nnode: n\ngpus: {2: {state: lost, xids: [31, 79, 48]}}\n");
    for set in sets {
        assert_eq!(stage.wait(set), Ok((device, 79)));
        assert_eq!(stage.wait(set), Ok((device, 48)));
        assert_eq!(stage.wait(set), Err(nvmlReturn_enum_NVML_ERROR_TIMEOUT));
    }
    assert_eq!(call!(stage, nvmlEventSetFree, sets[0]), 0);
    assert_eq!(stage.wait(sets[0]), Err(nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT));
}

#[test]
fn handles_are_found_by_every_name_of_a_gpu() {
    let stage = stage("profile: dgx-a100\nnode: n\n");
    stage.start();
    let device = stage.device(5).unwrap();
    let uuid = std::ffi::CString::new(stage.uuid(device, 96).unwrap()).unwrap();
    let mut found = std::ptr::null_mut();
    assert_eq!((call!(stage, nvmlDeviceGetHandleByUUID, uuid.as_ptr(), &raw mut found), found), (0, device));
    for bus in [c"00000000:90:00.0", c"0000:90:00.0"] {
        found = std::ptr::null_mut();
        let code = call!(stage, nvmlDeviceGetHandleByPciBusId_v2, bus.as_ptr(), &raw mut found);
        assert_eq!((code, found), (0, device), "{bus:?}");
    }
    let code = call!(stage, nvmlDeviceGetHandleByUUID, c"GPU-none".as_ptr(), &raw mut found);
    assert_eq!(code, nvmlReturn_enum_NVML_ERROR_NOT_FOUND);
}

/// NVIDIA's device plugin takes `NOT_SUPPORTED` and `INVALID_ARGUMENT` for links that are not there, nothing else.
#[test]
fn links_that_are_not_there_are_refused_as_drivers_do() {
    let stage = stage(L40S);
    stage.start();
    let mut state = 0;
    let code = |stage: &Stage, link, state: &mut u32| {
        call!(stage, nvmlDeviceGetNvLinkState, stage.device(0).unwrap(), link, state)
    };
    assert_eq!(code(&stage, 0, &mut state), nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED);
    assert_eq!(call!(stage, nvmlShutdown), 0);
    stage.play("profile: dgx-1v\nnode: n\n");
    stage.start();
    assert_eq!((code(&stage, 5, &mut state), state), (0, 1));
    assert_eq!(code(&stage, 6, &mut state), nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
}

/// A client that calls a function which it did not find may crash, so all of the header is there.
#[test]
fn the_rest_of_the_header_says_not_supported() {
    let stage = stage(L40S);
    stage.start();
    let device = stage.device(0).unwrap();
    let mut speed = 0;
    assert_eq!(
        call!(stage, nvmlDeviceGetFanSpeed, device, &raw mut speed),
        nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED
    );
    let text = call!(stage, nvmlErrorString, nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST);
    assert_eq!(unsafe { CStr::from_ptr(text) }, c"GPU is lost");
}
