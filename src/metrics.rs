//! The figures at `/metrics`. Counts of requests are kept here; everything about the cluster is read from
//! the View at the moment of the scrape, so that no gauge can drift from the state.
//!
//! Labels have few values: no node, pod or gang names, whose number is the user's.

use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::api::tally::{Gpus, PHASES, phase_of};
use crate::engine::Handle;

/// Content type of the text that [`Metrics::render`] gives.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Buckets of a filter call in seconds: 0.1 ms to 1 s. A good one takes well below 10 ms.
const FILTER_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// All metric families.
pub struct Metrics {
    registry: Registry,
    /// Time that a filter call takes, from the whole body to the reply.
    pub filter_seconds: Histogram,
    /// Bind requests by result: `bound`, `withdrawn`, or the label of the refusal.
    pub bind_total: IntCounterVec,
    /// Agent reports by result: `accepted`, or why not.
    pub reports_total: IntCounterVec,
    /// Safety rules broken at the last audit; anything but 0 is a bug of ours.
    pub audit_violations: IntGauge,
}

impl Metrics {
    /// The families, all at zero.
    ///
    /// # Errors
    /// If two families have one name, which the tests exclude.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let filter = HistogramOpts::new("muster_filter_seconds", "Time of an extender filter call.");
        let metrics = Metrics {
            filter_seconds: Histogram::with_opts(filter.buckets(FILTER_BUCKETS.to_vec()))?,
            bind_total: IntCounterVec::new(
                Opts::new("muster_bind_total", "Extender bind requests by result."),
                &["result"],
            )?,
            reports_total: IntCounterVec::new(
                Opts::new("muster_reports_total", "Reports of node agents by result."),
                &["result"],
            )?,
            audit_violations: IntGauge::new(
                "muster_audit_violations",
                "Safety rules broken at the last audit; anything but 0 is a bug.",
            )?,
            registry,
        };
        let build = Opts::new("muster_build_info", "Version of this build; always 1.");
        let build = IntGauge::with_opts(build.const_label("version", env!("CARGO_PKG_VERSION")))?;
        build.set(1);
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.filter_seconds.clone()))?;
        registry.register(Box::new(metrics.bind_total.clone()))?;
        registry.register(Box::new(metrics.reports_total.clone()))?;
        registry.register(Box::new(metrics.audit_violations.clone()))?;
        registry.register(Box::new(build))?;
        Ok(metrics)
    }

    /// Adds the families that are read from the View.
    ///
    /// # Errors
    /// If they were added before.
    pub fn observe(&self, engine: Handle) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(FromView::new(engine)?))
    }

    /// The Prometheus text of all families.
    ///
    /// # Errors
    /// If a family cannot be written as text.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Gauges set from one View at each scrape.
struct FromView {
    engine: Handle,
    ready: IntGauge,
    nodes: IntGauge,
    gpus: IntGaugeVec,
    gangs: IntGaugeVec,
    refused: IntGaugeVec,
    /// Two scrapes at once must not set the gauges under each other's hands.
    turn: Mutex<()>,
}

impl FromView {
    fn new(engine: Handle) -> Result<FromView, prometheus::Error> {
        let vec = |name: &str, text: &str, label: &str| IntGaugeVec::new(Opts::new(name, text), &[label]);
        Ok(FromView {
            engine,
            ready: IntGauge::new("muster_ready", "1 once the cluster has been read and the ledger rebuilt.")?,
            nodes: IntGauge::new("muster_nodes", "Nodes known.")?,
            gpus: vec("muster_gpus", "GPUs of the cluster: capacity, free, claimed, unhealthy.", "state")?,
            gangs: vec("muster_gangs", "Gangs by phase.", "phase")?,
            refused: vec("muster_gangs_refused", "Gangs that cannot start now, by reason.", "reason")?,
            turn: Mutex::new(()),
        })
    }

    fn set(&self) {
        let view = self.engine.view();
        self.ready.set(i64::from(view.ready));
        self.nodes.set(gauge(view.nodes.len() as u64));
        for (state, count) in Gpus::of(&view).by_state() {
            self.gpus.with_label_values(&[state]).set(gauge(count));
        }
        self.gangs.reset();
        self.refused.reset();
        for phase in PHASES {
            self.gangs.with_label_values(&[phase]).set(0);
        }
        for gang in view.gangs.values() {
            self.gangs.with_label_values(&[phase_of(gang)]).inc();
            if let Some(refusal) = &gang.refusal {
                self.refused.with_label_values(&[refusal.label()]).inc();
            }
        }
    }

    fn parts(&self) -> [&dyn Collector; 5] {
        [&self.ready, &self.nodes, &self.gpus, &self.gangs, &self.refused]
    }
}

impl Collector for FromView {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.set();
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
