//! The extender's own core, between an API server, a kube-scheduler and kubelets that never fail and take no time.
//!
//! The whole life of a gang runs: owner and gated pods are seen, planned, released, asked about by kube-scheduler
//! (`filter` on the view, then `bind`), bound, run, ended and deleted; each as the event that it would be, one after
//! the other. After every step the ledger must name exactly the pods that have a place on the floor, and no GPU twice.

use std::collections::{BTreeMap, VecDeque};

use muster_placement::ids::{AskId, GpuUuid, NodeName, PodUid};
use muster_placement::pod::{Pod, PodPhase, Stamp};
use muster_placement::time::Span;
use muster_placement::{Cluster, Effect, Event, FilterAnswer, Outcome, Settings};

use super::{Floor, Hold, Policy, Unit, api_objects};

/// How many steps are between two audits of the core by itself.
const AUDIT_EVERY: u64 = 64;

/// The core and the objects around it.
pub(crate) struct Extender {
    cluster: Cluster,
    settings: Settings,
    /// Pods that there are, with the place that each has in the replay.
    pods: BTreeMap<PodUid, (Pod, usize, usize)>,
    nodes: BTreeMap<NodeName, usize>,
    effects: VecDeque<Effect>,
    /// Released pods that kube-scheduler has not tried yet.
    released: Vec<PodUid>,
    gpus: BTreeMap<GpuUuid, PodUid>,
    asks: u64,
    steps: u64,
    checked: bool,
    /// Whether pods have a deadline that the kubelet enforces.
    deadlines: bool,
}

impl Extender {
    pub(crate) fn new(settings: Settings) -> Extender {
        Extender {
            cluster: Cluster::default(),
            settings,
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            effects: VecDeque::new(),
            released: Vec::new(),
            gpus: BTreeMap::new(),
            asks: 0,
            steps: 0,
            checked: true,
            deadlines: false,
        }
    }

    /// With a deadline of a quarter more than its job's duration on every pod, and reservations from the first wait on:
    /// what time limits are in batch systems.
    pub(crate) fn with_deadlines() -> Extender {
        let settings = Settings { reserve_after: Some(Span(0)), ..Settings::default() };
        Extender { deadlines: true, ..Extender::new(settings) }
    }

    /// Without checks after each step, which look at every pod: where time is measured.
    pub(crate) fn unchecked(settings: Settings) -> Extender {
        Extender { checked: false, ..Extender::new(settings) }
    }

    fn tell(&mut self, floor: &mut Floor, event: Event) {
        self.effects.extend(self.cluster.apply(event, floor.now));
        loop {
            while let Some(effect) = self.effects.pop_front() {
                self.carry_out(floor, effect);
            }
            if self.released.is_empty() {
                return;
            }
            self.schedule(floor);
        }
    }

    fn apply(&mut self, floor: &Floor, event: Event) {
        self.effects.extend(self.cluster.apply(event, floor.now));
    }

    fn carry_out(&mut self, floor: &mut Floor, effect: Effect) {
        match effect {
            Effect::Release { pod, stamp, narrow } => {
                let uid = pod.uid.clone();
                let Some((pod, ..)) = self.pods.get_mut(&uid) else { return };
                *pod = api_objects::released(pod.clone(), &stamp, narrow);
                let seen = Event::PodSeen(Box::new(pod.clone()));
                self.apply(floor, Event::ReleaseOutcome(uid.clone(), stamp.epoch, Outcome::Done));
                self.apply(floor, seen);
                self.released.push(uid);
            }
            Effect::Bind { pod, stamp } => self.bind(floor, &pod.uid, &stamp),
            Effect::Answer(_, Ok(())) | Effect::Tell { .. } => {}
            // Nothing fails here, so no plan is ever void and no bind refused.
            other => floor.breach(&format!("in a world without faults: {other:?}")),
        }
    }

    /// kube-scheduler tries what was released: each pod is narrowed to its node, which it offers.
    fn schedule(&mut self, floor: &mut Floor) {
        let view = self.cluster.view();
        for uid in std::mem::take(&mut self.released) {
            let Some((pod, ..)) = self.pods.get(&uid) else { continue };
            let Some(node) = pod.stamp.as_ref().map(|stamp| stamp.node.clone()) else { continue };
            let answer = view.filter(pod, &[node.as_str()]);
            if answer != FilterAnswer::These(vec![0]) {
                floor.breach(&format!("filter says {answer:?} of {node}, which is planned for {uid}"));
                continue;
            }
            self.asks += 1;
            self.apply(floor, Event::BindAsked { ask: AskId(self.asks), pod: uid, node });
        }
    }

