//! The page at `/`: the built front end of `dashboard/`, embedded in the binary, or a page that says how to build it.
//!
//! Every answer forbids scripts, styles and requests from elsewhere and inside the markup, so that text from the
//! cluster that got into the page as markup, by whatever mistake, could do nothing. Knows nothing of the cluster:
//! the page asks `/api/v1`, by relative paths, so that it works below any path of a proxy.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::api::etag;
use crate::api::fault::Fault;

/// What `make dashboard` built. A debug build reads the files when they are asked for.
#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
#[allow_missing = true]
struct Dist;

const NOT_BUILT: &str = include_str!("dashboard/not_built.html");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Assets have a hash of their content in their name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Ask each time whether it is still the same.
const ASK: &str = "no-cache";

/// The routes of the page and its assets.
pub fn router() -> Router {
    let named = |name: &'static str| get(move |request: HeaderMap| async move { named(name, &request) });
    Router::new()
        .route("/", get(page))
        .route("/assets/{*path}", get(asset))
        .route("/icon.svg", named("icon.svg"))
        .route("/licenses.md", named("licenses.md"))
}

async fn page(request: HeaderMap) -> Response {
    let built = file("index.html", &request, ASK);
    built.unwrap_or_else(|| guarded((headers("text/html; charset=utf-8", ASK), NOT_BUILT).into_response()))
}

/// A file whose name does not change with its content.
fn named(name: &'static str, request: &HeaderMap) -> Result<Response, Fault> {
    let next = "Build the dashboard with `make dashboard`.";
    file(name, request, ASK).ok_or_else(|| Fault::missing(format!("there is no {name}"), next))
}

async fn asset(Path(path): Path<String>, request: HeaderMap) -> Result<Response, Fault> {
    file(&format!("assets/{path}"), &request, FOR_EVER)
        .ok_or_else(|| Fault::missing(format!("there is no assets/{path}"), "Load the page again."))
}

/// A file of the build, compressed if it is there compressed and the client takes it so.
fn file(path: &str, request: &HeaderMap, caching: &'static str) -> Option<Response> {
    let plain = Dist::get(path)?;
    let kind = plain.metadata.mimetype().to_owned();
    let compressed = takes_gzip(request).then(|| Dist::get(&format!("{path}.gz"))).flatten();
    let coding = compressed.is_some().then_some(HeaderValue::from_static("gzip"));
    let sent = compressed.unwrap_or(plain);
    let tag = tag(&sent);
    let mut answer = if etag::known(request, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(sent.data).into_response()
    };
    let all = answer.headers_mut();
    all.extend(headers(&kind, caching));
    all.extend(coding.map(|coding| (header::CONTENT_ENCODING, coding)));
    all.extend(HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag)));
    Some(guarded(answer))
}

fn tag(file: &EmbeddedFile) -> String {
    use std::fmt::Write;
    let mut tag = String::from("\"");
    for byte in file.metadata.sha256_hash().iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}

fn headers(kind: &str, caching: &'static str) -> HeaderMap {
    let kind = HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ]
    .into_iter()
    .collect()
}

/// Whether `Accept-Encoding` names gzip and does not forbid it (RFC 9110 §12.5.3).
fn takes_gzip(request: &HeaderMap) -> bool {
    let said = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    said.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
        });
        named && !refused
    })
}

fn guarded(mut answer: Response) -> Response {
    let rules: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    answer.headers_mut().extend(rules.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &str) -> HeaderMap {
        [(header::ACCEPT_ENCODING, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        assert!(takes_gzip(&accepts("br, GZIP;q=0.5")));
        assert!(!takes_gzip(&accepts("br, gzip;q=0")));
        assert!(!takes_gzip(&accepts("br")));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn the_page_that_is_not_built_says_how_to_build_it() {
        assert!(NOT_BUILT.contains("make dashboard"));
        assert!(!NOT_BUILT.contains("<style") && !NOT_BUILT.contains("style="), "the policy would refuse it");
    }
}
