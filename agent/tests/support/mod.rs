//! The real agent on the fake NVML, and a small extender for it to talk to.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use muster_report::{Gpu, Health, Report};

/// How long anything may take. Nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program under test.
pub fn agent_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_muster-agent"))
}

/// The fake NVML as a shared library. Cargo builds no `cdylib` for a test's sake, so this asks it to: with the same
/// profile and target folder as the agent, which is a no-operation if it is there.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = agent_binary().parent().expect("the agent is in a folder");
        let target = folder.parent().expect("the folder is in the target folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "fake-nvml", "--target-dir"]).arg(target);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "cargo build -p fake-nvml: {built}");
        folder.join("libfake_nvml.so")
    })
}

/// A copy of the fake NVML whose table of symbols has another name in the place of `symbol`: the loader does not
/// find that function, as in an old driver's library.
pub fn library_without(symbol: &str, folder: &Path) -> PathBuf {
    let name = [b"\0", symbol.as_bytes(), b"\0"].concat();
    let mut bytes = fs::read(library()).unwrap();
    let mut found = 0;
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(name.len()).position(|window| window == name) {
        at += next + 1;
        bytes[at] = b'x';
        found += 1;
    }
    assert!(found > 0, "{symbol} is no symbol of the library");
    let path = folder.join("libnvidia-ml.so.1");
    fs::write(&path, bytes).unwrap();
    path
}

/// A node's folder: the scenario that its driver plays, a sysfs without devices, and the agent's log.
pub struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    /// A node that plays a scenario.
    pub fn playing(scenario: &str) -> Node {
        let node = Node { folder: tempfile::tempdir().unwrap() };
        node.play(scenario);
        node
    }

    /// Replaces the scenario, at once as a whole.
    pub fn play(&self, scenario: &str) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, scenario).unwrap();
        fs::rename(draft, self.scenario()).unwrap();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn scenario(&self) -> PathBuf {
        self.folder.path().join("scenario.yaml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(agent_binary());
        command.arg("--sysfs").arg(self.folder.path().join("sys")).args(arguments);
        if !arguments.contains(&"--nvml-library") {
            command.arg("--nvml-library").arg(library());
        }
        command.env("FAKE_NVML_SCENARIO", self.scenario()).env_remove("NODE_NAME").env_remove("RUST_LOG");
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs the agent to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The report of `--once`.
    pub fn once(&self, arguments: &[&str]) -> Report {
        let output = self.run(&[&["--once", "--node", "n"], arguments].concat());
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{log}", output.status);
        muster_report::decode(&output.stdout).unwrap()
    }

    /// Starts the agent, with short times.
    pub fn start(&self, extender: &str, arguments: &[&str]) -> Agent {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let own = ["--node", "n", "--extender", extender, "--interval", "50ms"];
        let mut command = self.command(&[&own, arguments].concat());
        if !arguments.contains(&"--listen") {
            command.args(["--listen", &listen]);
        }
        let log = self.folder.path().join("agent.log");
        let file = fs::File::create(&log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Agent { child, log, url: format!("http://{listen}") }
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running agent; dropping it kills it.
pub struct Agent {
    child: Child,
    log: PathBuf,
    pub url: String,
}

impl Agent {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log says something, and returns the log.
    pub async fn logged(&self, text: &str) -> String {
        until(text, || Some(self.log()).filter(|log| log.contains(text)), || self.log()).await
    }

    /// Waits until the metrics have a line.
    pub async fn measured(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = match reqwest::get(format!("{}/metrics", self.url)).await {
                Ok(response) => response.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if text.lines().any(|l| l == line) {
                return;
            }
            assert!(Instant::now() < deadline, "waited for {line} in\n{text}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGTERM; how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "SIGTERM does not end it\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the small extender answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: &'static str,
}

pub const ACCEPTED: Reply = Reply { status: 200, body: r#"{"interval_ms":50,"resync":false}"# };

#[derive(Default)]
struct Seen {
    reports: Vec<Report>,
    reply: Option<Reply>,
}

/// A small extender: keeps every report and answers what it is told to.
#[derive(Clone)]
pub struct Extender {
    seen: Arc<Mutex<Seen>>,
    pub url: String,
}

impl Extender {
    pub async fn start(reply: Reply) -> Extender {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), reply).await
    }

    pub async fn start_at(address: SocketAddr, reply: Reply) -> Extender {
        let seen = Arc::new(Mutex::new(Seen { reply: Some(reply), ..Seen::default() }));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/v1/reports", post(take)).with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Extender { seen, url }
    }

    pub fn reply(&self, reply: Reply) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).reply = Some(reply);
    }

    pub fn reports(&self) -> Vec<Report> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).reports.clone()
    }

    /// Waits for a report, among those that come from now on.
    pub async fn next(&self, agent: &Agent, what: &str, is_it: impl Fn(&Report) -> bool) -> Report {
        let begin = self.reports().len();
        let find = || self.reports().into_iter().skip(begin).find(|report| is_it(report));
        until(what, find, || format!("{:#?}\n{}", self.reports().last(), agent.log())).await
    }
}

async fn take(State(seen): State<Arc<Mutex<Seen>>>, body: Bytes) -> (StatusCode, &'static str) {
    let report = muster_report::decode(&body).expect("the agent sends reports that can be read");
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.reports.push(report);
    let reply = seen.reply.clone().unwrap_or(ACCEPTED);
    (StatusCode::from_u16(reply.status).unwrap(), reply.body)
}

/// Asks again and again; the error says what was waited for and what there was instead.
pub async fn until<T>(what: &str, find: impl Fn() -> Option<T>, instead: impl Fn() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited for {what}; there is\n{}", instead());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The GPUs of a report by the index of their PCI bus, as the profile has them.
pub fn by_bus(report: &Report) -> Vec<&Gpu> {
    let mut gpus: Vec<&Gpu> = report.gpus.iter().collect();
    gpus.sort_by(|a, b| a.pci_address.cmp(&b.pci_address));
    gpus
}

/// Reasons of the GPUs that are unhealthy, by position on the bus.
pub fn sick(report: &Report) -> Vec<(usize, String)> {
    let reason = |(at, gpu): (usize, &&Gpu)| match &gpu.health {
        Health::Healthy | Health::Degraded { .. } | Health::Other => None,
        Health::Unhealthy { reason } => Some((at, reason.clone())),
    };
    by_bus(report).iter().enumerate().filter_map(reason).collect()
}