    fn bind(&mut self, floor: &mut Floor, uid: &PodUid, stamp: &Stamp) {
        let Some((pod, job, index)) = self.pods.get_mut(uid) else { return };
        let Some(node) = self.nodes.get(&stamp.node) else { return };
        pod.node = Some(stamp.node.clone());
        pod.stamp = Some(stamp.clone());
        pod.phase = PodPhase::Running;
        let seen = Event::PodSeen(Box::new(pod.clone()));
        floor.take(*job, *index, *node, Hold::Bound);
        for gpu in &stamp.gpus {
            if let Some(other) = self.gpus.insert(gpu.clone(), uid.clone()) {
                floor.breach(&format!("{gpu} goes to {uid}, {other} has it"));
            }
        }
        self.apply(floor, Event::BindOutcome(uid.clone(), stamp.node.clone(), Outcome::Done));
        self.apply(floor, seen);
    }

    fn check(&mut self, floor: &mut Floor) {
        if !self.checked {
            return;
        }
        self.steps += 1;
        let claims = self.cluster.ledger().claims();
        let running = self.pods.values().filter(|(pod, ..)| pod.node.is_some() && pod.alive());
        let placed = running.map(|(pod, ..)| &pod.uid);
        if !placed.eq(claims.keys()) {
            floor.breach(&format!("the ledger has {} claims that are not the pods that run", claims.len()));
        }
        if self.steps.is_multiple_of(AUDIT_EVERY) {
            for found in self.cluster.audit() {
                floor.breach(&format!("{}: {}", found.rule.label(), found.found));
            }
        }
    }
}

impl Policy for Extender {
    fn opened(&mut self, floor: &mut Floor) {
        let site = floor.site().clone();
        self.tell(floor, Event::Configured(self.settings.clone()));
        for (at, spot) in site.spots.iter().enumerate() {
            let node = api_objects::node(&site, spot);
            let name = node.name.clone();
            self.nodes.insert(name.clone(), at);
            self.tell(floor, Event::NodeSeen(Box::new(node)));
            if site.unit == Unit::Gpu {
                self.tell(floor, Event::Reported(name, api_objects::inventory(spot)));
            }
        }
        self.tell(floor, Event::Synced);
    }

    fn submitted(&mut self, floor: &mut Floor, job: usize) {
        let work = floor.work(job).clone();
        self.tell(floor, Event::Tick);
        self.tell(floor, Event::GangSeen(api_objects::owner(&work, job)));
        for index in 0..work.pods {
            let mut pod = api_objects::pod(floor.site().unit, &work, job, index, floor.now);
            if self.deadlines {
                pod.tenure.deadline = Some(Span(work.duration.0 + work.duration.0 / 4));
            }
            self.pods.insert(pod.uid.clone(), (pod.clone(), job, index));
            self.tell(floor, Event::PodSeen(Box::new(pod)));
        }
        self.check(floor);
    }

    fn pod_ended(&mut self, floor: &mut Floor, job: usize, pod: usize) {
        if pod == 0 {
            self.tell(floor, Event::Tick);
        }
        let Some((pod, ..)) = self.pods.get_mut(&api_objects::uid(job, pod)) else { return };
        pod.phase = PodPhase::Succeeded;
        let seen = Event::PodSeen(Box::new(pod.clone()));
        for gpu in pod.stamp.iter().flat_map(|stamp| &stamp.gpus) {
            self.gpus.remove(gpu);
        }
        self.tell(floor, seen);
    }

    /// The owner is deleted, and its pods with it.
    fn ended(&mut self, floor: &mut Floor, job: usize) {
        let work = floor.work(job).clone();
        for index in 0..work.pods {
            let uid = api_objects::uid(job, index);
            self.pods.remove(&uid);
            self.tell(floor, Event::PodGone(uid));
        }
        self.tell(floor, Event::GangGone(api_objects::owner(&work, job).id));
        self.check(floor);
    }

    fn whole_gangs(&self) -> bool {
        true
    }
}
