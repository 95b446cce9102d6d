//! `muster serve`: puts the parts together, serves until told to stop, and takes them apart in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use muster_placement::time::Span;
use muster_placement::{Effect, Event};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::clock::{Beat, Clock};
use crate::config::{Config, ServeFlags};
use crate::engine::{Engine, Handle, Parts};
use crate::intake::{self, Intake};
use crate::metrics::Metrics;
use crate::recognise::Owners;
use crate::scheduler_api::{self, Translate, Verbs};
use crate::supervisor::Supervisor;
use crate::translate::{self, SchedulerNames};
use crate::{api, dashboard, effects, watch};

/// The event loop turns at least every 250 ms; silence this long means that it hangs.
const SILENCE_MAX: Span = Span(10_000);
/// How often the configuration file is looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(5);
/// How long effects that are under way may take after the engine has stopped.
const EFFECTS_GRACE: Duration = Duration::from_secs(10);

/// Serves until `stop` is cancelled.
///
/// # Errors
/// Why it could not start, or which part ended by itself.
pub async fn run(config: Config, flags: ServeFlags, stop: CancellationToken) -> Result<()> {
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("cannot listen on {}: is another muster running? See --listen", config.listen)
    })?;
    let client = client(config.kubeconfig.as_ref()).await?;
    let metrics = Arc::new(Metrics::new()?);
    let (clock, beat) = (Arc::new(Clock::start()), Arc::new(Beat::default()));
    let (effects, effects_out) = mpsc::unbounded_channel();
    let violations = metrics.audit_violations.clone();
    let (engine, handle) =
        Engine::new(Parts { effects, clock: clock.clone(), beat: beat.clone(), violations });
    metrics.observe(handle.clone())?;
    handle.tell(Event::Configured(config.settings.clone())).await?;

    let owners = Arc::new(Owners::default());
    let schedulers: SchedulerNames = config.scheduler_names.iter().cloned().collect();
    let translated = {
        let (owners, schedulers) = (owners.clone(), schedulers.clone());
        Arc::new(move |pod: &_| translate::pod(pod, &owners, &schedulers))
    };
    let (alive, waits) = (alive(beat, clock), readiness(handle.clone()));
    let router = router(translated, Admin { engine: handle.clone(), metrics, alive, waits });

    info!(listen = %listener.local_addr()?, "serving");
    let mut parts = Supervisor::default();
    parts.start("engine", engine.run(stop.clone()));
    parts.start("watch", until(stop.clone(), watch::run(client.clone(), handle.clone(), owners, schedulers)));
    parts.start("effects", carry_out(stop.clone(), client, effects_out, handle.clone()));
    parts.start("reload", reload(stop.clone(), flags, config, handle));
    parts.start("http", serve_http(stop.clone(), listener, router));
    parts.run(stop).await
}

/// All that is served: the extender's verbs, the agents' intake, the API and its page, probes and metrics.
pub fn router(translate: Translate, probes: Admin) -> Router {
    let (engine, metrics) = (probes.engine.clone(), probes.metrics.clone());
    Router::new()
        .merge(scheduler_api::router(Verbs::new(engine.clone(), translate, metrics.clone())))
        .merge(intake::router(Intake::new(engine.clone(), metrics)))
        .merge(api::router(engine))
        .merge(dashboard::router())
        .merge(admin::router(probes))
}

/// Whether the event loop turns.
pub(crate) fn alive(beat: Arc<Beat>, clock: Arc<Clock>) -> admin::Alive {
    Arc::new(move || beat.silence(clock.now()) < SILENCE_MAX)
}

/// A client of the API server: the kubeconfig named, else what the environment offers.
async fn client(kubeconfig: Option<&PathBuf>) -> Result<Client> {
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| format!("reading {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("using {}", path.display()))?
        }
        None => {
            kube::Config::infer().await.context("no kubeconfig and not inside a cluster; see --kubeconfig")?
        }
    };
    Client::try_from(config).context("making a client of the API server")
}

fn readiness(engine: Handle) -> admin::Waits {
    Arc::new(move || {
        let ready = engine.view().ready;
        if ready { Vec::new() } else { vec!["the cluster has not been read yet".to_owned()] }
    })
}

/// Runs a task until `stop`; it must not end before.
async fn until<E: Into<anyhow::Error>>(
    stop: CancellationToken,
    task: impl Future<Output = Result<(), E>>,
) -> Result<()> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = task => ended.map_err(Into::into),
    }
}

/// Carries effects out; after `stop` those under way get a grace, since the engine hands on no more.
async fn carry_out(
    stop: CancellationToken,
    client: Client,
    out: mpsc::UnboundedReceiver<Effect>,
    handle: Handle,
) -> Result<()> {
    let work = effects::run(client, out, handle);
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => return ended.map_err(Into::into),
        () = stop.cancelled() => {}
    }
    // What is cut off here is read back by the next process: nothing is lost but time.
    let _ = tokio::time::timeout(EFFECTS_GRACE, work).await;
    Ok(())
}

/// Tells the engine of changed settings. A file with faults changes nothing and is complained of once.
async fn reload(
    stop: CancellationToken,
    flags: ServeFlags,
    mut config: Config,
    engine: Handle,
) -> Result<()> {
    let mut complained = String::new();
    let mut every = tokio::time::interval(RELOAD_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = every.tick() => {}
        }
        match Config::load(&flags) {
            Ok(new) if new.settings != config.settings => {
                info!("the configuration changed");
                engine.tell(Event::Configured(new.settings.clone())).await?;
                config = new;
            }
            Ok(_) => complained.clear(),
            Err(error) if error.to_string() != complained => {
                warn!(%error, "the changed configuration is not used");
                complained = error.to_string();
            }
            Err(_) => {}
        }
    }
}

/// Serves until `stop`; requests under way are answered first.
pub(crate) async fn serve_http(stop: CancellationToken, listener: TcpListener, router: Router) -> Result<()> {
    let stopping = async move { stop.cancelled().await };
    axum::serve(listener, router).with_graceful_shutdown(stopping).await.context("serving HTTP")
}
