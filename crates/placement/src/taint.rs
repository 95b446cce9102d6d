//! Taints and tolerations, as in `k8s.io/api/core/v1.Toleration.ToleratesTaint`.

use crate::ids::Name;

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Key.
    pub key: Name,
    /// Value, often empty.
    pub value: Name,
    /// What it does to pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// Effect of a taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaintEffect {
    /// No new pods.
    NoSchedule,
    /// Rather no new pods; never a reason to refuse.
    PreferNoSchedule,
    /// No pods at all.
    NoExecute,
}

/// A toleration of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// Key; `None` together with `exists` tolerates everything.
    pub key: Option<Name>,
    /// `operator: Exists`; otherwise the value must be equal.
    pub exists: bool,
    /// Value for `operator: Equal`.
    pub value: Name,
    /// Effect; `None` means every effect.
    pub effect: Option<TaintEffect>,
}

impl Toleration {
    /// Whether this toleration covers `taint`.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.is_none_or(|e| e == taint.effect);
        let key = self.key.as_ref().map_or(self.exists, |k| *k == taint.key);
        effect && key && (self.exists || self.value == taint.value)
    }
}

/// The first taint that keeps a pod with these tolerations away.
pub fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|t| t.effect != TaintEffect::PreferNoSchedule)
        .find(|t| !tolerations.iter().any(|toleration| toleration.tolerates(t)))
}
