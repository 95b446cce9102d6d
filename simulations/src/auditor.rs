//! An auditor that stands at the door of the core: it sees what Muster is told and what Muster wants done, and
//! holds that against the rules. It is not built from the core's ledger; it keeps books of its own.
//!
//! What it cannot see from there, such as devices handed out and gangs half bound, the world itself judges.
//!
//! | rule | what is broken when |
//! |---|---|
//! | `Overcommit` | a place is taken that, by all that was told, is not there: allocatable and healthy, less bound pods (terminating ones too) and Bindings on their way |
//! | `PartialGang` | a gang's first Bindings are fewer than it needs |
//! | `NotDurable` | a member is bound before every member's plan is known to be at the API server |
//! | `NotAsked` | a Binding is posted that kube-scheduler does not wait for |
//! | `Unsuitable` | a member is sent to a node that is gone, cordoned or tainted against it |
//! | `FilterWrote` | reading the view changed the state |
//! | `RebuildDiffers` | a second Muster that reads the same lists does not claim the same |
//! | `RoomRefused` | a gang waits although by all that was told it has had a place for long |
//! | `PlanForgotten` | right after a restart a pod is planned elsewhere although its gang's plan is on the lists and holds |
//! | `NoReason` | a gang waits and nothing says why |

mod books;
mod plans;
mod rebuild;
mod waits;

use std::collections::BTreeMap;

use muster_placement::ids::{AskId, GangId, NodeName, PodUid};
use muster_placement::pod::{Membership, Pod, Stamp};
use muster_placement::time::{Span, Time};
use muster_placement::{Effect, Event, Outcome};

use self::books::Books;

/// A Binding of a process that died lands within this time, or never.
const STRAYS: Span = Span(5_000);

/// Sees everything that goes into the core and comes out of it.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    now: Time,
    books: Books,
    /// Requests to bind that kube-scheduler waits for.
    asks: BTreeMap<AskId, (PodUid, NodeName)>,
    /// Gangs with a Binding posted since the last event, and how many.
    posted: BTreeMap<GangId, u64>,
    /// Since when a waiting gang would have had a place.
    refused_since: BTreeMap<GangId, Time>,
    looked_at_waits: Time,
    /// The process has read the lists, and no time has passed since.
    starting: bool,
    /// When the process was last killed.
    killed: Option<Time>,
    /// Broken rules, in words.
    pub(crate) broken: Vec<String>,
}

impl Auditor {
    fn breach(&mut self, rule: &str, found: &str) {
        self.broken.push(format!("{} ms: {rule}: {found}", self.now.0));
    }

    /// Muster is told something.
    pub(crate) fn told(&mut self, event: &Event, now: Time) {
        self.now = now;
        if self.killed.is_some_and(|at| now.since(at) > STRAYS) {
            self.killed = None;
            self.books.forget_strays();
        }
        match event {
            Event::BindWithdrawn(ask) => drop(self.asks.remove(ask)),
            Event::BindAsked { ask, pod, node } => {
                self.asks.insert(*ask, (pod.clone(), node.clone()));
            }
            Event::BindOutcome(pod, _, outcome) => self.books.bind_outcome(pod, outcome),
            Event::ReleaseOutcome(pod, epoch, outcome) => {
                self.books.release_outcome(pod, *epoch, *outcome == Outcome::Done);
            }
            other => {
                self.starting &= !matches!(other, Event::Tick);
                self.books.told(other);
            }
        }
    }

    /// Muster wants something done.
    pub(crate) fn wanted(&mut self, effect: &Effect) {
        match effect {
            Effect::Answer(ask, _) => drop(self.asks.remove(ask)),
            Effect::Release { pod, stamp, .. } => {
                self.suits(pod, stamp);
                self.has_room(pod, stamp);
                self.remembers_plan(pod);
                self.books.released(&pod.uid, stamp);
            }
            Effect::Bind { pod, stamp } => {
                self.binds(pod, stamp);
            }
            Effect::Unplan(pod) | Effect::Recreate(pod) => {
                self.books.unplanned(&pod.uid);
            }
            Effect::Tell { .. } | Effect::Evict { .. } => {}
        }
    }

    fn binds(&mut self, pod: &Pod, stamp: &Stamp) {
        let asked = (pod.uid.clone(), stamp.node.clone());
        if !self.asks.values().any(|ask| *ask == asked) {
            self.breach("NotAsked", &format!("{} is bound to {}", pod.name, stamp.node));
        }
        if let Membership::Member(member) = &pod.membership {
            self.suits(pod, stamp);
            *self.posted.entry(member.gang.clone()).or_default() += 1;
            if let Some(other) = self.books.not_durable(&member.gang, stamp.epoch) {
                self.breach("NotDurable", &format!("{} is bound, and the plan of {other} is not", pod.name));
            }
        }
        self.has_room(pod, stamp);
        self.books.posted(pod, stamp);
    }

    /// What is done was decided: a gang that begins must begin whole.
    pub(crate) fn step_done(&mut self) {
        for (gang, posted) in std::mem::take(&mut self.posted) {
            let Some(min) = self.books.min_of(&gang) else { continue };
            let settled = self.books.settled(&gang);
            // One that replaces a lost member has the others beside it; so `settled` counts what was posted too.
            if settled < min {
                let found = format!("{gang}: {posted} Bindings posted, {settled} of {min} bound with them");
                self.breach("PartialGang", &found);
            }
        }
    }

    fn suits(&mut self, pod: &Pod, stamp: &Stamp) {
        let why = self.books.why_unsuitable(pod, &stamp.node);
        if let Some(why) = why {
            self.breach("Unsuitable", &format!("{} is sent to {}, which {why}", pod.name, stamp.node));
        }
    }

    fn has_room(&mut self, pod: &Pod, stamp: &Stamp) {
        let free = self.books.free(&stamp.node, &pod.uid);
        let member = matches!(pod.membership, Membership::Member(_));
        // kube-scheduler counts CPU and memory of pods that are no members by itself.
        let short = if member { pod.request.short_of(&free).is_some() } else { pod.request.gpus > free.gpus };
        if short {
            let found =
                format!("{} takes {:?} of {}, where {free:?} is free", pod.name, pod.request, stamp.node);
            self.breach("Overcommit", &found);
        }
    }

    /// The process was killed: what it had asked for may come about or not.
    pub(crate) fn killed(&mut self) {
        self.killed = Some(self.now);
        self.starting = true;
        self.asks.clear();
        self.posted.clear();
        self.refused_since.clear();
        self.books.killed();
    }

    /// Reading must not change anything.
    pub(crate) fn read(&mut self, before: u64, after: u64) {
        if before != after {
            self.breach("FilterWrote", &format!("version {before} became {after}"));
        }
    }
}
