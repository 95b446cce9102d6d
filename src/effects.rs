//! [`Effect`] → calls to the API server → outcome [`Event`]s.
//!
//! Invariants: effects about one pod are carried out in the order given, those about different pods side by
//! side, and no pod waits for another one's retries. An outcome is reported only when it is certain; while it
//! is not, the call is repeated or the pod read back. Every call has a deadline. The queue in front is unbounded,
//! so that the engine never waits for the API server while we wait for the engine. Decides nothing; answers to
//! bind requests ([`Effect::Answer`]) are the engine's own business.

mod api_server;
mod bind;
mod budgets;
mod evict;
#[cfg(test)]
mod fake_api;
mod recreate;
mod release;
mod tell;
mod unplan;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use kube::Client;
use muster_placement::ids::PodUid;
use muster_placement::{Effect, Event};
use tokio::sync::mpsc;

use self::api_server::{ApiServer, Limits};
use self::tell::Teller;
use crate::engine::{EngineGone, Handle};

/// Carries out effects until the sender is gone and all is done.
///
/// # Errors
/// The engine is gone.
pub async fn run(
    client: Client,
    mut effects: mpsc::UnboundedReceiver<Effect>,
    handle: Handle,
) -> Result<(), EngineGone> {
    let hands = Hands {
        api: ApiServer::new(client.clone(), Limits::default()),
        teller: Teller::new(client, handle.clone()),
        handle,
    };
    let hands = Arc::new(hands);
    let mut queues = Queues::default();
    let mut running = FuturesUnordered::new();
    loop {
        let next = tokio::select! {
            Some(effect) = effects.recv() => queues.push(effect),
            Some(done) = running.next() => queues.done(&done?),
            else => return Ok(()),
        };
        if let Some(effect) = next {
            running.push(hands.clone().perform(effect));
        }
    }
}

/// The pod that an effect is about.
fn subject(effect: &Effect) -> Option<&PodUid> {
    match effect {
        Effect::Release { pod, .. }
        | Effect::Unplan(pod)
        | Effect::Recreate(pod)
        | Effect::Bind { pod, .. } => Some(&pod.uid),
        // News may overtake what it is about: nothing must wait for an Event to be written. Evictions are of bound
        // pods, to whom nothing else is done.
        Effect::Tell { .. } | Effect::Answer(..) | Effect::Evict { .. } => None,
    }
}

/// Effects that wait for an earlier one about the same pod. A pod is a key while one is being carried out.
#[derive(Default)]
struct Queues(HashMap<PodUid, VecDeque<Effect>>);

impl Queues {
    /// The effect, if it may be carried out now.
    fn push(&mut self, effect: Effect) -> Option<Effect> {
        let Some(pod) = subject(&effect).cloned() else { return Some(effect) };
        if let Some(queue) = self.0.get_mut(&pod) {
            queue.push_back(effect);
            return None;
        }
        self.0.insert(pod, VecDeque::new());
        Some(effect)
    }

    /// The next effect about a pod, after one was carried out.
    fn done(&mut self, pod: &PodUid) -> Option<Effect> {
        let next = self.0.get_mut(pod)?.pop_front();
        if next.is_none() {
            self.0.remove(pod);
        }
        next
    }
}

/// What is needed to carry out effects.
struct Hands {
    api: ApiServer,
    teller: Teller,
    handle: Handle,
}

impl Hands {
    /// Carries out one effect and reports its outcome; returns the pod that it was about.
    async fn perform(self: Arc<Self>, effect: Effect) -> Result<PodUid, EngineGone> {
        let uid = subject(&effect).cloned().unwrap_or_else(|| PodUid::from(""));
        let outcome = match effect {
            Effect::Release { pod, stamp, narrow } => {
                let outcome = release::release(&self.api, &pod, &stamp, narrow).await;
                Some(Event::ReleaseOutcome(pod.uid.clone(), stamp.epoch, outcome))
            }
            Effect::Bind { pod, stamp } => {
                let outcome = bind::bind(&self.api, &pod, &stamp).await;
                Some(Event::BindOutcome(pod.uid.clone(), stamp.node, outcome))
            }
            Effect::Unplan(pod) => {
                unplan::unplan(&self.api, &pod).await;
                None
            }
            Effect::Recreate(pod) => {
                recreate::recreate(&self.api, &pod).await;
                None
            }
            Effect::Evict { gang, number, victims } => {
                let outcome = evict::evict(&self.api, &victims).await;
                Some(Event::EvictOutcome(gang, number, outcome))
            }
            Effect::Tell { gang, pod, news } => {
                self.teller.tell(&gang, &pod, &news).await;
                None
            }
            Effect::Answer(..) => None,
        };
        if let Some(event) = outcome {
            self.handle.tell(event).await?;
        }
        Ok(uid)
    }
}

/// Growing pauses between repeated calls. Without jitter: what is retried is spread by when it began.
#[derive(Debug)]
struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    fn new() -> Self {
        Self { next: Self::FIRST }
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(Self::LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::fake_api::{Reply, pod, script, stamp};
    use super::*;
    use muster_placement::{Outcome, View};
    use serde_json::json;

    fn unplan(uid: &str) -> Effect {
        Effect::Unplan(Arc::new(pod(uid)))
    }

    #[test]
    fn one_pod_in_order_others_beside_it() {
        let mut queues = Queues::default();
        assert!(queues.push(unplan("a")).is_some());
        assert!(queues.push(Effect::Recreate(Arc::new(pod("a")))).is_none());
        assert!(queues.push(unplan("b")).is_some());
        let a = PodUid::from("a");
        assert!(matches!(queues.done(&a), Some(Effect::Recreate(_))));
        assert!(queues.done(&a).is_none());
        assert!(queues.push(unplan("a")).is_some());
    }

    #[tokio::test]
    async fn outcomes_reach_the_engine_and_the_end_is_after_the_last() {
        let (client, api) = script(vec![Reply::json(200, json!({})), Reply::json(201, json!({}))]);
        let (handle, mut events) = Handle::fixed(View::default());
        let (sender, effects) = mpsc::unbounded_channel();
        let pod = Arc::new(pod("a"));
        sender.send(Effect::Release { pod: pod.clone(), stamp: stamp(), narrow: true }).unwrap();
        sender.send(Effect::Bind { pod, stamp: stamp() }).unwrap();
        drop(sender);
        run(client, effects, handle).await.unwrap();
        assert!(
            matches!(events.try_recv(), Ok(Event::ReleaseOutcome(_, epoch, Outcome::Done)) if epoch.0 == 7)
        );
        assert!(
            matches!(events.try_recv(), Ok(Event::BindOutcome(_, node, Outcome::Done)) if node.as_str() == "n1")
        );
        assert_eq!(
            api.calls(),
            ["PATCH /api/v1/namespaces/ns/pods/a", "POST /api/v1/namespaces/ns/pods/a/binding"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit() {
        let mut backoff = Backoff::new();
        for _ in 0..10 {
            backoff.pause().await;
        }
        assert_eq!(backoff.next, Backoff::LONGEST);
    }
}
