//! Plain requests to what the lab started.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::ListParams;
use kube::{Client, Config};

/// One address that can be read again and again.
///
/// Certificates are not checked: the programs make their own at start, and all of it is on loopback.
pub struct Endpoint {
    client: Client,
    path: String,
}

impl Endpoint {
    /// `url` is `http://…` or `https://…`.
    pub fn new(url: &str) -> Result<Self> {
        let address = || format!("address {url:?}");
        let uri = Config::new(url.parse().with_context(address)?).cluster_url;
        let scheme = uri.scheme_str().with_context(address)?;
        let authority = uri.authority().with_context(address)?;
        let mut config = Config::new(format!("{scheme}://{authority}").parse().with_context(address)?);
        config.accept_invalid_certs = true;
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(1));
        config.read_timeout = Some(Duration::from_secs(10));
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self { client: Client::try_from(config).with_context(address)?, path })
    }

    /// The body; an error unless the status says success.
    pub async fn get(&self) -> Result<String> {
        get(&self.client, &self.path).await
    }
}

/// Posts JSON; the body of the answer, or an error with status and body unless the status says success.
pub async fn post(client: &reqwest::Client, url: &str, json: Vec<u8>) -> Result<String> {
    let request = client.post(url).header("content-type", "application/json").body(json);
    let answer = request.send().await.with_context(|| format!("POST {url}"))?;
    let status = answer.status();
    let body = answer.text().await.with_context(|| format!("POST {url}"))?;
    ensure!(status.is_success(), "POST {url}: {status}: {body}");
    Ok(body)
}

/// Reads one address once: see [`Endpoint`].
pub async fn get_text(url: &str) -> Result<String> {
    Endpoint::new(url)?.get().await
}

/// Reads a path of the server that `client` is connected to.
pub(crate) async fn get(client: &Client, path: &str) -> Result<String> {
    // kube's request builder knows only API paths; the path is put in afterwards.
    let mut request = kube::core::Request::new("/").list(&ListParams::default())?;
    *request.uri_mut() = path.parse()?;
    client.request_text(request).await.with_context(|| format!("GET {path}"))
}
