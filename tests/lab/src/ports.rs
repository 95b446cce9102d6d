//! Free TCP ports on loopback.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// `N` ports that nobody listens on now and that this process has not given out before.
///
/// Between this answer and the program's own bind another process may take one, which is why [`was_taken`] exists.
pub(crate) fn free<const N: usize>() -> Result<[u16; N]> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut held = Vec::new(); // all are held until the end, so that no two are the same
    let mut ports = [0; N];
    for slot in &mut ports {
        *slot = loop {
            let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            if given.insert(port) {
                break port;
            }
        };
    }
    Ok(ports)
}

/// Whether a program failed because its port was taken meanwhile: the start is worth another try.
pub(crate) fn was_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}
