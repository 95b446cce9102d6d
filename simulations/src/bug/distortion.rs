//! What a planted bug makes of the news on their way to the core.

use std::collections::BTreeMap;

use muster_placement::ids::{Name, NodeName, PodUid};
use muster_placement::inventory::{Health, Inventory};
use muster_placement::node::Node;
use muster_placement::pod::{Pod, Scheduler};
use muster_placement::time::{Span, Time};
use muster_placement::{Event, Outcome};

use super::Mistake;

/// How long a deletion waits to be merged with the pod that follows.
const MERGES: Span = Span(3_000);
/// How long after the start the last pods are read.
const READS: Span = Span(2_000);

/// A mistake and what it has to remember.
#[derive(Debug)]
pub(crate) struct Distortion {
    mistake: Mistake,
    now: Time,
    /// The process has started and not read everything yet.
    starting: bool,
    started: Time,
    later: Vec<(Time, Event)>,
    names: BTreeMap<PodUid, (Name, Name)>,
    nodes: BTreeMap<NodeName, Node>,
    reported: BTreeMap<NodeName, u64>,
    looked_at: Option<Pod>,
}

impl Distortion {
    pub(crate) fn new(mistake: Mistake) -> Distortion {
        Distortion {
            mistake,
            now: Time(0),
            starting: false,
            started: Time(0),
            later: Vec::new(),
            names: BTreeMap::new(),
            nodes: BTreeMap::new(),
            reported: BTreeMap::new(),
            looked_at: None,
        }
    }

    /// The process starts again.
    pub(crate) fn restarted(&mut self, now: Time) {
        (self.starting, self.started) = (true, now);
        self.later.clear();
        self.nodes.clear();
        self.reported.clear();
    }

    /// What is believed of something that should have been turned away.
    pub(crate) fn withheld(&self, event: Event) -> Option<Event> {
        let believed = match (self.mistake, &event) {
            (Mistake::TimeoutIsFailure, Event::BindOutcome(..))
            | (Mistake::ReplayedReports, Event::Reported(..)) => true,
            (Mistake::StaleList, event) => {
                !matches!(event, Event::BindOutcome(..) | Event::ReleaseOutcome(..) | Event::Reported(..))
            }
            _ => false,
        };
        believed.then_some(event)
    }

    /// What a look at the state leaves behind.
    pub(crate) fn looked(&mut self) -> Option<Event> {
        let pod = self.looked_at.take().filter(|_| self.mistake == Mistake::FilterReserves)?;
        let node = self.nodes.values().find(|node| node.allocatable.gpus >= pod.request.gpus)?.name.clone();
        Some(Event::PodSeen(Box::new(Pod { node: Some(node), ..pod })))
    }

    /// What reaches the core.
    pub(crate) fn told(&mut self, event: Event, now: Time) -> Vec<Event> {
        self.now = now;
        let due = |(at, _): &mut (Time, Event)| *at <= now;
        let mut out: Vec<Event> = self.later.extract_if(.., due).map(|(_, event)| event).collect();
        out.extend(self.distort(event));
        out
    }

    fn distort(&mut self, event: Event) -> Vec<Event> {
        match event {
            Event::PodSeen(pod) => self.pod(*pod),
            Event::PodGone(uid) => self.gone(uid),
            Event::NodeSeen(node) => vec![self.node(*node)],
            Event::Reported(name, inventory) => self.report(&name, inventory),
            Event::Synced => {
                self.starting = false;
                vec![Event::Synced]
            }
            Event::GangSeen(mut spec) if self.mistake == Mistake::BarrierOneEarly => {
                spec.min = spec.min.saturating_sub(1).max(1);
                vec![Event::GangSeen(spec)]
            }
            Event::BindWithdrawn(_) if self.mistake == Mistake::HangUpForgotten => Vec::new(),
            Event::BindOutcome(_, _, outcome) | Event::ReleaseOutcome(_, _, outcome)
                if self.mistake == Mistake::RefusalForgotten && outcome != Outcome::Done =>
            {
                Vec::new()
            }
            other => vec![other],
        }
    }

    fn pod(&mut self, mut pod: Pod) -> Vec<Event> {
        let name = (pod.namespace.clone(), pod.name.clone());
        match self.mistake {
            Mistake::TerminatingIsGone if pod.terminating && pod.node.is_some() => {
                return vec![Event::PodGone(pod.uid)];
            }
            Mistake::ForeignUncounted if pod.scheduler == Scheduler::Foreign => return Vec::new(),
            Mistake::UnknownDevicesUncounted if pod.node.is_some() => {
                let known = pod.stamp.as_ref().map_or(0, |stamp| stamp.gpus.len() as u64);
                pod.request.gpus = pod.request.gpus.min(known);
            }
            Mistake::RebuildWithoutPlans if self.starting && pod.node.is_none() => pod.stamp = None,
            Mistake::PlansBeforeRead if self.starting && pod.node.is_some() => {
                self.later.push((self.started.after(READS), Event::PodSeen(Box::new(pod))));
                return Vec::new();
            }
            Mistake::DeletionMerged => {
                let same = |uid: &PodUid| self.names.get(uid) == Some(&name) && *uid != pod.uid;
                self.later.retain(|(_, event)| !matches!(event, Event::PodGone(uid) if same(uid)));
            }
            Mistake::FilterReserves if pod.node.is_none() && pod.wants_gpus() => {
                self.looked_at = Some(pod.clone());
            }
            _ => {}
        }
        self.names.insert(pod.uid.clone(), name);
        vec![Event::PodSeen(Box::new(pod))]
    }

    fn gone(&mut self, uid: PodUid) -> Vec<Event> {
        if self.mistake == Mistake::DeletionMerged {
            self.later.push((self.now.after(MERGES), Event::PodGone(uid)));
            return Vec::new();
        }
        self.later.retain(|(_, event)| !matches!(event, Event::PodSeen(pod) if pod.uid == uid));
        vec![Event::PodGone(uid)]
    }

    fn node(&mut self, mut node: Node) -> Event {
        self.nodes.insert(node.name.clone(), node.clone());
        if self.mistake == Mistake::ReportRaisesCapacity {
            let reported = self.reported.get(&node.name).copied().unwrap_or(0);
            node.allocatable.gpus = node.allocatable.gpus.max(reported);
        }
        Event::NodeSeen(Box::new(node))
    }

    fn report(&mut self, name: &NodeName, mut inventory: Inventory) -> Vec<Event> {
        if self.mistake == Mistake::SickGpusCount {
            inventory.gpus.iter_mut().for_each(|gpu| gpu.health = Health::Healthy);
        }
        self.reported.insert(name.clone(), inventory.gpus.len() as u64);
        let mut out = vec![Event::Reported(name.clone(), inventory)];
        if self.mistake == Mistake::ReportRaisesCapacity
            && let Some(node) = self.nodes.get(name).cloned()
        {
            out.push(self.node(node));
        }
        out
    }
}
