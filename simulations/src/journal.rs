//! What happened, as a number that is equal for equal runs, and the last lines of it for people.

use std::collections::VecDeque;

/// A record of a run.
#[derive(Debug)]
pub(crate) struct Journal {
    hash: u64,
    lines: VecDeque<String>,
    keep: usize,
}

impl Journal {
    /// Keeps the last so many lines.
    pub(crate) fn new(keep: usize) -> Journal {
        // FNV-1a's offset basis.
        Journal { hash: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new(), keep }
    }

    /// Adds a line.
    pub(crate) fn write(&mut self, line: String) {
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.keep > 0 {
            if self.lines.len() == self.keep {
                self.lines.pop_front();
            }
            self.lines.push_back(line);
        }
    }

    /// The number, and the lines.
    pub(crate) fn close(self) -> (u64, Vec<String>) {
        (self.hash, self.lines.into())
    }
}

impl Default for Journal {
    fn default() -> Self {
        Journal::new(0)
    }
}
