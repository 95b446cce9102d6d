//! Who holds what. The only place where ownership of GPUs, CPU, memory and pod slots changes.
//!
//! Invariants: an account is the sum of the claims on its node; a GPU's UUID stands in at most one claim.
//! A claim by count is certain; which UUIDs a pod got is assumed until the node says so, so nothing that
//! must be safe rests on a UUID. Does not decide: the planner does.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::extras::{Extras, ExtrasSum};
use crate::ids::{GpuUuid, NodeName, PodUid};
use crate::resources::Resources;
use crate::shared_map::SharedMap;

/// What one pod holds on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub node: NodeName,
    /// How much.
    pub amount: Resources,
    /// Other extended resources and host ports.
    pub extras: Extras,
    /// GPUs assumed; fewer than `amount.gpus` where they are not known.
    pub gpus: Vec<GpuUuid>,
    /// Held for a plan, or granted to a bound pod.
    pub kind: ClaimKind,
}

/// Kind of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// Reserved by a plan or by a Binding on its way.
    Hold,
    /// The pod is bound.
    Grant,
}

/// Sum of the claims on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Holds and grants.
    pub claimed: Resources,
    /// Holds alone.
    pub held: Resources,
    /// Other extended resources and host ports claimed.
    pub extras: ExtrasSum,
    /// Which pod is assumed to have which GPU.
    pub gpus: BTreeMap<GpuUuid, PodUid>,
}

impl Account {
    /// Takes a claim off.
    pub(crate) fn less(&mut self, claim: &Claim) {
        self.claimed = self.claimed.minus(claim.amount);
        self.extras.remove(&claim.extras);
        if claim.kind == ClaimKind::Hold {
            self.held = self.held.minus(claim.amount);
        }
        for uuid in &claim.gpus {
            self.gpus.remove(uuid);
        }
    }
}

/// All claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    claims: SharedMap<PodUid, Arc<Claim>>,
    accounts: BTreeMap<NodeName, Account>,
}

impl Ledger {
    /// The claim of a pod.
    pub fn claim(&self, pod: &PodUid) -> Option<&Claim> {
        self.claims.get(pod).map(Arc::as_ref)
    }

    /// All claims by pod.
    pub fn claims(&self) -> &SharedMap<PodUid, Arc<Claim>> {
        &self.claims
    }

    /// The account of a node; empty if nothing is claimed there.
    pub fn account(&self, node: &NodeName) -> Account {
        self.accounts.get(node).cloned().unwrap_or_default()
    }

    /// Sets the claim of a pod, in place of the one it had. UUIDs that another pod is assumed to have are left out.
    /// Returns the node of the claim replaced, if that was another one.
    pub fn set(&mut self, pod: &PodUid, mut claim: Claim) -> Option<NodeName> {
        let left = self.remove(pod).filter(|node| *node != claim.node);
        let account = self.accounts.entry(claim.node.clone()).or_default();
        claim.gpus.sort();
        claim.gpus.dedup();
        claim.gpus.retain(|uuid| !account.gpus.contains_key(uuid));
        claim.gpus.truncate(usize::try_from(claim.amount.gpus).unwrap_or(usize::MAX));
        account.claimed = account.claimed.plus(claim.amount);
        account.extras.add(&claim.extras, 1);
        if claim.kind == ClaimKind::Hold {
            account.held = account.held.plus(claim.amount);
        }
        for uuid in &claim.gpus {
            account.gpus.insert(uuid.clone(), pod.clone());
        }
        self.claims.insert(pod.clone(), Arc::new(claim));
        left
    }

    /// Ends the claim of a pod. Returns the node that is freer now.
    pub fn remove(&mut self, pod: &PodUid) -> Option<NodeName> {
        let claim = self.claims.remove(pod)?;
        if let Some(account) = self.accounts.get_mut(&claim.node) {
            account.less(&claim);
            if *account == Account::default() {
                self.accounts.remove(&claim.node);
            }
        }
        Some(claim.node.clone())
    }
}
