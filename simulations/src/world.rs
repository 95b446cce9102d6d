//! The world: what is true, what will happen, and the one way in which it moves.
//!
//! Its parts, one file each: what users submit, what controllers make of it, the API server with its watches and
//! the calls to it, kube-scheduler, kubelets with their devices, agents, operators and tenants, and what goes wrong.
//!
//! Invariant: everything that happens goes through the agenda, so the order of events is a function of the
//! seed and of what Muster does. Muster learns of things only by [`Muster::tell`], some time after they happened.

mod agents;
mod api_server;
mod calls;
mod controllers;
mod faults;
mod inspection;
mod kube_scheduler;
mod kubelet;
mod operators;
mod tenants;
mod users;
mod watches;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_placement::gang::GangSpec;
use muster_placement::ids::{AskId, GangId, NodeName, PodUid};
use muster_placement::ledger::Account;
use muster_placement::node_state::NodeState;
use muster_placement::pod::Pod;
use muster_placement::time::{Span, Time};
use muster_placement::{Effect, Event, Refusal, View};

use self::agents::{Letter, Session};
use self::calls::Calls;
use self::kube_scheduler::KubeScheduler;
use self::watches::Watches;
use crate::agenda::Agenda;
use crate::dice::{Concern, Dice};
use crate::job::{Job, JobSpec};
use crate::machine::Machine;
use crate::scenario::{Pace, Scenario, Weather};
use crate::tally::Tally;

pub use self::faults::Fault;
pub use self::users::{Shape, Users};
pub use self::watches::Kind as WatchKind;

/// Between two ticks of Muster, as in the program.
const TICK: Span = Span(250);

/// What the world asks of the scheduler extender under test. Effects come back through [`World::carry_out`].
pub trait Muster {
    /// Something happened.
    fn tell(&mut self, event: Event);
    /// What a careless shell would have told although it is not so, or no longer: a report that is older than one
    /// that was taken, a call without an answer as a failure, a list older than what was seen. Nothing to do.
    fn withhold(&mut self, _event: Event) {}
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
    /// News reach one of Muster's watches.
    Watch(WatchKind, Box<Event>),
    /// A watch that was cut lists its objects.
    List(WatchKind),
    /// Such a list reaches Muster.
    Listed(WatchKind, Vec<Event>),
    /// The answer to a call reaches Muster.
    Reply(Box<Event>),
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
    /// A call about a pod had no answer: the pod is read.
    ReadBack(PodUid),
    /// A call that nobody waits for any more reaches the API server.
    Stray(Box<Effect>),
    /// A pod's containers start.
    Start(PodUid),
    /// The containers of a pod that is being deleted have stopped.
    Stopped(PodUid),
    /// The controller of a pod that failed deletes it.
    Discard(PodUid),
    /// A pod of nobody's job is deleted.
    Leave(PodUid),
    /// The kubelet writes its node's status.
    Status(NodeName),
    /// The pods of a node that is gone are deleted.
    Reap(NodeName),
    /// A job has done its work.
    Finish(GangId, u64),
    /// A finished job is deleted.
    Clean(GangId),
    /// It is looked at whether a gang that began to be bound is whole.
    Inspect(GangId),
    /// It is time for an agent to report.
    Report(NodeName),
    /// A report reaches Muster.
    Arrive(Box<Letter>),
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
    /// Jobs in the order in which they were submitted, those that are gone included.
    pub(crate) submitted: Vec<GangId>,
    pub(crate) calls: Calls,
    pub(crate) watches: Watches,
    /// Order of the reports of each node, as Muster's door remembers it.
    pub(crate) sessions: BTreeMap<NodeName, Session>,
    pub(crate) weather: Weather,
    /// Bindings until Muster is killed.
    pub(crate) restart_after: Option<u32>,
    pub(crate) scheduler: KubeScheduler,
    pub(crate) users: Option<Users>,
    pub(crate) network: Dice,
    pub(crate) kubelet: Dice,
    /// Gangs with a member bound that have not been seen whole.
    pub(crate) beginning: BTreeSet<GangId>,
    /// When something last came in the way of everybody: a restart, an API server that was down.
    pub(crate) disturbed: Time,
    pub(crate) serial: u64,
    pub(crate) tally: Tally,
}

impl World {
    /// The world of a scenario, before anything has happened.
    pub fn new(scenario: Scenario) -> World {
        let Scenario { seed, pace, weather, nodes, jobs, users, faults } = scenario;
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
            submitted: Vec::new(),
            calls: Calls::default(),
            watches: Watches::default(),
            sessions: BTreeMap::new(),
            weather,
            restart_after: None,
            scheduler: KubeScheduler::new(Dice::new(seed, Concern::Ties)),
            users,
            network: Dice::new(seed, Concern::Network),
            kubelet: Dice::new(seed, Concern::Kubelet),
            beginning: BTreeSet::new(),
            disturbed: Time(0),
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
        let names: Vec<NodeName> = self.machines.keys().cloned().collect();
        let mut offset = 0;
        for name in names {
            let Some(letter) = self.letter(&name) else { continue };
            self.arrive(letter, muster);
            offset = (offset + 137) % self.pace.report.0.max(1);
            self.agenda.add(Time(offset), Happening::Report(name));
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
            let mut node = machine.node.clone();
            // A plugin that is down, or knows of a sick GPU, will be mended.
            node.allocatable.gpus = machine.devices.len() as u64;
            let (node, inventory) = (Arc::new(node), Arc::new(machine.inventory()));
            Arc::new(NodeState::new(node, Some(inventory), Account::default(), Vec::new()))
        };
        self.machines.values().map(state).collect()
    }

    /// Jobs that have not ended and are still wanted.
    pub fn open_jobs(&self) -> usize {
        self.jobs.values().filter(|job| !job.ended).count()
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
            Happening::Watch(kind, event) => self.news(kind, *event, muster),
            Happening::List(kind) => self.list(kind),
            Happening::Listed(kind, events) => self.listed(kind, events, muster),
            Happening::Reply(event) => muster.tell(*event),
            Happening::SchedulerSees(pod) => self.scheduler_sees(&pod),
            Happening::Cycle => self.cycle(muster),
            Happening::Wake(pod) => self.wake(&pod),
            Happening::Impatience(ask) => self.lose_patience(ask, muster),
            Happening::Land(pod) => self.land(&pod, muster),
            Happening::ReadBack(pod) => self.read_back(&pod),
            Happening::Stray(effect) => self.stray(&effect),
            Happening::Start(pod) => self.start(&pod),
            Happening::Stopped(pod) => self.stopped(&pod),
            Happening::Discard(pod) => self.discard(&pod),
            Happening::Leave(pod) => self.leave(&pod),
            Happening::Status(node) => self.node_status(&node),
            Happening::Reap(node) => self.reap(&node),
            Happening::Finish(job, run) => self.finish(&job, run),
            Happening::Clean(job) => self.clean(&job),
            Happening::Inspect(job) => self.inspect(&job),
            Happening::Report(node) => self.report(&node),
            Happening::Arrive(letter) => self.arrive(*letter, muster),
            Happening::Fault(fault) => self.fault(fault, muster),
            Happening::Tick => {
                self.tally.ticks += 1;
                self.remember();
                muster.tell(Event::Tick);
                self.after(TICK, Happening::Tick);
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
