//! What the rest of the program sees of the engine: read the view, tell an event, ask for a bind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use muster_placement::ids::{AskId, NodeName, PodUid};
use muster_placement::{Event, Refusal, View};
use tokio::sync::{mpsc, oneshot};

use super::Parked;

/// The engine has stopped, so the program is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the engine has stopped")]
pub struct EngineGone;

/// A handle on the engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    events: mpsc::Sender<Event>,
    withdraw: mpsc::UnboundedSender<AskId>,
    view: Arc<ArcSwap<View>>,
    parked: Arc<Parked>,
    next_ask: Arc<AtomicU64>,
}

impl Handle {
    pub(super) fn new(
        events: mpsc::Sender<Event>,
        withdraw: mpsc::UnboundedSender<AskId>,
        view: Arc<ArcSwap<View>>,
        parked: Arc<Parked>,
    ) -> Handle {
        Handle { events, withdraw, view, parked, next_ask: Arc::default() }
    }

    /// A handle on a view that never changes, and the events told to it. For tests of what surrounds the engine.
    #[must_use]
    pub fn fixed(view: View) -> (Handle, mpsc::Receiver<Event>) {
        let (events, received) = mpsc::channel(1_024);
        let (withdraw, _) = mpsc::unbounded_channel();
        let view = Arc::new(ArcSwap::from_pointee(view));
        (Handle::new(events, withdraw, view, Arc::default()), received)
    }

    /// The newest version of the state.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Waits until the engine has stopped.
    pub async fn stopped(&self) {
        self.events.closed().await;
    }

    /// Tells the engine that something happened; waits while its queue is full.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn tell(&self, event: Event) -> Result<(), EngineGone> {
        self.events.send(event).await.map_err(|_| EngineGone)
    }

    /// Asks for a bind and waits for its outcome. Dropping the future withdraws the request.
    ///
    /// # Errors
    /// Why the pod was not bound.
    pub async fn ask_bind(&self, pod: PodUid, node: NodeName) -> Result<(), Refusal> {
        let ask = AskId(self.next_ask.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        self.parked.insert(ask, reply);
        let _withdrawal = Withdrawal { ask, handle: self };
        let asked = self.tell(Event::BindAsked { ask, pod, node }).await;
        if asked.is_err() {
            return Err(Refusal::NotReady);
        }
        answer.await.unwrap_or(Err(Refusal::NotReady))
    }
}

/// Withdraws a bind request when its caller goes away before the answer.
struct Withdrawal<'a> {
    ask: AskId,
    handle: &'a Handle,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        if self.handle.parked.remove(&self.ask).is_some() {
            // The engine ends only with the program, and then nothing is parked any more.
            let _ = self.handle.withdraw.send(self.ask);
        }
    }
}
