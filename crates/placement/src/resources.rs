//! Amounts of what a node has and a pod asks for. Integers with fixed units; no operation overflows or goes
//! below zero. Does not know which GPUs are meant: see `devices`.

/// The resource of a GPU in pods and nodes (the stock NVIDIA device plugin's).
pub const GPU_RESOURCE: &str = "nvidia.com/gpu";

/// Amounts of the resources that the planner counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resources {
    /// Whole GPUs.
    pub gpus: u64,
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// Ephemeral storage in bytes.
    pub ephemeral: u64,
    /// Pods: 1 for a pod, the kubelet's `maxPods` for a node.
    pub pods: u64,
}

/// One of the counted resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// `nvidia.com/gpu`.
    Gpu,
    /// `cpu`.
    Cpu,
    /// `memory`.
    Memory,
    /// `ephemeral-storage`.
    EphemeralStorage,
    /// `pods`.
    Pods,
}

impl Resource {
    /// All counted resources, in the order in which a shortage is reported.
    pub const ALL: [Resource; 5] =
        [Resource::Gpu, Resource::Cpu, Resource::Memory, Resource::EphemeralStorage, Resource::Pods];

    /// The name Kubernetes gives the resource.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Gpu => GPU_RESOURCE,
            Resource::Cpu => "cpu",
            Resource::Memory => "memory",
            Resource::EphemeralStorage => "ephemeral-storage",
            Resource::Pods => "pods",
        }
    }
}

impl Resources {
    /// The amount of one resource.
    pub fn get(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Gpu => self.gpus,
            Resource::Cpu => self.cpu_milli,
            Resource::Memory => self.memory,
            Resource::EphemeralStorage => self.ephemeral,
            Resource::Pods => self.pods,
        }
    }

    fn each(self, other: Resources, op: fn(u64, u64) -> u64) -> Resources {
        Resources {
            gpus: op(self.gpus, other.gpus),
            cpu_milli: op(self.cpu_milli, other.cpu_milli),
            memory: op(self.memory, other.memory),
            ephemeral: op(self.ephemeral, other.ephemeral),
            pods: op(self.pods, other.pods),
        }
    }

    /// Sum, stopping at the largest number.
    #[must_use]
    pub fn plus(self, other: Resources) -> Resources {
        self.each(other, u64::saturating_add)
    }

    /// Difference, stopping at zero.
    #[must_use]
    pub fn minus(self, other: Resources) -> Resources {
        self.each(other, u64::saturating_sub)
    }

    /// The larger of both, resource by resource.
    #[must_use]
    pub fn max(self, other: Resources) -> Resources {
        self.each(other, u64::max)
    }

    /// `n` times this amount.
    #[must_use]
    pub fn times(self, n: u64) -> Resources {
        self.each(Resources { gpus: n, cpu_milli: n, memory: n, ephemeral: n, pods: n }, u64::saturating_mul)
    }

    /// The first resource of which `self` asks more than `free` has.
    pub fn short_of(&self, free: &Resources) -> Option<Resource> {
        Resource::ALL.into_iter().find(|r| self.get(*r) > free.get(*r))
    }

    /// How many requests of this size fit into `free`.
    pub fn copies_in(&self, free: &Resources) -> u64 {
        Resource::ALL
            .into_iter()
            .filter_map(|r| free.get(r).checked_div(self.get(r)))
            .min()
            .unwrap_or(u64::MAX)
    }
}
