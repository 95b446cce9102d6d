//! A JSON answer that is encoded once for all who ask, with a tag by which they know whether they have it already.
//!
//! The tag is a hash of the bytes, so it holds over restarts and does not change while they do not.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::etag;
use super::fault::Fault;

/// An answer as it goes over the wire.
pub(crate) struct Encoded {
    body: Result<Bytes, String>,
    tag: String,
}

impl Encoded {
    /// Encodes a value.
    pub(crate) fn of(value: &impl Serialize) -> Encoded {
        let body = serde_json::to_vec(value).map(Bytes::from).map_err(|error| error.to_string());
        let mut hash = DefaultHasher::new();
        body.hash(&mut hash);
        Encoded { body, tag: format!("\"{:016x}\"", hash.finish()) }
    }

    /// Answers a request: 304 if the client has these bytes.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Result<Response, Fault> {
        let headers = [(header::ETAG, self.tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
        if etag::known(request, &self.tag) {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        let body = self.body.clone().map_err(|error| {
            let error = format!("the answer was not encoded: {error}");
            Fault::new(StatusCode::INTERNAL_SERVER_ERROR, error, "Report this: it is a bug.")
        })?;
        Ok((headers, [(header::CONTENT_TYPE, "application/json")], body).into_response())
    }
}
