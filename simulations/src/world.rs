//! The world: what is true, what will happen, and the one way in which it moves.
//!
//! Its parts, one file each: what users submit, what controllers make of it, the API server, kube-scheduler,
//! kubelets with their devices and agents, and what goes wrong.
//!
//! Invariant: everything that happens goes through the agenda, so the order of events is a function of the
//! seed and of what Muster does. Muster learns of things only by [`Muster::tell`], some time after they happened.

mod api_server;
mod controllers;
mod faults;
mod kube_scheduler;
mod kubelet;
mod users;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use muster_placement::gang::GangSpec;
use muster_placement::ids::{AskId, GangId, NodeName, PodUid};
use muster_placement::ledger::Account;
use muster_placement::node_state::NodeState;
use muster_placement::pod::Pod;
use muster_placement::time::{Span, Time};
use muster_placement::{Effect, Event, Refusal, View};

use self::kube_scheduler::KubeScheduler;
use crate::agenda::Agenda;
use crate::dice::{Concern, Dice};
use crate::job::{Job, JobSpec};
use crate::machine::Machine;
use crate::scenario::{Pace, Scenario};
use crate::tally::Tally;

pub use self::faults::Fault;
pub use self::users::{Shape, Users};

/// What the world asks of the scheduler extender under test. Effects come back through [`World::carry_out`].
pub trait Muster {
    /// Something happened.
    fn tell(&mut self, event: Event);
    /// What filter and prioritize are answered from.
    fn view(&mut self) -> Arc<View>;
    /// kube-scheduler asks for a bind; the answer comes back through [`World::answered`].
    fn ask_bind(&mut self, ask: AskId, pod: PodUid, node: NodeName);
    /// kube-scheduler hangs up.
    fn hang_up(&mut self, ask: AskId);
    /// The process dies and starts again with nothing.
    fn restart(&mut self);
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A user submits a job.
    Submit(Box<JobSpec>),
    /// The stream of users goes on.
    Arrival,
    /// A controller makes the pod of one place of a job.
    MakePod(GangId, usize, u32),
    /// News reach Muster's watch.
    Watch(Box<Event>),
    /// A change of a pod reaches kube-scheduler.
    SchedulerSees(PodUid),
    /// kube-scheduler takes the next pod.
    Cycle,
    /// A pod's back-off is over.
    Wake(PodUid),
    /// kube-scheduler's patience with a bind is over.
    Impatience(AskId),
    /// The next call about a pod reaches the API server.
    Land(PodUid),
    /// A pod's containers start.
    Start(PodUid),
    /// A pod that was evicted is gone.
    Leave(PodUid),
    /// A job has done its work.
    Finish(GangId, u64),
    /// A finished job is deleted.
    Clean(GangId),
    /// It is looked at whether a gang that began to be bound is whole.
    Inspect(GangId),
    /// An agent reports.
    Report(NodeName),
    /// Something breaks or is mended.
    Fault(Fault),
    /// Time passes for Muster.
    Tick,
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub(crate) now: Time,
    pub(crate) agenda: Agenda<Happening>,
    pub(crate) pace: Pace,
    pub(crate) machines: BTreeMap<NodeName, Machine>,
    pub(crate) pods: BTreeMap<PodUid, Pod>,
    pub(crate) owners: BTreeMap<GangId, GangSpec>,
    pub(crate) jobs: BTreeMap<GangId, Job>,
    pub(crate) calls: BTreeMap<PodUid, VecDeque<Effect>>,
    pub(crate) scheduler: KubeScheduler,
    pub(crate) users: Option<Users>,
    pub(crate) network: Dice,
    pub(crate) kubelet: Dice,
    /// Gangs with a Binding on its way or done, until they were whole.
    pub(crate) beginning: BTreeSet<GangId>,
    /// When the last news about pods, nodes and owners reach Muster: a watch keeps its order.
    pub(crate) watched_until: Time,
    pub(crate) serial: u64,
    pub(crate) tally: Tally,
}

