//! A gang and its life.
//!
//! ```text
//! Gathering ──all there──► Waiting ──plan fits──► Released ──minimum arrived──► Released(open) ──all bound──► Placed
//!     ▲                       │  ▲                    │                                                         │
//!     └──── member lost ──────┘  └──── plan void ─────┘            (member lost, or new members) ──► Gathering ◄┘
//! ```
//!
//! `Gathering` and `Waiting` hold nothing in the ledger. `Released` holds the whole plan; until it is open
//! nobody is bound and the plan can be made void, once it is open the Bindings are on their way and only
//! single members can drop out. Surviving a restart: bound pods (grants) and complete plans whose
//! annotations are on all waiting members; everything else is gathered again.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{Epoch, GangId, Name, NodeName, PodUid};
use crate::planner::rank;
use crate::pod::{Gate, Membership, OwnerFault, PodPhase, Scheduler, SizeHint};
use crate::pod_state::PodState;
use crate::queue::Setback;
use crate::refusal::Refusal;
use crate::shared_map::SharedMap;
use crate::time::Time;

/// What the owner says of its gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GangSpec {
    /// The gang.
    pub id: GangId,
    /// Members per role; empty where the source knows only a total.
    pub roles: Vec<Role>,
    /// All members, or the fault that keeps us from knowing.
    pub size: Result<u32, OwnerFault>,
    /// Members without which the gang must not start.
    pub min: u32,
}

/// A role of a gang.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    /// Name, as the members have it.
    pub name: Name,
    /// Members.
    pub count: u32,
    /// Members without which the gang must not start; may be none.
    pub min: u32,
}

impl Role {
    /// A role that must be complete.
    pub fn whole(name: &str, count: u32) -> Role {
        Role { name: Name::from(name), count, min: count }
    }
}

/// A gang as far as it has come.
#[derive(Clone, Debug)]
pub struct Gang {
    /// Identity.
    pub id: GangId,
    /// What the owner says; `None` while it has not been seen.
    pub spec: Option<GangSpec>,
    /// All known pods of the gang.
    pub members: BTreeSet<PodUid>,
    /// When the first member was seen here.
    pub since: Time,
    /// How far it has come.
    pub phase: Phase,
    /// Why it does not start; `None` if it does.
    pub refusal: Option<Refusal>,
    /// Nodes left out for this gang, and until when.
    pub excluded: BTreeMap<NodeName, Time>,
    /// That it could not be bound where it had its place, and goes behind others for a while.
    pub setback: Option<Setback>,
    /// What people were told last, so that they are told of changes only.
    pub(crate) told: Option<&'static str>,
    /// Capacity version at which planning failed last; not tried again until it rises.
    pub(crate) failed_at: Option<u64>,
}

/// How far a gang has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Members are missing, or something else keeps it from being planned.
    Gathering,
    /// Ready to be planned, in the queue.
    Waiting,
    /// Planned, held and released.
    Released(Plan),
    /// Everything that is there is bound.
    Placed,
}

/// A plan that was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its number.
    pub epoch: Epoch,
    /// Members still to be bound, with their nodes.
    pub places: BTreeMap<PodUid, NodeName>,
    /// The barrier is open: the minimum arrived and its Bindings are being posted.
    pub open: bool,
}

/// Count of a gang's members by what can be expected of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Bound and alive, or ended well.
    pub settled: u64,
    /// The same by role.
    pub settled_by_role: BTreeMap<Name, u64>,
    /// Waiting for a node, nothing in the way.
    pub pending: Vec<PodUid>,
    /// Held back by a foreign gate.
    pub gated: u64,
    /// Sizes that pods declare or have in their environment.
    pub hints: BTreeSet<crate::pod::SizeHint>,
}

