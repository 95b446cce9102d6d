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
use muster_placement::Settings;
use muster_simulations::{Tally, World};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::clock::{Beat, Clock};
use crate::engine::{Engine, Parts};
use crate::metrics::Metrics;
use crate::recognise::Owners;
use crate::serve;
use crate::supervisor::Supervisor;
use crate::translate::{self, SchedulerNames};

pub use self::flags::DemoFlags;

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
    let probes = Admin {
        engine: handle.clone(),
        metrics,
        alive: serve::alive(beat, clock.clone()),
        waits: Arc::new(Vec::new),
    };
    // Whoever calls the verbs by hand sends pods of the core API, of which the world knows nothing.
    let translated = |pod: &_| translate::pod(pod, &Owners::default(), &SchedulerNames::default());
    let router = serve::router(Arc::new(translated), probes);

    let mut tasks = Supervisor::default();
    tasks.start("engine", engine.run(stop.clone()));
    tasks.start("world", live::play(stop.clone(), world, handle.clone(), effects_out, clock.clone(), counts));
    tasks.start("http", serve::serve_http(stop.clone(), listener, router));
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
