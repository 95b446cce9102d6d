//! The `muster` program: parse, log, run, exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use muster::config::{Config, LogFormat, ServeFlags};
use muster::demo::{self, DemoFlags};
use muster::serve;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// GPU-aware gang scheduling for the stock kube-scheduler
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve kube-scheduler, the node agents, the API and the metrics
    Serve(ServeFlags),
    /// Show all of it on this machine: an invented cluster, no GPU needed
    Demo(DemoFlags),
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Serve(flags) => {
            start_logging(flags.log_format, "info");
            match Config::load(&flags) {
                Ok(config) => serve::run(config, flags, stop_on_signal()).await,
                Err(fault) => Err(fault.into()),
            }
        }
        Command::Demo(flags) => {
            // The table is the demo's log.
            start_logging(LogFormat::Text, "warn");
            demo::run(flags, stop_on_signal()).await
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            error!("{fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_logging(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
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
