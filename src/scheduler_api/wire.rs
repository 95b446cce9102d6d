//! The JSON of `k8s.io/kube-scheduler/extender/v1`, byte for byte. The Go types have no JSON tags, so the
//! names are the Go field names; Go writes unused fields as `null`, and reads ours whatever their case.
//!
//! Texts are borrowed from the body where they have no escapes, since a filter call carries thousands of
//! names. Decides nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use k8s_openapi::api::core::v1::Pod as KubePod;
use serde::de::{Error, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// `ExtenderArgs`: the request of filter and prioritize.
#[derive(Debug, Deserialize)]
pub(super) struct Args<'a> {
    #[serde(rename = "Pod", borrow, default)]
    pub(super) pod: Option<PodHead<'a>>,
    /// Full nodes; sent instead of names where the extender is not `nodeCacheCapable`.
    #[serde(rename = "Nodes", default)]
    pub(super) nodes: Option<IgnoredAny>,
    #[serde(rename = "NodeNames", borrow, default)]
    pub(super) node_names: Option<Vec<Text<'a>>>,
}

/// As much of a pod as says which one it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct PodHead<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Metadata<'a>,
}

/// `metadata` of a pod, in part.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) uid: Text<'a>,
    #[serde(borrow, default)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
}

/// `ExtenderFilterResult`. `Nodes` is left out: it is read only where the extender is not `nodeCacheCapable`.
/// `FailedNodes` is left out: it invites preemption, which makes no room for what Muster refuses.
#[derive(Debug, Default, Serialize)]
pub(super) struct FilterResult<'a> {
    #[serde(rename = "NodeNames")]
    pub(super) node_names: Vec<&'a str>,
    #[serde(rename = "FailedAndUnresolvableNodes", serialize_with = "as_map")]
    pub(super) refused: Vec<(&'a str, &'a str)>,
    #[serde(rename = "Error")]
    pub(super) error: &'a str,
}

/// `HostPriority`: one element of the prioritize reply.
#[derive(Debug, Serialize)]
pub(super) struct HostPriority<'a> {
    #[serde(rename = "Host")]
    pub(super) host: &'a str,
    #[serde(rename = "Score")]
    pub(super) score: u8,
}

/// `ExtenderBindingArgs`.
#[derive(Debug, Deserialize)]
pub(super) struct BindingArgs<'a> {
    #[serde(rename = "PodName", borrow, default)]
    pub(super) pod_name: Text<'a>,
    #[serde(rename = "PodNamespace", borrow, default)]
    pub(super) pod_namespace: Text<'a>,
    #[serde(rename = "PodUID", borrow, default)]
    pub(super) pod_uid: Text<'a>,
    #[serde(rename = "Node", borrow, default)]
    pub(super) node: Text<'a>,
}

/// `ExtenderBindingResult`.
#[derive(Debug, Serialize)]
pub(super) struct BindingResult {
    #[serde(rename = "Error")]
    pub(super) error: String,
}

/// `ExtenderPreemptionArgs`. Which of the two maps is sent depends on `nodeCacheCapable`.
#[derive(Debug, Deserialize)]
pub(super) struct PreemptionArgs<'a> {
    #[serde(rename = "Pod", borrow, default)]
    pub(super) pod: Option<PodHead<'a>>,
    #[serde(rename = "NodeNameToVictims", borrow, default)]
    pub(super) victims: Option<BTreeMap<Text<'a>, Option<Victims<PodHead<'a>>>>>,
    #[serde(rename = "NodeNameToMetaVictims", borrow, default)]
    pub(super) meta_victims: Option<BTreeMap<Text<'a>, Option<Victims<MetaPod<'a>>>>>,
}

/// `Victims` and `MetaVictims`: the pods of one node that would have to go.
#[derive(Debug, Deserialize)]
pub(super) struct Victims<P> {
    #[serde(rename = "Pods", default = "Option::default")]
    pub(super) pods: Option<Vec<P>>,
    #[serde(rename = "NumPDBViolations", default)]
    pub(super) pdb_violations: i64,
}

/// `MetaPod`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct MetaPod<'a> {
    #[serde(rename = "UID", borrow, default)]
    pub(super) uid: Text<'a>,
}

/// `MetaVictims` of the reply.
#[derive(Debug, Serialize)]
pub(super) struct MetaVictims<'a> {
    #[serde(rename = "Pods")]
    pub(super) pods: Vec<MetaPod<'a>>,
    #[serde(rename = "NumPDBViolations")]
    pub(super) pdb_violations: i64,
}

/// `ExtenderPreemptionResult`.
#[derive(Debug, Serialize)]
pub(super) struct PreemptionResult<'a> {
    #[serde(rename = "NodeNameToMetaVictims")]
    pub(super) meta_victims: BTreeMap<&'a str, MetaVictims<'a>>,
}

/// The whole `Pod` of a request.
pub(super) fn full_pod(body: &str) -> Result<KubePod, serde_json::Error> {
    #[derive(Deserialize)]
    struct Request {
        #[serde(rename = "Pod")]
        pod: KubePod,
    }
    serde_json::from_str::<Request>(body).map(|request| request.pod)
}

/// A text of the body, borrowed unless it has escapes. `Cow` alone would copy inside a `Vec` or a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

fn as_map<S: serde::Serializer>(pairs: &[(&str, &str)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}
