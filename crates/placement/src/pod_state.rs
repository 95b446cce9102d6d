//! A pod with what we remember of it beyond the API object.

use alloc::sync::Arc;

use crate::ids::{GangId, Name};
use crate::pod::{Pod, Stamp};
use crate::time::Time;

/// A pod and its standing.
#[derive(Clone, Debug)]
pub struct PodState {
    /// The pod as last seen.
    pub pod: Arc<Pod>,
    /// The gang that it belongs to; a gated single pod is a gang of one.
    pub gang: Option<GangId>,
    /// The plan that it was released with, or is being bound with.
    pub stamp: Option<Stamp>,
    /// The API server has the plan: the annotation is on the pod. Nobody of a gang is bound before that is so of
    /// all, or a restart in the middle of the Bindings would not know what the others were promised.
    pub published: bool,
    /// A Binding is on its way and its outcome is not known.
    pub binding: bool,
    /// It was released narrowed to one node, so its annotation must stay: it is how we know the narrowing as ours.
    pub(crate) narrowed: bool,
    /// kube-scheduler's words at the time of the release; the same words later are old news.
    pub(crate) verdict_at_release: Option<Name>,
    /// Since when it is known to be bound.
    pub(crate) bound_since: Option<Time>,
    /// Since when it is being deleted.
    pub(crate) leaving_since: Option<Time>,
    /// Since when kube-scheduler refuses the planned node.
    pub(crate) refused_since: Option<Time>,
}

impl PodState {
    /// A pod of which nothing is remembered yet.
    pub(crate) fn new(pod: Arc<Pod>, gang: Option<GangId>) -> PodState {
        PodState {
            pod,
            gang,
            stamp: None,
            published: false,
            binding: false,
            narrowed: false,
            verdict_at_release: None,
            bound_since: None,
            leaving_since: None,
            refused_since: None,
        }
    }
}
