//! The world in real time around the running engine: what is due happens, what the engine wants is handed over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use muster_placement::ids::{AskId, NodeName, PodUid};
use muster_placement::{Effect, Event, Refusal, View};
use muster_simulations::{Muster, Tally, World};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::engine::Handle;

/// The engine as the world sees it. Told events wait here until they can be awaited.
struct Live {
    handle: Handle,
    told: Vec<Event>,
    asks: JoinSet<(AskId, Result<(), Refusal>)>,
    asked: HashMap<AskId, AbortHandle>,
}

impl Muster for Live {
    fn tell(&mut self, event: Event) {
        // The engine has a clock of its own.
        if !matches!(event, Event::Tick) {
            self.told.push(event);
        }
    }

    fn view(&mut self) -> Arc<View> {
        self.handle.view()
    }

    fn ask_bind(&mut self, ask: AskId, pod: PodUid, node: NodeName) {
        let handle = self.handle.clone();
        let task = self.asks.spawn(async move { (ask, handle.ask_bind(pod, node).await) });
        self.asked.insert(ask, task);
    }

    fn hang_up(&mut self, ask: AskId) {
        // Dropping the request withdraws it.
        if let Some(task) = self.asked.remove(&ask) {
            task.abort();
        }
    }

    fn restart(&mut self) {}
}

impl Live {
    async fn flush(&mut self) -> Result<()> {
        for event in self.told.drain(..) {
            self.handle.tell(event).await?;
        }
        Ok(())
    }
}

/// Plays the world until `stop`; counts go to `counts`.
pub(super) async fn play(
    stop: CancellationToken,
    mut world: World,
    handle: Handle,
    mut effects: mpsc::UnboundedReceiver<Effect>,
    clock: Arc<Clock>,
    counts: watch::Sender<Tally>,
) -> Result<()> {
    let mut live = Live { handle, told: Vec::new(), asks: JoinSet::new(), asked: HashMap::new() };
    world.begin(&mut live);
    live.flush().await?;
    loop {
        let wait = world.next().map_or(1_000, |at| at.since(clock.now()).0);
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
            Some(effect) = effects.recv() => {
                world.advance(clock.now());
                world.carry_out(effect);
            }
            Some(Ok((ask, answer))) = live.asks.join_next() => {
                live.asked.remove(&ask);
                world.advance(clock.now());
                world.answered(ask, &answer);
            }
        }
        while world.next().is_some_and(|at| at <= clock.now()) {
            world.step(&mut live);
            live.flush().await?;
        }
        // Nobody reads the counts any more only when the program ends.
        let _ = counts.send(world.tally().clone());
    }
    Ok(())
}
