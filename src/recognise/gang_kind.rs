//! The owners that describe gangs: their names in the API.

/// A kind of object that describes a gang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GangKind {
    /// `kubeflow.org` `TFJob`.
    TfJob,
    /// `kubeflow.org` `PyTorchJob`.
    PyTorchJob,
    /// `kubeflow.org` `MPIJob`, of training-operator (v1) or mpi-operator (v2beta1).
    MpiJob,
    /// `kubeflow.org` `XGBoostJob`.
    XgBoostJob,
    /// `kubeflow.org` `PaddleJob`.
    PaddleJob,
    /// `kubeflow.org` `JAXJob`.
    JaxJob,
    /// `scheduling.x-k8s.io` `PodGroup`.
    PodGroup,
}

const KUBEFLOW: &str = "kubeflow.org";

impl GangKind {
    /// All kinds.
    pub const ALL: [GangKind; 7] = [
        GangKind::TfJob,
        GangKind::PyTorchJob,
        GangKind::MpiJob,
        GangKind::XgBoostJob,
        GangKind::PaddleJob,
        GangKind::JaxJob,
        GangKind::PodGroup,
    ];

    /// The kind of this `apiVersion` and `kind`, in whatever version.
    pub fn of(api_version: &str, kind: &str) -> Option<GangKind> {
        let (group, _) = api_version.split_once('/')?;
        Self::ALL.into_iter().find(|k| k.group() == group && k.name() == kind)
    }

    /// The kind of this name.
    pub fn named(kind: &str) -> Option<GangKind> {
        Self::ALL.into_iter().find(|k| k.name() == kind)
    }

    /// `kind`.
    pub fn name(self) -> &'static str {
        match self {
            GangKind::TfJob => "TFJob",
            GangKind::PyTorchJob => "PyTorchJob",
            GangKind::MpiJob => "MPIJob",
            GangKind::XgBoostJob => "XGBoostJob",
            GangKind::PaddleJob => "PaddleJob",
            GangKind::JaxJob => "JAXJob",
            GangKind::PodGroup => "PodGroup",
        }
    }

    /// API group.
    pub fn group(self) -> &'static str {
        if self == GangKind::PodGroup { "scheduling.x-k8s.io" } else { KUBEFLOW }
    }

    /// Resource name.
    pub fn plural(self) -> &'static str {
        match self {
            GangKind::TfJob => "tfjobs",
            GangKind::PyTorchJob => "pytorchjobs",
            GangKind::MpiJob => "mpijobs",
            GangKind::XgBoostJob => "xgboostjobs",
            GangKind::PaddleJob => "paddlejobs",
            GangKind::JaxJob => "jaxjobs",
            GangKind::PodGroup => "podgroups",
        }
    }

    /// Versions that we can read, the one we would rather read first.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            // Two operators share one CRD name; a cluster has one of them.
            GangKind::MpiJob => &["v2beta1", "v1"],
            GangKind::PodGroup => &["v1alpha1"],
            GangKind::TfJob
            | GangKind::PyTorchJob
            | GangKind::XgBoostJob
            | GangKind::PaddleJob
            | GangKind::JaxJob => &["v1"],
        }
    }

    /// Name of the `CustomResourceDefinition`.
    pub fn crd(self) -> String {
        format!("{}.{}", self.plural(), self.group())
    }

    /// Whether pods name their owner by name only, so that its UID cannot be part of the gang's identity.
    pub fn known_by_name(self) -> bool {
        self == GangKind::PodGroup
    }

    /// Whether the owner is the controller of its pods, directly or through a Job.
    pub fn controls_pods(self) -> bool {
        self != GangKind::PodGroup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_version_of_the_group_will_do() {
        assert_eq!(GangKind::of("kubeflow.org/v1", "TFJob"), Some(GangKind::TfJob));
        assert_eq!(GangKind::of("kubeflow.org/v2beta1", "MPIJob"), Some(GangKind::MpiJob));
        assert_eq!(GangKind::of("example.org/v1", "TFJob"), None);
        assert_eq!(GangKind::of("v1", "Pod"), None);
        assert_eq!(GangKind::MpiJob.crd(), "mpijobs.kubeflow.org");
    }
}
