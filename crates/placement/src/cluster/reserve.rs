//! Makes, keeps and ends the reservation: see [`Reservation`].

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Cluster;
use crate::gang::Gang;
use crate::ids::{GangId, NodeName, PodUid};
use crate::pod_state::PodState;
use crate::queue::{Reservation, Turn};
use crate::refusal::Refusal;
use crate::time::Time;

impl Cluster {
    /// The first gang that has waited long enough gets the reservation, on the nodes that it can have first; they change
    /// only if others are free certainly sooner.
    pub(super) fn reserve(&mut self, now: Time) {
        if let Some(over) = self.reservation.clone().filter(|r| self.lapses(r, now)) {
            let pause = self.settings.reserve_after.unwrap_or_default();
            self.lapsed.insert(over.gang.clone(), now.after(pause));
        }
        self.lapsed.retain(|_, until| *until > now);
        let aged = self.aged(now);
        // Nothing else changes the answer.
        let state =
            (self.capacity, self.preemptions.claims, aged.iter().map(|turn| turn.gang.clone()).collect());
        if self.reserved_for.as_ref() == Some(&state) {
            return;
        }
        self.reserved_for = Some(state);
        let first = aged.into_iter().find_map(|turn| {
            let kept = self.reservation.clone().filter(|r| r.gang == turn.gang && self.stands(r));
            let fresh = self.soonest(&turn);
            let sooner = |r: &Reservation| fresh.as_ref().is_some_and(|f| before(f.latest, r.latest));
            match kept {
                Some(kept) if !sooner(&kept) => Some(kept),
                _ => fresh.map(Arc::new),
            }
        });
        if first != self.reservation {
            self.reservation = first;
            // Whoever was kept out, or is let in, is tried again.
            self.freed();
        }
    }

    /// Whether a reservation of which nobody can say when it ends has stood long enough.
    fn lapses(&self, reservation: &Reservation, now: Time) -> bool {
        let span = self.settings.reserve_after.unwrap_or_default();
        reservation.latest.is_none() && now.since(reservation.since) >= span
    }

    /// Gangs that wait for room for longer than they should, in order.
    fn aged(&mut self, now: Time) -> Vec<Turn> {
        let Some(after) = self.settings.reserve_after else { return Vec::new() };
        let waiting = self.all_waiting();
        let old = |g: &&Arc<Gang>| now.since(g.since) >= after && g.failed_at.is_some();
        let room = |g: &&Arc<Gang>| g.refusal.as_ref().is_some_and(Refusal::wants_room);
        let gangs = waiting.iter().filter_map(|id| self.gangs.get(id)).filter(old).filter(room);
        let gangs = gangs.filter(|g| !self.lapsed.contains_key(&g.id));
        let mut turns: Vec<Turn> = gangs.filter_map(|g| self.turn(g)).filter(|t| !t.behind).collect();
        turns.sort();
        turns
    }

    /// The nodes that a gang can have first; `None` if it does not fit the empty cluster.
    fn soonest(&self, turn: &Turn) -> Option<Reservation> {
        let bound = |s: &&Arc<PodState>| s.pod.node.is_some() && s.pod.alive();
        // Those of unknown end last, the oldest before others.
        let mut ends: Vec<(bool, Option<Time>, Option<Time>, PodUid)> = self
            .pods
            .values()
            .filter(bound)
            .map(|s| (end(s).is_none(), end(s), s.bound_since, s.pod.uid.clone()))
            .collect();
        ends.sort();
        let gone =
            |k: usize| -> BTreeSet<PodUid> { ends.iter().take(k).map(|(.., uid)| uid.clone()).collect() };
        let fits = |k: usize| {
            self.attempt(&turn.gang, &self.nodes_as_if(&turn.gang, &gone(k)), &BTreeSet::new())?.ok()
        };
        let (mut low, mut high) = (0, ends.len());
        let mut places = fits(high)?;
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            match fits(middle) {
                Some(found) => (high, places) = (middle, found),
                None => low = middle,
            }
        }
        let nodes: BTreeSet<NodeName> = places.into_iter().map(|p| p.node).collect();
        let in_the_way = ends
            .iter()
            .take(high)
            .filter(|(.., uid)| self.ledger.claim(uid).is_some_and(|claim| nodes.contains(&claim.node)));
        let latest =
            in_the_way.map(|(_, end, ..)| *end).try_fold(Time(0), |latest, end| Some(latest.max(end?)));
        Some(Reservation {
            gang: turn.gang.clone(),
            priority: turn.priority.0,
            since: self.now,
            nodes,
            latest,
        })
    }

    /// Whether the gang would still fit on its nodes if everybody there had gone.
    fn stands(&self, reservation: &Reservation) -> bool {
        let there = |c: &&Arc<crate::ledger::Claim>| reservation.nodes.contains(&c.node);
        let gone =
            self.ledger.claims().iter().filter(|(_, c)| there(c)).map(|(uid, _)| uid.clone()).collect();
        let elsewhere =
            self.nodes.keys().filter(|name| !reservation.nodes.contains(*name)).cloned().collect();
        let nodes = self.nodes_as_if(&reservation.gang, &gone);
        matches!(self.attempt(&reservation.gang, &nodes, &elsewhere), Some(Ok(_)))
    }

    /// The nodes that a gang must leave to the one with the reservation.
    pub(super) fn reserved_from(&self, id: &GangId) -> BTreeSet<NodeName> {
        let none = BTreeSet::new();
        let Some(reservation) = self.reservation.as_deref().filter(|r| r.gang != *id) else { return none };
        let Some(gang) = self.gangs.get(id) else { return none };
        let earlier = |id: &GangId| self.gangs.get(id).and_then(|g| self.turn(g));
        if self.turn(gang) < earlier(&reservation.gang) {
            return none;
        }
        let members =
            gang.members.iter().filter_map(|uid| self.pods.get(uid)).filter(|s| s.pod.awaits_node());
        let mut members = members.map(|s| &s.pod);
        if members.all(|pod| reservation.lets(pod, self.now, self.settings.barrier)) {
            return none;
        }
        reservation.nodes.clone()
    }
}

/// Whether one time is certainly earlier; without a deadline there is none.
fn before(a: Option<Time>, b: Option<Time>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a < b,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// When the kubelet will have ended a pod, at the latest: it was bound before it was seen so.
fn end(state: &PodState) -> Option<Time> {
    let tenure = state.pod.tenure;
    Some(state.bound_since?.after(tenure.deadline?).after(tenure.grace))
}
