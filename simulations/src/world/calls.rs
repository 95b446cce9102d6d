//! Muster's calls to the API server, carried out as the program carries them out: those about one pod one after
//! the other, each until its outcome is certain.
//!
//! A call may be slow, may meet another write, may be lost on its way, may be carried out while its answer is
//! lost, or may land long after its caller gave up. A call without an answer is not a failure: the pod is read,
//! and a call is made again only while the pod says that it has not happened.

use std::collections::{BTreeMap, VecDeque};

use muster_placement::ids::{Name, PodUid};
use muster_placement::pod::Pod;
use muster_placement::preempt::Eviction;
use muster_placement::{Effect, Event, Outcome};

use super::{Happening, Muster, World};

/// Calls by pod; the first one of each is on its way.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    waiting: BTreeMap<PodUid, VecDeque<Effect>>,
    /// The API server answers nobody.
    pub(crate) outage: bool,
}

/// What becomes of a call.
enum Fate {
    Answered,
    Conflict,
    /// It never arrives.
    LostOnTheWay,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is carried out long after.
    Late,
}

/// The pod that a call is about.
fn subject(effect: &Effect) -> Option<&PodUid> {
    match effect {
        Effect::Release { pod, .. }
        | Effect::Unplan(pod)
        | Effect::Recreate(pod)
        | Effect::Bind { pod, .. } => Some(&pod.uid),
        // Victims are evicted together, once for each preemption.
        Effect::Evict { victims, .. } => victims.first().map(|pod| &pod.uid),
        Effect::Answer(..) | Effect::Tell { .. } => None,
    }
}

impl World {
    /// Puts a call on its way.
    pub(crate) fn send(&mut self, effect: Effect) {
        let Some(uid) = subject(&effect).cloned() else { return };
        let queue = self.calls.waiting.entry(uid.clone()).or_default();
        queue.push_back(effect);
        if queue.len() == 1 {
            self.travel(uid);
        }
    }

    fn travel(&mut self, uid: PodUid) {
        let slow = self.network.chance(self.pace.slow_calls_per_mille);
        let delay = if slow { self.network.span(500, 4_000) } else { self.network.span(2, 15) };
        self.after(delay, Happening::Land(uid));
    }

    fn fate(&mut self, effect: &Effect) -> Fate {
        if self.calls.outage {
            return Fate::LostOnTheWay;
        }
        if matches!(effect, Effect::Release { .. }) && self.network.chance(self.weather.conflicts_per_mille) {
            return Fate::Conflict;
        }
        if !self.network.chance(self.weather.lost_answers_per_mille) {
            return Fate::Answered;
        }
        match self.network.below(3) {
            0 => Fate::LostOnTheWay,
            1 => Fate::AnswerLost,
            _ => Fate::Late,
        }
    }

    /// The oldest call about a pod reaches the API server, or does not.
    pub(crate) fn land(&mut self, uid: &PodUid, muster: &mut dyn Muster) {
        let Some(effect) = self.calls.waiting.get(uid).and_then(VecDeque::front).cloned() else { return };
        match self.fate(&effect) {
            Fate::Answered => {
                let outcome = self.attempt(&effect, uid);
                return self.concluded(uid, outcome);
            }
            Fate::Conflict => {
                self.tally.conflicts += 1;
                let pause = self.network.span(50, 500);
                return self.after(pause, Happening::Land(uid.clone()));
            }
            Fate::LostOnTheWay => {}
            Fate::AnswerLost => drop(self.attempt(&effect, uid)),
            Fate::Late => {
                let delay = self.network.span(1_000, 12_000);
                self.after(delay, Happening::Stray(Box::new(effect.clone())));
            }
        }
        self.tally.unanswered += 1;
        let unknown = Outcome::Refused(Name::from("the call timed out"));
        let timed_out = outcome_of(&effect, unknown).filter(|_| !matches!(effect, Effect::Evict { .. }));
        if let Some(event) = timed_out {
            muster.withhold(event);
        }
        let pause = self.network.span(1_000, 5_000);
        self.after(pause, Happening::ReadBack(uid.clone()));
    }

