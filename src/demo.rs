//! `muster demo`: the whole product on one machine, with neither cluster nor GPU. The world of `simulations/` is
//! nodes, agents, users, API server and kube-scheduler; engine, extender verbs, API, metrics and dashboard are
//! those of `muster serve`.
//!
//! Serves loopback addresses only: nothing here asks who is calling.

mod flags;
mod guide;
mod live;
mod story;
mod table;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use muster_placement::Settings;
use muster_placement::time::Span;
use muster_simulations::{Tally, World};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::api;
use crate::clock::{Beat, Clock};
use crate::dashboard;
use crate::engine::{Engine, Handle, Parts};
use crate::intake::{self, Intake};
use crate::metrics::Metrics;
use crate::recognise::Owners;
use crate::scheduler_api::{self, Verbs};
use crate::serve::serve_http;
use crate::supervisor::Supervisor;
use crate::translate::{self, SchedulerNames};

pub use self::flags::DemoFlags;

/// The event loop turns at least every 250 ms; silence this long means that it hangs.
const SILENCE_MAX: Span = Span(10_000);

/// Plays until `stop` is cancelled, or for the seconds asked for.
///
/// # Errors
/// Why it could not start, which part ended by itself, or which safety rule broke.
pub async fn run(flags: DemoFlags, stop: CancellationToken) -> Result<()> {
    if !flags.listen.ip().is_loopback() {
        bail!(
            "the demo does not listen on {}: it asks nobody who they are; use a loopback address such as 127.0.0.1:7070",
            flags.listen
        );
    }
    let listener = TcpListener::bind(flags.listen).await.with_context(|| {
        format!("cannot listen on {}: is another demo running? Choose a port with --listen", flags.listen)
    })?;
    let address = listener.local_addr()?;
    let metrics = Arc::new(Metrics::new()?);
    let (clock, beat) = (Arc::new(Clock::start()), Arc::new(Beat::default()));
    let (effects, effects_out) = mpsc::unbounded_channel();
    let violations = metrics.audit_violations.clone();
    let parts = Parts { effects, clock: clock.clone(), beat: beat.clone(), violations: violations.clone() };
    let (engine, handle) = Engine::new(parts);
    metrics.observe(handle.clone())?;
    handle.tell(muster_placement::Event::Configured(Settings::default())).await?;

    let world = World::new(story::scenario(flags.seed, &guide::jobs()?));
    let (counts, counted) = watch::channel(Tally::default());
    let watched = clock.clone();
    let alive = Arc::new(move || beat.silence(watched.now()) < SILENCE_MAX);
    let router = router(&handle, metrics, alive);

    let mut tasks = Supervisor::default();
    tasks.start("engine", engine.run(stop.clone()));
    tasks.start("world", live::play(stop.clone(), world, handle.clone(), effects_out, clock.clone(), counts));
    tasks.start("http", serve_http(stop.clone(), listener, router));
    let shown = table::Shown { address, headless: flags.headless, worst: Arc::default() };
    let worst = shown.worst.clone();
    tasks.start("table", table::show(stop.clone(), shown, handle, counted.clone(), violations, clock));
    if let Some(seconds) = flags.seconds {
        tasks.start("end", end(stop.clone(), Duration::from_secs(seconds)));
    }
    tasks.run(stop).await?;
    let tally = counted.borrow().clone();
    table::summary(&tally)?;
    verdict(&tally, worst.load(std::sync::atomic::Ordering::Relaxed))
}

fn router(engine: &Handle, metrics: Arc<Metrics>, alive: admin::Alive) -> Router {
    // Whoever calls the verbs by hand sends pods of the core API, of which the world knows nothing.
    let owners = Owners::default();
    let schedulers = SchedulerNames::default();
    let translated = Arc::new(move |pod: &_| translate::pod(pod, &owners, &schedulers));
    Router::new()
        .merge(scheduler_api::router(Verbs::new(engine.clone(), translated, metrics.clone())))
        .merge(intake::router(Intake::new(engine.clone(), metrics.clone())))
        .merge(api::router(engine.clone()))
        .merge(dashboard::router())
        .merge(admin::router(Admin { engine: engine.clone(), metrics, alive, waits: Arc::new(Vec::new) }))
}

/// Stops the demo after a while.
async fn end(stop: CancellationToken, after: Duration) -> Result<()> {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(after) => stop.cancel(),
    }
    Ok(())
}

fn verdict(tally: &Tally, audited: i64) -> Result<()> {
    if let Some(first) = tally.broken.first() {
        bail!("{} safety rules broke, the first: {first}", tally.broken.len());
    }
    if audited > 0 {
        bail!("the audit found {audited} broken safety rules; the log names them");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_rule_fails_the_demo() {
        assert!(verdict(&Tally::default(), 0).is_ok());
        assert!(verdict(&Tally::default(), 1).is_err());
        let broken = Tally { broken: vec!["9 GPUs granted".to_owned()], ..Tally::default() };
        let said = verdict(&broken, 0).unwrap_err().to_string();
        assert!(said.contains("9 GPUs granted"), "{said}");
    }

    #[tokio::test]
    async fn it_serves_this_machine_only() {
        let flags = DemoFlags { listen: "0.0.0.0:0".parse().unwrap(), ..DemoFlags::default() };
        let said = run(flags, CancellationToken::new()).await.unwrap_err().to_string();
        assert!(said.contains("loopback"), "{said}");
    }
}
