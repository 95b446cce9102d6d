//! A request that is not answered: status, what is wrong, where, and what to do next, as JSON.
//!
//! Shared by all HTTP surfaces. A scheduling "no" is not a fault: it is a `Refusal`, and its status is 200.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A request body, or why it could not be read.
pub(crate) type Body = Result<Bytes, BytesRejection>;

/// Why a request is not answered.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    #[serde(skip)]
    status: StatusCode,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    next: String,
}

impl Fault {
    /// A fault that has no place in the body.
    pub(crate) fn new(status: StatusCode, error: impl Into<String>, next: impl Into<String>) -> Fault {
        Fault { status, error: error.into(), line: None, column: None, next: next.into() }
    }

    /// A body that is not the JSON it should be.
    pub(crate) fn malformed(what: &str, source: &serde_json::Error) -> Fault {
        Fault {
            status: StatusCode::BAD_REQUEST,
            error: format!("{what} is malformed: {source}"),
            line: Some(source.line()),
            column: Some(source.column()),
            next: "Send the JSON that this path takes.".into(),
        }
    }

    /// What is asked for is not there.
    pub(crate) fn missing(what: impl Into<String>, next: &str) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, what, next)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        tracing::debug!(status = self.status.as_u16(), error = self.error, "request refused");
        (self.status, Json(self)).into_response()
    }
}

/// The bytes of a body, or the fault that says why there are none.
pub(crate) fn bytes<'b>(what: &str, body: &'b Body) -> Result<&'b Bytes, Fault> {
    body.as_ref().map_err(|rejection| {
        let status = rejection.status();
        let next = if status == StatusCode::PAYLOAD_TOO_LARGE {
            "Send less: the body is larger than this path takes."
        } else {
            "Send the request again: the body did not arrive whole."
        };
        Fault::new(status, format!("{what} was not read: {rejection}"), next)
    })
}

/// The text of a body that must be UTF-8.
pub(crate) fn text<'b>(what: &str, body: &'b Body) -> Result<&'b str, Fault> {
    std::str::from_utf8(bytes(what, body)?).map_err(|source| {
        let error = format!("{what} is malformed: {source}");
        Fault::new(StatusCode::BAD_REQUEST, error, "Send JSON in UTF-8.")
    })
}
