//! The floor of an HTTP figure: an axum server that reads the whole body, looks at nothing and answers what it was
//! told to answer. It runs in a process of its own, as Muster does.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;

/// What `--only` must say for [`serve`].
pub(super) const NAME: &str = "constant";
/// Sets the answer.
pub(super) const SET: &str = "/set";
/// Gives the answer.
pub(super) const ASK: &str = "/ask";

type Answer = Arc<Mutex<Bytes>>;

/// Serves until killed; the first line of output is the port.
pub(super) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let router = Router::new()
        .route(SET, post(set))
        .route(ASK, post(ask))
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(Answer::default());
    axum::serve(listener, router).await.context("serve the floor")
}

async fn set(State(answer): State<Answer>, body: Bytes) {
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = body;
}

async fn ask(State(answer): State<Answer>, body: Bytes) -> impl IntoResponse {
    drop(body);
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ([(CONTENT_TYPE, "application/json")], answer)
}

/// The server as another process; dropping it ends it.
pub(super) struct Constant {
    child: Child,
    /// Where it listens.
    pub(super) port: u16,
}

impl Constant {
    /// Starts it: this same program with `--only constant`.
    pub(super) fn start() -> Result<Constant> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["bench", "--muster", "none", "--only", NAME])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("start the floor")?;
        let mut line = String::new();
        let output = child.stdout.take().context("the floor has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse();
        let constant = Constant { child, port: *port.as_ref().unwrap_or(&0) };
        port.with_context(|| format!("the floor said {line:?} instead of its port"))?;
        Ok(constant)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Constant {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
