//! The single writer: events in, [`Cluster::apply`], a new [`View`] out, effects handed on.
//!
//! Order matters: the view is published before the effects leave, so that a pod that an effect wakes is
//! answered from the state that woke it. Carries nothing out itself, apart from answering parked binds.

mod handle;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use arc_swap::ArcSwap;
use dashmap::DashMap;
use muster_placement::ids::AskId;
use muster_placement::{Cluster, Effect, Event, News, Refusal, View};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::clock::{Beat, Clock};

pub use handle::{EngineGone, Handle};

/// Replies that kube-scheduler waits for. Independent keys, so a concurrent map will do; the ledger is not here.
type Parked = DashMap<AskId, oneshot::Sender<Result<(), Refusal>>>;

/// Events that may wait for the writer. A full queue slows the watches down, never the extender's answers.
const EVENTS_QUEUED_MAX: usize = 16_384;
/// Events applied between two publications of the view.
const BATCH_MAX: usize = 512;
/// How often time alone is an event.
const TICK: Duration = Duration::from_millis(250);
/// Ticks between two audits: every five seconds.
const TICKS_PER_AUDIT: u32 = 20;

/// The writer and what it writes to.
pub struct Engine {
    cluster: Cluster,
    events: mpsc::Receiver<Event>,
    withdrawn: mpsc::UnboundedReceiver<AskId>,
    view: Arc<ArcSwap<View>>,
    parked: Arc<Parked>,
    effects: mpsc::UnboundedSender<Effect>,
    clock: Arc<Clock>,
    beat: Arc<Beat>,
    violations: prometheus::IntGauge,
}

/// What an engine is built from.
pub struct Parts {
    /// Where effects go.
    pub effects: mpsc::UnboundedSender<Effect>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Marked at every turn of the loop.
    pub beat: Arc<Beat>,
    /// Set to the number of broken rules at every audit.
    pub violations: prometheus::IntGauge,
}

impl Engine {
    /// A new engine and the handle that everybody else has of it.
    pub fn new(parts: Parts) -> (Engine, Handle) {
        let (sender, events) = mpsc::channel(EVENTS_QUEUED_MAX);
        let (withdraw, withdrawn) = mpsc::unbounded_channel();
        let view = Arc::new(ArcSwap::from_pointee(View::default()));
        let parked = Arc::new(Parked::new());
        let handle = Handle::new(sender, withdraw, view.clone(), parked.clone());
        let Parts { effects, clock, beat, violations } = parts;
        let cluster = Cluster::default();
        (Engine { cluster, events, withdrawn, view, parked, effects, clock, beat, violations }, handle)
    }

    /// Runs until `stop` is cancelled; parked binds are then told that nothing will come.
    pub async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0u32;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                n = self.events.recv_many(&mut batch, BATCH_MAX) => if n == 0 { break },
                ask = self.withdrawn.recv() => batch.extend(ask.map(Event::BindWithdrawn)),
                _ = tick.tick() => {
                    batch.push(Event::Tick);
                    ticks = ticks.wrapping_add(1);
                }
            }
            self.turn(&mut batch);
            if ticks >= TICKS_PER_AUDIT {
                ticks = 0;
                self.audit();
            }
        }
        self.parked.clear();
        Ok(())
    }

    /// Applies a batch, publishes, and hands the effects on.
    fn turn(&mut self, batch: &mut Vec<Event>) {
        let now = self.clock.now();
        self.beat.mark(now);
        let mut effects = Vec::new();
        for event in batch.drain(..) {
            if matches!(event, Event::Synced) {
                info!("the cluster has been read; planning begins");
            }
            effects.extend(self.cluster.apply(event, now));
        }
        self.view.store(Arc::new(self.cluster.view()));
        for effect in effects {
            log(&effect);
            match effect {
                Effect::Answer(ask, answer) => {
                    if let Some((_, reply)) = self.parked.remove(&ask) {
                        // The caller may have hung up; it has then withdrawn by itself.
                        let _ = reply.send(answer);
                    }
                }
                other => {
                    // The receiver ends only with the program.
                    let _ = self.effects.send(other);
                }
            }
        }
    }

    fn audit(&self) {
        let found = self.cluster.audit();
        for violation in &found {
            error!(rule = violation.rule.label(), found = %violation.found, "a safety rule is broken");
        }
        self.violations.set(i64::try_from(found.len()).unwrap_or(i64::MAX));
    }
}

fn log(effect: &Effect) {
    match effect {
        Effect::Release { pod, stamp, narrow } => {
            info!(pod = %pod.name, namespace = %pod.namespace, node = %stamp.node, plan = stamp.epoch.0, narrow, "release");
        }
        Effect::Unplan(pod) => info!(pod = %pod.name, namespace = %pod.namespace, "unplan"),
        Effect::Recreate(pod) => info!(pod = %pod.name, namespace = %pod.namespace, "recreate"),
        Effect::Bind { pod, stamp } => {
            info!(pod = %pod.name, namespace = %pod.namespace, node = %stamp.node, gpus = stamp.gpus.len(), "bind");
        }
        Effect::Evict { gang, victims, .. } => info!(%gang, pods = victims.len(), "evict"),
        Effect::Answer(ask, Err(refusal)) => info!(ask = ask.0, reason = refusal.label(), "bind refused"),
        Effect::Answer(_, Ok(())) => {}
        Effect::Tell { gang, news: News::Refused(refusal), .. } => {
            info!(%gang, reason = refusal.label(), why = %refusal.sentence(), "gang waits");
        }
        Effect::Tell { gang, news: News::Planned { pods, nodes }, .. } => {
            info!(%gang, pods, nodes, "gang planned");
        }
        Effect::Tell { gang, news: News::Preempted(by), .. } => info!(%gang, %by, "gang preempted"),
    }
}
