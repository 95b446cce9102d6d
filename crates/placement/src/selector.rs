//! Which nodes a pod may use by name and label: nodeSelector and node affinity.
//!
//! Semantics of `k8s.io/component-helpers/scheduling/corev1/nodeaffinity`: one term must match, with all the
//! requirements
//! of one term `ANDed`, an empty term matches nothing, `Gt`/`Lt` compare integers, and the only field is
//! `metadata.name`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{Name, NodeName};

/// Labels of an object.
pub type Labels = BTreeMap<Name, Name>;

/// `nodeSelectorTerms[i]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// `matchExpressions`.
    pub expressions: Vec<Requirement>,
    /// `matchFields`.
    pub fields: Vec<Requirement>,
}

/// One `key operator values`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    /// Label key, or field path.
    pub key: Name,
    /// Operator.
    pub operator: Operator,
    /// Values; exactly one for `Gt` and `Lt`, none for `Exists` and `DoesNotExist`.
    pub values: Vec<Name>,
}

/// Node selector operators of `core/v1`; pods are selected by the first four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// The label is one of the values.
    In,
    /// The label is absent or none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label, as an integer, is greater than the value.
    Gt,
    /// The label, as an integer, is less than the value.
    Lt,
}

/// The field of a node that `matchFields` can name.
pub const NAME_FIELD: &str = "metadata.name";

impl Requirement {
    /// Whether a value (or its absence) meets this requirement.
    pub fn admits(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|v| self.values.iter().any(|w| w.as_str() == v));
        match self.operator {
            Operator::In => listed(),
            Operator::NotIn => !listed(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => self.compare(value).is_some_and(core::cmp::Ordering::is_gt),
            Operator::Lt => self.compare(value).is_some_and(core::cmp::Ordering::is_lt),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<core::cmp::Ordering> {
        let have: i64 = value?.parse().ok()?;
        let [bound] = self.values.as_slice() else { return None };
        Some(have.cmp(&bound.as_str().parse().ok()?))
    }
}

impl Term {
    /// Whether a node of this name and these labels meets the term.
    pub fn admits(&self, node: &NodeName, labels: &Labels) -> bool {
        let some = !self.expressions.is_empty() || !self.fields.is_empty();
        some && self.expressions.iter().all(|r| r.admits(labels.get(r.key.as_str()).map(Name::as_str)))
            && self.fields.iter().all(|r| r.key.as_str() == NAME_FIELD && r.admits(Some(node.as_str())))
    }
}

/// Whether every label of `wanted` is on an object with `labels`.
pub fn has_labels(wanted: &Labels, labels: &Labels) -> bool {
    wanted.iter().all(|(k, v)| labels.get(k) == Some(v))
}
