//! The figures at `/metrics`. Counts are kept here; everything about the GPUs is read from the latest state when
//! somebody asks, so that no gauge can drift from it.

use muster_report::{DriverState, Gpu, Health, Report};
use prometheus::{
    Encoder as _, GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Content type of what [`Metrics::render`] gives.
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Buckets of a sweep in seconds. On a real node it takes some milliseconds.
const SWEEP_BUCKETS: [f64; 11] = [0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
const DRIVER_STATES: [(DriverState, &str); 3] = [
    (DriverState::Loaded, "loaded"),
    (DriverState::Absent, "absent"),
    (DriverState::Unresponsive, "unresponsive"),
];

/// What a gauge of a GPU shows; nothing if the GPU does not say.
type Read = fn(&Gpu) -> Option<f64>;

/// Gauges of each GPU: name, meaning, value.
const READINGS: [(&str, &str, Read); 6] = [
    ("muster_agent_gpu_utilisation_percent", "Share of time in which a kernel ran.", |gpu| {
        Some(gpu.utilisation_percent.into())
    }),
    ("muster_agent_gpu_memory_used_mebibytes", "Memory in use.", |gpu| Some(number(gpu.memory_used_mib))),
    ("muster_agent_gpu_temperature_celsius", "Core temperature.", |gpu| Some(gpu.temperature_c.into())),
    ("muster_agent_gpu_power_milliwatts", "Power.", |gpu| Some(gpu.power_mw.into())),
    ("muster_agent_gpu_ecc_corrected", "Corrected memory errors since the driver was loaded.", |gpu| {
        gpu.ecc_corrected.map(number)
    }),
    ("muster_agent_gpu_ecc_uncorrected", "Uncorrected memory errors since the driver was loaded.", |gpu| {
        gpu.ecc_uncorrected.map(number)
    }),
];

/// All metric families.
pub(crate) struct Metrics {
    registry: Registry,
    /// Time that a sweep over all GPUs takes.
    pub(crate) sweep_seconds: Histogram,
    /// Reports by result.
    pub(crate) reports_total: IntCounterVec,
    /// XIDs heard of, by number.
    pub(crate) xids_total: IntCounterVec,
    driver: IntGaugeVec,
    nameless: IntGauge,
    healthy: IntGaugeVec,
    readings: Vec<(GaugeVec, Read)>,
}

impl Metrics {
    /// The families, all at zero.
    ///
    /// # Errors
    /// If two families have one name, which the tests exclude.
    pub(crate) fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let sweep =
            HistogramOpts::new("muster_agent_sweep_seconds", "Time of a sweep over all GPUs of the node.");
        let reading = |(name, meaning, read): (&str, &str, Read)| {
            Ok::<_, prometheus::Error>((GaugeVec::new(Opts::new(name, meaning), &["uuid"])?, read))
        };
        let metrics = Metrics {
            sweep_seconds: Histogram::with_opts(sweep.buckets(SWEEP_BUCKETS.to_vec()))?,
            reports_total: counters(
                "muster_agent_reports_total",
                "Reports to the extender by result.",
                "result",
            )?,
            xids_total: counters("muster_agent_xids_total", "XIDs that GPUs raised, by number.", "xid")?,
            driver: gauges("muster_agent_driver", "1 for the state that the driver is in.", "state")?,
            nameless: IntGauge::new(
                "muster_agent_nameless_gpus",
                "GPUs that were lost before the agent started and so cannot be reported by UUID.",
            )?,
            healthy: gauges("muster_agent_gpu_healthy", "1 if new pods may get the GPU.", "uuid")?,
            readings: READINGS.into_iter().map(reading).collect::<Result<_, _>>()?,
            registry,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let build = Opts::new("muster_agent_build_info", "Version of this build; always 1.");
        let build = IntGauge::with_opts(build.const_label("version", env!("CARGO_PKG_VERSION")))?;
        build.set(1);
        self.registry.register(Box::new(build))?;
        self.registry.register(Box::new(self.sweep_seconds.clone()))?;
        self.registry.register(Box::new(self.reports_total.clone()))?;
        self.registry.register(Box::new(self.xids_total.clone()))?;
        self.registry.register(Box::new(self.driver.clone()))?;
        self.registry.register(Box::new(self.nameless.clone()))?;
        self.registry.register(Box::new(self.healthy.clone()))?;
        for (family, _) in &self.readings {
            self.registry.register(Box::new(family.clone()))?;
        }
        Ok(())
    }

    /// The text, with the GPUs as a report has them now.
    ///
    /// # Errors
    /// None that the families can cause.
    pub(crate) fn render(&self, now: &Report, nameless: u32) -> Result<String, prometheus::Error> {
        let state = now.driver.as_ref().map(|driver| driver.state);
        for (known, label) in DRIVER_STATES {
            self.driver.with_label_values(&[label]).set(i64::from(state == Some(known)));
        }
        self.nameless.set(i64::from(nameless));
        for gpu in &now.gpus {
            self.healthy.with_label_values(&[&gpu.uuid]).set(i64::from(gpu.health == Health::Healthy));
            for (family, read) in &self.readings {
                if let Some(value) = read(gpu) {
                    family.with_label_values(&[&gpu.uuid]).set(value);
                }
            }
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn counters(name: &str, meaning: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, meaning), &[label])
}

fn gauges(name: &str, meaning: &str, label: &str) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, meaning), &[label])
}

/// A count as Prometheus' only type. Beyond 2^32 the exact value says nothing more.
fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
