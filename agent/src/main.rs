//! The `muster-agent` program: parse, log, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use muster_agent::flags::{Flags, LogFormat};
use muster_agent::run;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    start_logging(flags.log_format);
    let ended = match flags.checked() {
        Ok(settings) if settings.once => run::once(&settings),
        Ok(settings) => run::serve(settings, stop_on_signal()).await,
        Err(fault) => Err(fault.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            error!("{fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Cancelled at the first SIGTERM or SIGINT. The task lives as long as the program and has nothing to lose.
fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let wait = async move {
        let terminate = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! { () = terminate => {}, _ = tokio::signal::ctrl_c() => {} }
        info!("stopping");
        asked.cancel();
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "waits for a signal; if it dies, signals act as they do by default"
    )]
    tokio::spawn(wait);
    stop
}
