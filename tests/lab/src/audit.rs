//! What Muster's `ServiceAccount`s asked of the API server, from its own audit log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::Lab;

/// One line per request when it has begun to be answered (watches) or has been answered (the rest).
const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: [\"system:serviceaccounts:muster-system\"]
  - level: None
";

/// A right as a role grants it: one verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// API group; empty for the core group.
    pub group: String,
    /// For example `pods` or `pods/binding`.
    pub resource: String,
    /// For example `list`.
    pub verb: String,
}

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// What was asked for; absent for paths that are no resources, such as `/version`.
    pub right: Option<Right>,
    /// The path.
    pub path: String,
    /// The HTTP status of the answer.
    pub code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: Who,
    object_ref: Option<Object>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct Who {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Object {
    api_group: String,
    resource: String,
    subresource: String,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

/// Flags of kube-apiserver that make it write the log.
pub(crate) fn arguments(dir: &Path) -> Result<[String; 2]> {
    let policy = dir.join("audit-policy.yaml");
    fs::write(&policy, POLICY).context("write the audit policy")?;
    Ok([
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log(dir).display()),
    ])
}

fn log(dir: &Path) -> std::path::PathBuf {
    dir.join("audit.json")
}

impl Lab {
    /// Every request of a `ServiceAccount` in `muster-system` so far. Needs [`Options::audit`](crate::Options::audit).
    pub fn audited(&self) -> Result<Vec<Request>> {
        let text = fs::read_to_string(log(self.dir())).context("read the audit log")?;
        // The last line may be half written.
        let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
        whole.lines().map(|line| request(line).with_context(|| format!("audit log: {line}"))).collect()
    }

    /// The rights that a `ServiceAccount` of `muster-system` has made use of with success.
    pub fn rights_used(&self, account: &str) -> Result<BTreeSet<Right>> {
        let user = format!("system:serviceaccount:muster-system:{account}");
        let theirs = self.audited()?.into_iter().filter(|request| request.user == user && request.code < 300);
        Ok(theirs.filter_map(|request| request.right).collect())
    }
}

fn request(line: &str) -> Result<Request> {
    let line: Line = serde_json::from_str(line)?;
    let right = line.object_ref.map(|object| {
        let subresource = Some(object.subresource).filter(|name| !name.is_empty());
        let resource =
            subresource.map_or(object.resource.clone(), |name| format!("{}/{name}", object.resource));
        Right { group: object.api_group, resource, verb: line.verb }
    });
    let code = line.response_status.map_or(0, |status| status.code);
    Ok(Request { user: line.user.username, right, path: line.request_uri, code })
}
