//! The core by itself under the world, in virtual time: what it decides comes about without a thread or a clock.
//! Between the two stand the auditor and, if one is planted, a bug.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_placement::ids::{AskId, NodeName, PodUid};
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event, View};

use crate::auditor::Auditor;
use crate::bug::{Bug, Distortion};
use crate::journal::Journal;
use crate::world::{Muster, World};

/// How many events are between two audits by the core itself.
const AUDIT_EVERY: u64 = 64;
/// How many events are between two comparisons with a core that starts anew; no divisor of the above.
const COMPARE_EVERY: u64 = 97;

/// The core, its effects on their way, and those who watch it.
#[derive(Default)]
pub(crate) struct Direct {
    cluster: Cluster,
    pub(crate) now: Time,
    view: Option<Arc<View>>,
    effects: VecDeque<Effect>,
    events: u64,
    compare: bool,
    pub(crate) compared: u64,
    distortion: Option<Distortion>,
    auditor: Auditor,
    pub(crate) journal: Journal,
    broken: Vec<String>,
}

impl Direct {
    /// A core with a bug in front of it, perhaps, that keeps the last so many lines of its journal.
    pub(crate) fn new(bug: Option<&Bug>, keep: usize) -> Direct {
        let distortion = bug.map(|bug| Distortion::new(bug.mistake));
        Direct { distortion, journal: Journal::new(keep), ..Direct::default() }
    }

    fn apply(&mut self, event: Event) {
        self.auditor.told(&event, self.now);
        let events = match &mut self.distortion {
            Some(distortion) => distortion.told(event, self.now),
            None => vec![event],
        };
        for event in events {
            self.decide(event);
        }
    }

    fn decide(&mut self, event: Event) {
        self.events += 1;
        self.compare |= self.events.is_multiple_of(COMPARE_EVERY);
        let effects = self.cluster.apply(event, self.now);
        for effect in &effects {
            self.auditor.wanted(effect);
        }
        self.auditor.step_done();
        self.effects.extend(effects);
        self.view = None;
        if self.events.is_multiple_of(AUDIT_EVERY) {
            self.audit();
        }
        let cluster = &self.cluster;
        self.auditor.look_at_waits(&|| cluster.view());
    }

    fn audit(&mut self) {
        let now = self.now.0;
        let found = self.cluster.audit().into_iter();
        self.broken.extend(found.map(|v| format!("{now} ms: {}: {}", v.rule.label(), v.found)));
    }

    /// All that was found broken.
    pub(crate) fn findings(&mut self) -> Vec<String> {
        self.audit();
        let mut all = std::mem::take(&mut self.broken);
        all.append(&mut self.auditor.broken);
        all
    }

    /// Hands effects to the world. An answer may make kube-scheduler ask again, but not at once.
    pub(crate) fn deliver(&mut self, world: &mut World) {
        while let Some(effect) = self.effects.pop_front() {
            self.journal.write(line(self.now, &effect));
            match effect {
                Effect::Answer(ask, answer) => world.answered(ask, &answer),
                other => world.carry_out(other),
            }
        }
        // Between two events: nothing of one is still to be handed out.
        if self.compare && self.auditor.compare_with_rebuilt(&self.cluster) {
            self.compare = false;
            self.compared += 1;
        }
    }
}

impl Muster for Direct {
    fn tell(&mut self, event: Event) {
        if !matches!(event, Event::Tick | Event::Reported(..)) {
            self.journal.write(told(self.now, &event));
        }
        self.apply(event);
    }

    fn withhold(&mut self, event: Event) {
        if let Some(event) = self.distortion.as_ref().and_then(|distortion| distortion.withheld(event)) {
            self.decide(event);
        }
    }

    fn view(&mut self) -> Arc<View> {
        let before = self.cluster.view().version;
        if let Some(event) = self.distortion.as_mut().and_then(Distortion::looked) {
            self.effects.extend(self.cluster.apply(event, self.now));
        }
        self.auditor.read(before, self.cluster.view().version);
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
        self.auditor.killed();
        if let Some(distortion) = &mut self.distortion {
            distortion.restarted(self.now);
        }
        self.effects.clear();
        self.view = None;
        self.journal.write(format!("{} Muster is killed", self.now.0));
    }
}

/// An effect in one line.
fn line(now: Time, effect: &Effect) -> String {
    let at = now.0;
    match effect {
        Effect::Release { pod, stamp, narrow } => {
            let how = if *narrow { "only there" } else { "there" };
            format!("{at} ◄ release {} to {} {how}, plan {}", pod.name, stamp.node, stamp.epoch.0)
        }
        Effect::Unplan(pod) => format!("{at} ◄ unplan {}", pod.name),
        Effect::Recreate(pod) => format!("{at} ◄ make {} anew", pod.name),
        Effect::Bind { pod, stamp } => format!("{at} ◄ bind {} to {}", pod.name, stamp.node),
        Effect::Answer(ask, Ok(())) => format!("{at} ◄ yes to request {}", ask.0),
        Effect::Answer(ask, Err(refusal)) => format!("{at} ◄ no to request {}: {}", ask.0, refusal.label()),
        Effect::Evict { gang, victims, .. } => {
            format!("{at} ◄ evict {} pods for {}", victims.len(), gang.name)
        }
        Effect::Tell { gang, news, .. } => format!("{at} ◄ tell of {}: {news:?}", gang.name),
    }
}

/// What Muster is told, in one line.
fn told(now: Time, event: &Event) -> String {
    let at = now.0;
    match event {
        Event::PodSeen(pod) => {
            let node = pod.node.as_ref().map_or("no node", NodeName::as_str);
            let going = if pod.terminating { ", terminating" } else { "" };
            let stamp =
                pod.stamp.as_ref().map(|stamp| format!(", plan {} for {}", stamp.epoch.0, stamp.node));
            let (name, uid, phase, gate) = (&pod.name, &pod.uid, pod.phase, pod.gate);
            let stamp = stamp.unwrap_or_default();
            format!("{at} ► pod {name} {uid} ({phase:?}, gate {gate:?}, {node}{stamp}{going})")
        }
        Event::NodeSeen(node) => {
            let cordoned = if node.cordoned { ", cordoned" } else { "" };
            format!("{at} ► node {} ({} GPUs{cordoned})", node.name, node.allocatable.gpus)
        }
        Event::Configured(_) => format!("{at} ► configuration"),
        Event::Reported(node, _) => format!("{at} ► report of {node}"),
        Event::GangSeen(spec) => format!("{at} ► owner {}", spec.id),
        other => format!("{at} ► {other:?}"),
    }
}
