//! The thread that waits for XIDs. It calls NVML beside the sampler, so that an XID is known while a sweep takes
//! its time.
//!
//! Whose an event is, is told by the handle as it was at the begin: a GPU that has fallen off the bus no longer
//! says its UUID, and a wrong guess would blame all of them. XIDs raised before the thread listens are not told by
//! NVML; what they did to the GPU shows in the sweeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use tracing::{debug, warn};

use crate::driver::{Driver, address_of, listen_to};

/// How long one wait takes when nothing happens: as long as the end of the thread may take.
const WAIT_MS: u32 = 1_000;
/// Between two waits that fail at once.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long to wait for the thread's end. One that hangs in the kernel is left behind.
const END_TRIES: u32 = 300;
const END_TRY: Duration = Duration::from_millis(10);
/// What NVML calls an XID that it cannot name.
const UNKNOWN_XID: u64 = 999;

/// The running thread.
pub(crate) struct Listener {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Starts to listen to the GPUs of a driver; `tell` gets UUID and XID.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(crate) fn start(
        driver: &Driver,
        tell: impl Fn(&str, u64) + Send + 'static,
    ) -> Result<Listener, std::io::Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let nvml = driver.nvml.clone();
        let gpus = driver.gpus.iter().map(|(index, identity)| (*index, identity.uuid.clone())).collect();
        let listen = move || {
            if let Err(error) = listen(&nvml, gpus, &asked, &tell) {
                warn!("XIDs are not heard of: {error}; GPUs are judged by their readings only");
            }
        };
        let thread = std::thread::Builder::new().name("xids".to_owned()).spawn(listen)?;
        Ok(Listener { stop, thread })
    }

    /// Ends it. After this the driver can be shut down, unless the thread hangs in a call.
    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for _ in 0..END_TRIES {
            if self.thread.is_finished() {
                drop(self.thread.join());
                return;
            }
            std::thread::sleep(END_TRY);
        }
        warn!("a wait for XIDs does not return; its thread is left behind and the driver stays open");
    }
}

fn listen(
    nvml: &Nvml,
    gpus: BTreeMap<u32, String>,
    stop: &AtomicBool,
    tell: &impl Fn(&str, u64),
) -> Result<(), NvmlError> {
    let set = nvml.create_event_set()?;
    let mut owners = BTreeMap::new();
    for (index, uuid) in gpus {
        let registered = nvml.device_by_index(index).and_then(|device| {
            listen_to(&device, &set)?;
            Ok(address_of(&device))
        });
        match registered {
            Ok(address) => drop(owners.insert(address, uuid)),
            Err(error) => debug!(uuid, "this GPU tells no XIDs: {error}"),
        }
    }
    while !stop.load(Ordering::Relaxed) {
        match set.wait(WAIT_MS) {
            Ok(event) => {
                let xid = event.event_data.map(|xid| match xid {
                    XidError::Value(xid) => xid,
                    XidError::Unknown => UNKNOWN_XID,
                });
                if let (Some(xid), Some(uuid)) = (xid, owners.get(&address_of(&event.device))) {
                    tell(uuid, xid);
                }
            }
            Err(NvmlError::Timeout) => {}
            // Never a reason to blame a GPU: the sweeps say which one it is, if it is one.
            Err(error) => {
                debug!("waiting for XIDs failed: {error}");
                std::thread::sleep(AFTER_FAILURE);
            }
        }
    }
    Ok(())
}
