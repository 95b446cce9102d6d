//! `/api/v1/stream`: server-sent events. `cluster` says that there is something new, with the headline as its
//! data and the view's version as its id; what is new is fetched from the other paths.
//!
//! At most two events a second and one per change. A reader that is slow gets fewer, never older ones: nothing
//! is queued. A stream ends when the engine does, so that it does not keep the program from stopping.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior};

use super::cluster::Cluster;
use super::fault::Fault;
use super::picture::Pictures;

/// Streams at a time.
const STREAMS_MAX: usize = 64;
/// How often a stream looks whether there is something new.
const EVERY: Duration = Duration::from_millis(500);
/// A comment this often keeps proxies from ending a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the streams share.
#[derive(Clone)]
pub(super) struct Streams {
    pictures: Pictures,
    places: Arc<Semaphore>,
}

impl Streams {
    pub(super) fn new(pictures: Pictures) -> Streams {
        Streams { pictures, places: Arc::new(Semaphore::new(STREAMS_MAX)) }
    }
}

/// Answers `/api/v1/stream`.
pub(super) async fn stream(State(streams): State<Streams>) -> Result<Response, Fault> {
    let Ok(place) = streams.places.clone().try_acquire_owned() else {
        return Err(Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{STREAMS_MAX} streams are open, which is the most there may be"),
            "Close a page that shows the dashboard, or ask /api/v1/cluster instead.",
        ));
    };
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader { pictures: streams.pictures, every, sent: None, _place: place };
    let keep = KeepAlive::new().interval(KEEP_ALIVE);
    // A proxy that collects the answer before it passes it on would show nothing.
    let headers = [(header::CACHE_CONTROL, "no-cache"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, Sse::new(events(reader)).keep_alive(keep)).into_response())
}

/// One open stream.
struct Reader {
    pictures: Pictures,
    every: Interval,
    /// Version of the picture sent last.
    sent: Option<u64>,
    _place: OwnedSemaphorePermit,
}

fn events(reader: Reader) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(reader, |mut reader| async {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    })
}

impl Reader {
    /// The next event; `None` when the engine has stopped.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let engine = self.pictures.engine.clone();
            tokio::select! {
                () = engine.stopped() => return None,
                _ = self.every.tick() => {}
            }
            let version = self.pictures.newest().version();
            if self.sent == Some(version) {
                continue;
            }
            let headline = Cluster::of(&engine.view());
            // Numbers and booleans always become JSON; an event without data would say nothing.
            let Ok(event) = Event::default().event("cluster").id(version.to_string()).json_data(headline)
            else {
                continue;
            };
            self.sent = Some(version);
            return Some(event);
        }
    }
}
