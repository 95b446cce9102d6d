//! The core by itself under the world, in virtual time: what it decides comes about without a thread or a clock.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_placement::ids::{AskId, NodeName, PodUid};
use muster_placement::time::{Span, Time};
use muster_placement::{Cluster, Effect, Event, View};

use crate::scenario::Scenario;
use crate::tally::Tally;
use crate::world::{Muster, World};

/// How many events are between two audits.
const AUDIT_EVERY: u64 = 64;

/// The core, its effects on their way, and a journal of them.
#[derive(Default)]
pub struct Direct {
    cluster: Cluster,
    now: Time,
    view: Option<Arc<View>>,
    effects: VecDeque<Effect>,
    events: u64,
    /// Every effect as text: two equal runs have equal journals.
    journal: Vec<String>,
    broken: Vec<String>,
}

impl Direct {
    fn apply(&mut self, event: Event) {
        self.events += 1;
        self.effects.extend(self.cluster.apply(event, self.now));
        self.view = None;
        if self.events.is_multiple_of(AUDIT_EVERY) {
            self.audit();
        }
    }

    fn audit(&mut self) {
        let now = self.now.0;
        let found = self.cluster.audit().into_iter();
        self.broken.extend(found.map(|v| format!("{now} ms: {}: {}", v.rule.label(), v.found)));
    }
}

impl Muster for Direct {
    fn tell(&mut self, event: Event) {
        self.apply(event);
    }

    fn view(&mut self) -> Arc<View> {
        self.view.get_or_insert_with(|| Arc::new(self.cluster.view())).clone()
    }

    fn ask_bind(&mut self, ask: AskId, pod: PodUid, node: NodeName) {
        self.apply(Event::BindAsked { ask, pod, node });
    }

    fn hang_up(&mut self, ask: AskId) {
        self.apply(Event::BindWithdrawn(ask));
    }

    fn restart(&mut self) {
        self.audit();
        self.cluster = Cluster::default();
        self.effects.clear();
        self.view = None;
    }
}

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// What was counted; `broken` includes what the core's own audit found.
    pub tally: Tally,
    /// Every effect, with its time.
    pub journal: Vec<String>,
    /// Jobs that had not ended although they would fit the empty world.
    pub unfinished: Vec<String>,
}

/// Runs a scenario for so long.
pub fn run(scenario: Scenario, span: Span) -> Run {
    let mut world = World::new(scenario);
    let mut muster = Direct::default();
    world.begin(&mut muster);
    deliver(&mut world, &mut muster);
    while world.next().is_some_and(|at| at.0 <= span.0) {
        muster.now = world.next().unwrap_or(muster.now);
        world.step(&mut muster);
        deliver(&mut world, &mut muster);
    }
    muster.audit();
    let mut tally = world.tally().clone();
    tally.broken.append(&mut muster.broken);
    Run { tally, journal: muster.journal, unfinished: world.unfinished().map(ToString::to_string).collect() }
}

/// Hands effects to the world. An answer may make kube-scheduler ask again, but not at once.
fn deliver(world: &mut World, muster: &mut Direct) {
    while let Some(effect) = muster.effects.pop_front() {
        muster.journal.push(format!("{} {effect:?}", muster.now.0));
        match effect {
            Effect::Answer(ask, answer) => world.answered(ask, &answer),
            other => world.carry_out(other),
        }
    }
}