impl Census {
    /// Counts a gang's members.
    pub(crate) fn of(gang: &Gang, pods: &SharedMap<PodUid, Arc<PodState>>) -> Census {
        let mut census = Census::default();
        for state in gang.members.iter().filter_map(|uid| pods.get(uid)) {
            let pod = &state.pod;
            if let Membership::Member(m) = &pod.membership {
                if m.size != SizeHint::Unsaid {
                    census.hints.insert(m.size);
                }
            } else if pod.membership == Membership::Single {
                census.hints.insert(SizeHint::Declared(1));
            }
            let bound = pod.node.is_some() && pod.alive() && !pod.terminating;
            if bound || pod.phase == PodPhase::Succeeded || state.binding {
                census.settled = census.settled.saturating_add(1);
                let of_role = census.settled_by_role.entry(pod.role()).or_default();
                *of_role = of_role.saturating_add(1);
            } else if pod.awaits_node() {
                census.pending.push(pod.uid.clone());
            } else if pod.gate == Gate::Foreign && pod.scheduler == Scheduler::Ours && !pod.terminating {
                census.gated = census.gated.saturating_add(1);
            }
        }
        census
    }

    /// Members that exist, or existed and ended well.
    pub fn live(&self) -> u64 {
        self.settled.saturating_add(self.pending.len() as u64).saturating_add(self.gated)
    }
}

impl Gang {
    /// A gang of which nothing is known but its name.
    pub fn new(id: GangId, now: Time) -> Gang {
        Gang {
            id,
            spec: None,
            members: BTreeSet::new(),
            since: now,
            phase: Phase::Gathering,
            refusal: None,
            excluded: BTreeMap::new(),
            setback: None,
            told: None,
            failed_at: None,
        }
    }

    /// Role and node of the members that have their place for good.
    pub(crate) fn places(&self, pods: &SharedMap<PodUid, Arc<PodState>>) -> Vec<(Name, NodeName)> {
        let states = self.members.iter().filter_map(|uid| pods.get(uid)).filter(|s| s.pod.alive());
        let place = |s: &Arc<PodState>| {
            let on_its_way = || s.stamp.as_ref().filter(|_| s.binding).map(|stamp| stamp.node.clone());
            Some((rank(&s.pod).0, s.pod.node.clone().or_else(on_its_way)?))
        };
        states.filter_map(place).collect()
    }

    /// The plan, if one is released.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.phase {
            Phase::Released(plan) => Some(plan),
            Phase::Gathering | Phase::Waiting | Phase::Placed => None,
        }
    }

    /// Roles and their minima, where they say more than the gang's own: in a gang that may start incomplete.
    pub fn role_minima(&self) -> impl Iterator<Item = (&Name, u64)> {
        let elastic = self.spec.as_ref().filter(|spec| spec.size.as_ref().is_ok_and(|size| spec.min < *size));
        let roles = elastic.into_iter().flat_map(|spec| &spec.roles);
        roles.map(|role| (&role.name, u64::from(role.min)))
    }

    /// Size and minimum. The owner's word first, then a declared label, then, after a grace, the environment.
    ///
    /// # Errors
    /// Why the size is not known or cannot be.
    pub fn size(&self, census: &Census, environment_counts: bool) -> Result<(u64, u64), Refusal> {
        use crate::pod::SizeHint;
        let (size, min) = match &self.spec {
            Some(spec) => {
                let size = spec.size.clone().map_err(Refusal::OwnerUnreadable)?;
                (u64::from(size), u64::from(spec.min))
            }
            None => match census.hints.last() {
                Some(SizeHint::Declared(n)) => (u64::from(*n), u64::from(*n)),
                Some(SizeHint::Environment(n)) if environment_counts => (u64::from(*n), u64::from(*n)),
                _ => return Err(Refusal::OwnerUnreadable(OwnerFault::Unreadable(self.owner()))),
            },
        };
        let disagree = census.hints.iter().filter(|h| matches!(h, SizeHint::Declared(_))).count() > 1;
        if size == 0 || min == 0 || min > size || census.live() > size || (disagree && self.spec.is_none()) {
            return Err(Refusal::InvalidGangSize { declared: size, seen: census.live() });
        }
        Ok((size, min))
    }

    fn owner(&self) -> Name {
        Name::from(alloc::string::ToString::to_string(&self.id).as_str())
    }
}
