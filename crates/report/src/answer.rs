//! What the extender says to an accepted report.

use serde::{Deserialize, Serialize};

/// The reply to an accepted report. Unknown fields are ignored, absent ones have the values that ask nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Wished time until the next report when nothing changes, in milliseconds. A change of health is
    /// reported at once.
    pub interval_ms: u64,
    /// The agent should initialise its driver again, raise its epoch and report at once.
    #[serde(default)]
    pub resync: bool,
}

impl Answer {
    /// The bytes of the answer.
    ///
    /// # Errors
    /// None that an answer can cause.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// What is wrong with the JSON, with line and column.
    pub fn decode(body: &[u8]) -> Result<Answer, serde_json::Error> {
        serde_json::from_slice(body)
    }
}
