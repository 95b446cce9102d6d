//! Free TCP ports on loopback.

use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};

/// `N` ports that nobody listens on now and that this process has not given out before.
///
/// Between this answer and the program's own bind another process may take one, which is why [`was_taken`] exists.
pub(crate) fn free<const N: usize>() -> Result<[u16; N]> {
    static NEXT: Mutex<u16> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ports = [0; N];
    for slot in &mut ports {
        let mut tried = 0;
        *slot = loop {
            ensure!(tried < SPAN, "no free port between {FIRST} and {}", FIRST + SPAN);
            let port = FIRST + (start() + *next) % SPAN;
            *next += 1;
            tried += 1;
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
    }
    Ok(ports)
}

/// Below the ports that the kernel gives to outgoing connections, of which a control plane has hundreds.
const FIRST: u16 = 10_000;
const SPAN: u16 = 20_000;

/// Processes that run side by side begin to look at different places.
fn start() -> u16 {
    u16::try_from(std::process::id() % 200).unwrap_or_default() * 100
}

/// Whether a program failed because its port was taken meanwhile: the start is worth another try.
pub(crate) fn was_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}
