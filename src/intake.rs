//! Node agents' reports: `POST /v1/reports`.
//!
//! Reads a report, checks that it is of a node that exists and newer than the last one of that node, and
//! hands what is believed of it to the engine. Reports of one node are taken one after the other, so that
//! the engine gets them in order; nodes do not wait for each other. Does not check who sends them: until
//! identities are checked the listener is a loopback one unless the operator says otherwise.

mod check;
mod session;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dashmap::DashMap;
use muster_placement::Event;
use muster_placement::ids::NodeName;
use muster_report::{Answer, BYTES_MAX, DecodeError, Report};
use tokio::sync::Mutex;

use crate::api::fault::{Body, Fault, bytes};
use crate::engine::Handle;
use crate::metrics::Metrics;
use session::{Session, Stale};

/// Wished time between two reports of a node, in milliseconds.
const INTERVAL_MS: u64 = 5_000;
/// Sessions of nodes that are gone are swept when there are more than twice as many sessions as nodes, and
/// more than this.
const SESSIONS_MIN: usize = 64;

/// Takes reports.
#[derive(Clone)]
pub struct Intake {
    engine: Handle,
    metrics: Arc<Metrics>,
    /// The last accepted report of each node. Its lock is held while the engine is told.
    sessions: Arc<DashMap<NodeName, Arc<Mutex<Option<Session>>>>>,
}

/// Why a report was refused.
enum Refused {
    Body(Fault),
    Decode(DecodeError),
    NotReady,
    UnknownNode(String),
    Stale(Stale),
    EngineGone,
}

impl Intake {
    /// An intake without sessions: after a start the first report of each node is taken as it comes.
    pub fn new(engine: Handle, metrics: Arc<Metrics>) -> Intake {
        Intake { engine, metrics, sessions: Arc::default() }
    }

    async fn take(&self, body: &Body) -> Result<Answer, Refused> {
        let body = bytes("the report", body).map_err(Refused::Body)?;
        let report = muster_report::decode(body).map_err(Refused::Decode)?;
        let view = self.engine.view();
        let Some(state) = view.node(&report.node) else {
            return Err(if view.ready { Refused::UnknownNode(report.node) } else { Refused::NotReady });
        };
        let node = state.node.name.clone();
        self.sweep();
        self.accept(node, report).await?;
        Ok(Answer { interval_ms: INTERVAL_MS, resync: false })
    }

    async fn accept(&self, node: NodeName, report: Report) -> Result<(), Refused> {
        let session = self.sessions.entry(node.clone()).or_default().clone();
        let mut session = session.lock().await;
        let next = Session::after(session.as_ref(), &report).map_err(Refused::Stale)?;
        let event = Event::Reported(node, check::believed(report));
        self.engine.tell(event).await.map_err(|_| Refused::EngineGone)?;
        // Only now: had this been cancelled above, the agent could send the same report again.
        *session = Some(next);
        Ok(())
    }

    fn sweep(&self) {
        let view = self.engine.view();
        if self.sessions.len() > SESSIONS_MIN.max(view.nodes.len().saturating_mul(2)) {
            self.sessions.retain(|node, _| view.node(node.as_str()).is_some());
        }
    }
}

/// The route `/v1/reports`.
pub fn router(intake: Intake) -> Router {
    // One byte more than the limit, so that the refusal comes from `decode`, which says the limit.
    let limit = DefaultBodyLimit::max(BYTES_MAX + 1);
    Router::new().route("/v1/reports", post(reports)).layer(limit).with_state(intake)
}

async fn reports(State(intake): State<Intake>, body: Body) -> Result<Response, Fault> {
    let outcome = intake.take(&body).await;
    let result = outcome.as_ref().err().map_or("accepted", Refused::label);
    intake.metrics.reports_total.with_label_values(&[result]).inc();
    match outcome {
        Ok(answer) => Ok(Json(answer).into_response()),
        Err(refused) => Err(refused.fault()),
    }
}

impl Refused {
    /// Value of the metric label.
    fn label(&self) -> &'static str {
        match self {
            Refused::Body(_) => "unread",
            Refused::Decode(DecodeError::UnknownVersion { .. }) => "unknown_version",
            Refused::Decode(DecodeError::TooLarge { .. }) => "too_large",
            Refused::Decode(_) => "malformed",
            Refused::NotReady => "not_ready",
            Refused::UnknownNode(_) => "unknown_node",
            Refused::Stale(_) => "stale",
            Refused::EngineGone => "engine_gone",
        }
    }

    fn fault(self) -> Fault {
        match self {
            Refused::Body(fault) => fault,
            Refused::Decode(DecodeError::Malformed(source)) => Fault::malformed("the report", &source),
            Refused::Decode(source) => {
                let status = match source {
                    DecodeError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Fault::new(status, source.to_string(), "Correct the report; the same one is refused again.")
            }
            Refused::NotReady => Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the nodes have not been read yet",
                "Send the next report in a few seconds.",
            ),
            Refused::UnknownNode(node) => Fault::missing(
                format!("node: the cluster has no node {node}"),
                "Report metadata.name of the Node object, not the host name of the machine.",
            ),
            Refused::Stale(stale) => Fault::new(StatusCode::CONFLICT, stale.to_string(), stale.next()),
            Refused::EngineGone => Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Muster is stopping",
                "Send the next report in a few seconds.",
            ),
        }
    }
}
