//! Sending a report: HTTP and nothing else. Why a report was not taken is a [`SendError`].

use std::time::Duration;

use muster_report::{Answer, Report, encode};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use thiserror::Error;

/// A server that takes longer than this is down, for us.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest part of an answer that goes into the log.
const EXCERPT: usize = 300;

/// Sends reports to one extender.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    url: Url,
}

/// Why a report was not taken. Each says what happened, why, and what to do next.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    /// Nobody answers.
    #[error("{url} cannot be reached: {why}; check that Muster runs there. Reports go on")]
    Unreachable { url: String, why: String },
    /// The extender has a fault.
    #[error("{url} answers {status}: {why}. Reports go on")]
    Failing { url: String, status: StatusCode, why: String },
    /// The extender does not want this report.
    #[error("{url} refuses the report with {status}: {why}")]
    Refused { url: String, status: StatusCode, why: String },
    /// Something that answers, but not an extender.
    #[error("{url} took the report and answered what is no answer: {why}; is it Muster's extender?")]
    NotAnAnswer { url: String, why: String },
}

impl SendError {
    /// Value of the metric label; also what makes one failure another one than the last.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            SendError::Unreachable { .. } => "unreachable",
            SendError::Failing { .. } => "failing",
            SendError::Refused { .. } => "refused",
            SendError::NotAnAnswer { .. } => "not_an_answer",
        }
    }

    /// Whether the extender has seen a later report of this node than this one.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, SendError::Refused { status, .. } if *status == StatusCode::CONFLICT)
    }
}

/// What the extender says with a fault.
#[derive(Deserialize)]
struct Fault {
    error: String,
    #[serde(default)]
    next: String,
}

impl Sender {
    /// A sender with one connection, which it keeps.
    ///
    /// # Errors
    /// If the system gives no source of names or sockets.
    pub(crate) fn new(url: Url) -> Result<Sender, reqwest::Error> {
        // A proxy of the environment leads out of the cluster.
        let client = Client::builder().timeout(TIMEOUT).pool_max_idle_per_host(1).no_proxy().build()?;
        Ok(Sender { client, url })
    }

    /// Sends one report.
    pub(crate) async fn send(&self, report: &Report) -> Result<Answer, SendError> {
        let url = || self.url.to_string();
        let unreachable = |error: reqwest::Error| SendError::Unreachable { url: url(), why: cause(&error) };
        let body =
            encode(report).map_err(|error| SendError::NotAnAnswer { url: url(), why: error.to_string() })?;
        let request =
            self.client.post(self.url.clone()).header("content-type", "application/json").body(body);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Answer::decode(&body)
                .map_err(|error| SendError::NotAnAnswer { url: url(), why: error.to_string() });
        }
        let why = reason(&body);
        if status.is_client_error() {
            Err(SendError::Refused { url: url(), status, why })
        } else {
            Err(SendError::Failing { url: url(), status, why })
        }
    }
}

fn reason(body: &[u8]) -> String {
    if let Ok(Fault { error, next }) = serde_json::from_slice(body) {
        return format!("{error}. {next}");
    }
    let text = String::from_utf8_lossy(body.get(..EXCERPT).unwrap_or(body)).into_owned();
    if text.is_empty() { "no reason is given".to_owned() } else { text }
}

/// The innermost cause: `connection refused` rather than `error sending request`.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
