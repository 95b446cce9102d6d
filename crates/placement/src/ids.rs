//! Names and identities. Cheap to clone, totally ordered, and distinct types, so that a pod's name
//! cannot be passed where its UID is meant.

use alloc::sync::Arc;
use core::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
        impl core::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// `metadata.name` of a Node.
    NodeName
);
name!(
    /// `metadata.uid` of a Pod. The key of everything about a pod: a pod recreated under the same name is another pod.
    PodUid
);
name!(
    /// An NVML UUID, `GPU-…`. Never an index: indices move when a GPU falls off the bus.
    GpuUuid
);
name!(
    /// Any other name: namespace, pod name, role, pool, label key or value.
    Name
);

/// Identity of a gang. `incarnation` is the owner's UID where the owner has one, so that a job deleted and
/// created again under the same name is another gang.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GangId {
    /// Namespace of the owner and of all members.
    pub namespace: Name,
    /// Kind of the owner: `TFJob`, `MPIJob`, `PodGroup`, `Pod` for a gang of one, `Label` for our own labels.
    pub kind: Name,
    /// Name of the owner.
    pub name: Name,
    /// UID of the owner, or empty where gangs are known by name only.
    pub incarnation: Name,
}

impl fmt::Display for GangId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One bind request of kube-scheduler that waits for its HTTP reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Number of a plan. Rises with every plan, over restarts too, so that an old plan cannot pass for a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Nobody counts so far. A plan with such a number was written by somebody else, and must not use up the numbers:
    /// then every later plan would have the same one.
    pub const BEYOND: Epoch = Epoch(1 << 62);
}