    fn attempt(&mut self, effect: &Effect, uid: &PodUid) -> Outcome {
        if let Effect::Evict { victims, .. } = effect {
            for victim in victims {
                self.delete(&victim.uid);
            }
            return Outcome::Done;
        }
        match self.pods.get(uid).cloned() {
            None => Outcome::Gone,
            Some(pod) => self.perform(effect, pod),
        }
    }

    /// After silence the pod itself is read, and says what became of a Binding; a patch is made again.
    pub(crate) fn read_back(&mut self, uid: &PodUid) {
        let Some(effect) = self.calls.waiting.get(uid).and_then(VecDeque::front).cloned() else { return };
        if self.calls.outage || self.network.chance(self.weather.lost_answers_per_mille) {
            let pause = self.network.span(1_000, 5_000);
            return self.after(pause, Happening::ReadBack(uid.clone()));
        }
        match settled(&effect, self.pods.get(uid)) {
            Some(outcome) => self.concluded(uid, outcome),
            None => self.travel(uid.clone()),
        }
    }

    /// The outcome of the oldest call about a pod is certain; the next one may go.
    fn concluded(&mut self, uid: &PodUid, outcome: Outcome) {
        let Some(queue) = self.calls.waiting.get_mut(uid) else { return };
        let Some(effect) = queue.pop_front() else { return };
        if queue.is_empty() {
            self.calls.waiting.remove(uid);
        } else {
            self.travel(uid.clone());
        }
        if let Some(event) = outcome_of(&effect, outcome) {
            // A reply races with the watch.
            let delay = self.network.span(1, 12);
            self.after(delay, Happening::Reply(Box::new(event)));
        }
    }

    /// A call lands that nobody waits for any more.
    pub(crate) fn stray(&mut self, effect: &Effect) {
        if let Some(uid) = subject(effect).cloned() {
            self.attempt(effect, &uid);
        }
    }

    /// The process at the other end died: what it had sent may still land, what it had not is forgotten.
    pub(crate) fn forget_calls(&mut self) {
        for (_, mut queue) in std::mem::take(&mut self.calls.waiting) {
            if let Some(effect) = queue.pop_front().filter(|_| self.network.chance(500)) {
                let delay = self.network.span(1, 3_000);
                self.after(delay, Happening::Stray(Box::new(effect)));
            }
        }
        self.agenda.retain(|what| !matches!(what, Happening::Reply(_)));
    }
}

fn outcome_of(effect: &Effect, outcome: Outcome) -> Option<Event> {
    match effect {
        Effect::Bind { pod, stamp } => Some(Event::BindOutcome(pod.uid.clone(), stamp.node.clone(), outcome)),
        Effect::Release { pod, stamp, .. } => {
            Some(Event::ReleaseOutcome(pod.uid.clone(), stamp.epoch, outcome))
        }
        Effect::Evict { gang, number, .. } => {
            Some(Event::EvictOutcome(gang.clone(), *number, Eviction::Done))
        }
        Effect::Unplan(_) | Effect::Recreate(_) | Effect::Answer(..) | Effect::Tell { .. } => None,
    }
}

/// What the pod itself says of a call; `None` if the call has to be made again.
fn settled(effect: &Effect, now: Option<&Pod>) -> Option<Outcome> {
    let Effect::Bind { stamp, .. } = effect else { return None };
    let Some(pod) = now else { return Some(Outcome::Gone) };
    match &pod.node {
        Some(node) if *node == stamp.node => Some(Outcome::Done),
        Some(node) => Some(Outcome::Refused(Name::from(format!("the pod is bound to {node}").as_str()))),
        None => pod.terminating.then_some(Outcome::Gone),
    }
}