impl World {
    /// The world of a scenario, before anything has happened.
    pub fn new(scenario: Scenario) -> World {
        let Scenario { seed, pace, nodes, jobs, users, faults } = scenario;
        let machines: BTreeMap<NodeName, Machine> = nodes
            .iter()
            .map(|(name, kind)| (NodeName::from(name.as_str()), Machine::new(name, *kind)))
            .collect();
        let mut world = World {
            now: Time(0),
            agenda: Agenda::default(),
            pace,
            machines,
            pods: BTreeMap::new(),
            owners: BTreeMap::new(),
            jobs: BTreeMap::new(),
            calls: BTreeMap::new(),
            scheduler: KubeScheduler::new(Dice::new(seed, Concern::Ties)),
            users,
            network: Dice::new(seed, Concern::Network),
            kubelet: Dice::new(seed, Concern::Kubelet),
            beginning: BTreeSet::new(),
            watched_until: Time(0),
            serial: 0,
            tally: Tally::default(),
        };
        for (at, spec) in jobs {
            world.agenda.add(at, Happening::Submit(Box::new(spec)));
        }
        for (at, fault) in faults {
            world.agenda.add(at, Happening::Fault(fault));
        }
        if world.users.is_some() {
            world.agenda.add(Time(0), Happening::Arrival);
        }
        world.agenda.add(Time(0), Happening::Tick);
        world
    }

    /// Tells Muster all there is, as its first lists and the agents' first reports do.
    pub fn begin(&mut self, muster: &mut dyn Muster) {
        self.relist(muster);
        for (name, machine) in self.machines.iter().filter(|(_, machine)| !machine.devices.is_empty()) {
            muster.tell(Event::Reported(name.clone(), machine.inventory()));
        }
        let mut offset = 0;
        for (name, machine) in &self.machines {
            if !machine.devices.is_empty() {
                offset = (offset + 137) % self.pace.report.0.max(1);
                self.agenda.add(Time(offset), Happening::Report(name.clone()));
            }
        }
    }

    /// When the next thing happens; there is always one.
    pub fn next(&self) -> Option<Time> {
        self.agenda.next()
    }

    /// The time of the last thing that happened.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What was counted so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Jobs that have not ended although all of them would fit if nothing else were there.
    pub fn unfinished(&self) -> impl Iterator<Item = &GangId> {
        let empty = self.empty_nodes();
        self.jobs.values().filter(move |job| !job.ended && job.fits(&empty)).map(|job| &job.id)
    }

    fn empty_nodes(&self) -> Vec<Arc<NodeState>> {
        let state = |machine: &Machine| {
            let (node, inventory) = (Arc::new(machine.node.clone()), Arc::new(machine.inventory()));
            Arc::new(NodeState::new(node, Some(inventory), Account::default(), Vec::new()))
        };
        self.machines.values().map(state).collect()
    }

    /// No user submits anything any more.
    pub fn close(&mut self) {
        self.users = None;
    }

    /// Lets the next thing happen; `None` if nothing ever will.
    pub fn step(&mut self, muster: &mut dyn Muster) -> Option<Time> {
        let (at, what) = self.agenda.pop()?;
        self.now = self.now.max(at);
        self.tally.happenings += 1;
        match what {
            Happening::Submit(spec) => self.submit(*spec),
            Happening::Arrival => self.arrival(),
            Happening::MakePod(job, role, index) => self.make_pod(&job, role, index),
            Happening::Watch(event) => muster.tell(*event),
            Happening::SchedulerSees(pod) => self.scheduler_sees(&pod),
            Happening::Cycle => self.cycle(muster),
            Happening::Wake(pod) => self.wake(&pod),
            Happening::Impatience(ask) => self.lose_patience(ask, muster),
            Happening::Land(pod) => self.land(&pod),
            Happening::Start(pod) => self.start(&pod),
            Happening::Leave(pod) => self.pod_lost(&pod),
            Happening::Finish(job, run) => self.finish(&job, run),
            Happening::Clean(job) => self.clean(&job),
            Happening::Inspect(job) => self.inspect(&job),
            Happening::Report(node) => self.report(&node, muster),
            Happening::Fault(fault) => self.fault(fault, muster),
            Happening::Tick => {
                muster.tell(Event::Tick);
                self.after(Span(250), Happening::Tick);
            }
        }
        Some(self.now)
    }

    /// It is at least so late: what comes about next does so from here.
    pub fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// Muster wants something done at the API server.
    pub fn carry_out(&mut self, effect: Effect) {
        self.send(effect);
    }

    /// Muster answered a bind request.
    pub fn answered(&mut self, ask: AskId, answer: &Result<(), Refusal>) {
        self.bind_answered(ask, answer);
    }

    /// Enters something that happens after a while.
    pub(crate) fn after(&mut self, span: Span, what: Happening) {
        self.agenda.add(self.now.after(span), what);
    }

    pub(crate) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
