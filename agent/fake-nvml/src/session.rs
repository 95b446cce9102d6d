//! What the library holds for its process: the scenario, how often it was initialised, what was latched since,
//! and the event sets. One lock around all of it; nobody sleeps while holding it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use nvml::nvmlReturn_t as Code;
use nvml_wrapper_sys::bindings as nvml;

use crate::play::Play;
use crate::scenario::{Driver, Scenario, ScenarioError, State};

/// Names the scenario file.
pub const SCENARIO_VARIABLE: &str = "FAKE_NVML_SCENARIO";

/// How often a call that is late looks whether it still has to be.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The state of the library.
#[derive(Default)]
pub(crate) struct Session {
    /// Initialisations that were not shut down.
    starts: u32,
    /// Which GPUs this initialisation enumerates, in NVML's order.
    enumerated: Vec<u32>,
    /// GPUs that were lost since the initialisation: they stay so.
    lost: BTreeSet<u32>,
    events: BTreeMap<usize, EventSet>,
    next_set: usize,
    file: Option<ScenarioFile>,
}

/// An event set: for each registered GPU, how many of its XIDs are over.
type EventSet = BTreeMap<u32, usize>;

/// The file and what was last read from it.
struct ScenarioFile {
    path: PathBuf,
    seen: Option<Stamp>,
    play: Option<Play>,
}

/// What changes when a file is written or replaced.
type Stamp = (SystemTime, u64, u64);

static SESSION: Mutex<Option<Session>> = Mutex::new(None);

/// The session, with the scenario as the file has it now.
pub(crate) fn with<T>(ask: impl FnOnce(&mut Session) -> T) -> T {
    let mut guard: MutexGuard<'_, Option<Session>> = SESSION.lock().unwrap_or_else(PoisonError::into_inner);
    let session = guard.get_or_insert_default();
    session.refresh();
    ask(session)
}

/// Waits as long as the scenario says, which may change meanwhile.
pub(crate) fn delay(length_ms: impl Fn(&Driver) -> u64) {
    let mut waited = Duration::ZERO;
    loop {
        let asked = with(|session| session.play().map_or(0, |play| length_ms(&play.scenario.driver)));
        let left = Duration::from_millis(asked).saturating_sub(waited);
        if left.is_zero() {
            return;
        }
        let nap = left.min(LOOK_EVERY);
        std::thread::sleep(nap);
        waited += nap;
    }
}

impl Session {
    /// Initialises once more.
    pub(crate) fn start(&mut self) -> Result<(), Code> {
        let play = self.play().ok_or(nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN)?;
        if !play.driver_loaded() {
            return Err(nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED);
        }
        if self.starts == 0 {
            let there = play.cards().filter(|card| card.now.state != State::Gone).map(|card| card.index);
            let (there, lost) = (there.collect(), play.in_state(State::Lost).collect());
            (self.enumerated, self.lost) = (there, lost);
        }
        self.starts += 1;
        Ok(())
    }

    /// Undoes one initialisation.
    pub(crate) fn shut_down(&mut self) -> Result<(), Code> {
        self.starts = self.starts.checked_sub(1).ok_or(nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED)?;
        if self.starts == 0 {
            self.events.clear();
        }
        Ok(())
    }

    /// The node, if the library is initialised and the driver is there.
    pub(crate) fn node(&self) -> Result<&Play, Code> {
        if self.starts == 0 {
            return Err(nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
        }
        let play = self.play().ok_or(nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN)?;
        if play.driver_loaded() { Ok(play) } else { Err(nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED) }
    }

    /// Indices, in the profile, of the GPUs that NVML counts.
    pub(crate) fn enumerated(&self) -> &[u32] {
        &self.enumerated
    }

    /// Whether a GPU was lost since the initialisation.
    pub(crate) fn is_lost(&self, index: u32) -> bool {
        self.lost.contains(&index)
    }

    fn play(&self) -> Option<&Play> {
        self.file.as_ref()?.play.as_ref()
    }

    fn refresh(&mut self) {
        let file = self.file.get_or_insert_with(ScenarioFile::of_environment);
        if file.refresh()
            && let Some(play) = &file.play
        {
            self.lost.extend(play.in_state(State::Lost));
            self.lost.extend(play.in_state(State::Gone));
        }
    }

    /// A new event set's handle.
    pub(crate) fn create_set(&mut self) -> usize {
        self.next_set += 1;
        self.events.insert(self.next_set, EventSet::new());
        self.next_set
    }

    /// Forgets an event set.
    pub(crate) fn free_set(&mut self, set: usize) -> Result<(), Code> {
        let freed = self.events.remove(&set);
        freed.map(drop).ok_or(nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)
    }

    /// Delivers a GPU's later XIDs to a set. Those raised so far are history, as on a real driver.
    pub(crate) fn register(&mut self, set: usize, index: u32) -> Result<(), Code> {
        let raised = self.node()?.card(index).map_or(0, |card| card.now.xids.len());
        let set = self.events.get_mut(&set).ok_or(nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)?;
        set.entry(index).or_insert(raised);
        Ok(())
    }

    /// The next XID of a set's GPUs. Every set has its own queue.
    pub(crate) fn next_xid(&mut self, set: usize) -> Result<Option<(u32, u64)>, Code> {
        self.node()?;
        let play = self.file.as_ref().and_then(|file| file.play.as_ref());
        let set = self.events.get_mut(&set).ok_or(nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)?;
        for (index, over) in set.iter_mut() {
            let raised = play.and_then(|play| play.card(*index)).map_or(&[][..], |card| &card.now.xids);
            // A list that was shortened starts anew from its end.
            *over = (*over).min(raised.len());
            if let Some(xid) = raised.get(*over) {
                *over += 1;
                return Ok(Some((*index, *xid)));
            }
        }
        Ok(None)
    }
}

impl ScenarioFile {
    fn of_environment() -> ScenarioFile {
        let path = std::env::var_os(SCENARIO_VARIABLE).map(PathBuf::from).unwrap_or_default();
        ScenarioFile { path, seen: None, play: None }
    }

    /// Reads the file if it has changed; whether there is a new scenario.
    fn refresh(&mut self) -> bool {
        let stamp = stamp(&self.path);
        if self.seen.is_some() && stamp == self.seen {
            return false;
        }
        let first_look = self.seen.is_none() && self.play.is_none();
        // A file that cannot be read keeps the last stamp, so that it is looked at again.
        self.seen = stamp.or(self.seen);
        match read(&self.path) {
            Ok(play) => {
                self.play = Some(play);
                true
            }
            Err(fault) => {
                if first_look || stamp.is_some() {
                    complain(&fault, self.play.is_some());
                }
                false
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

fn read(path: &Path) -> Result<Play, ScenarioError> {
    if path.as_os_str().is_empty() {
        return Err(ScenarioError::NoPath { variable: SCENARIO_VARIABLE });
    }
    let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read {
        path: path.display().to_string(),
        variable: SCENARIO_VARIABLE,
        source,
    })?;
    Scenario::parse(&text).map(Play::new)
}

#[expect(
    clippy::print_stderr,
    reason = "a C library has no log of its own, and the file's author reads this"
)]
fn complain(fault: &ScenarioError, keeps: bool) {
    let next = if keeps {
        "the last good scenario stays in force"
    } else {
        "initialisation fails until it is mended"
    };
    eprintln!("fake-nvml: {fault}; {next}");
}
