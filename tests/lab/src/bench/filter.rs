//! Filter and prioritize over HTTP, as kube-scheduler calls them, beside a server that answers the same bytes without
//! looking, and one that decides nothing but reads and writes like an extender: h1, h2, h3.
//!
//! 5,000 real nodes, each with a report. Their kubelets are not played: kwok and the controller manager are stopped
//! first, so that the machine is at rest, and the pods tolerate what unready nodes are tainted with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::caller::{Caller, Request};
use super::constant;
use super::figure::{Figure, Goal};
use super::figures::{number, percentile, us};
use super::processes::{at_rest, cpu};
use super::still;
use super::trivial;
use super::workload;
use crate::process::Process;
use crate::reports::Reports;
use crate::wait::until;
use crate::{ADMIN, Lab};

const NODES: usize = 5_000;
const OFFERED: [usize; 3] = [1, 500, 5_000];
/// Calls of one server before the other one has its turn.
const TURN: usize = 50;
const TURNS: usize = 30;
/// Size of a pod's JSON with what training operators put into it.
const POD_BYTES: usize = 6_700;

const FILTER: &str = "/v1/extender/filter";
const PRIORITIZE: &str = "/v1/extender/prioritize";

/// A pod, what it is asked, and what the answer is.
const CASES: [(&str, &str, &str); 5] = [
    ("planned-0", FILTER, "filter a planned member: its node"),
    ("single", FILTER, "filter a single GPU pod: the best 32"),
    ("refused-0", FILTER, "filter a member that waits: refused"),
    ("cpu", FILTER, "filter a pod without GPUs: all nodes"),
    ("cpu", PRIORITIZE, "prioritize the same"),
];

/// Prints the figures.
pub(super) async fn run(muster: &Path) -> Result<()> {
    println!(
        "\nfilter and prioritize over HTTP, {NODES} nodes known, pod of {POD_BYTES} bytes, one caller; n: names in the call"
    );
    let (lab, muster, port) = start(muster).await?;
    let pods = create_pods(&lab).await?;
    let (constant, trivial) = (constant::start()?, trivial::start(&lab.kubeconfig_for(ADMIN)?)?);
    let (mut ours, mut floor) = (Caller::connect(port)?, Caller::connect(constant.port)?);
    let mut peer = Caller::connect(trivial.port)?;
    at_rest(&lab, Some(muster.pid())).await?;
    let planned = planned_node(&mut ours, pods.get("planned-0"))?;
    for offered in OFFERED {
        let names = names_with(planned, offered);
        for (pod, path, case) in CASES {
            let body = body(pods.get(pod).context("a pod is missing")?, &names);
            let request = Request::post(path, body.as_bytes());
            let answer = ours.call(&request)?.to_vec();
            floor.call(&Request::post(constant::SET, &answer))?;
            let asked = Request::post(constant::ASK, body.as_bytes());
            let mut sides = [
                Side::new(&mut ours, muster.pid(), &request),
                Side::new(&mut floor, constant.pid(), &asked),
                Side::new(&mut peer, trivial.pid(), &request),
            ];
            for _ in 0..TURNS {
                sides.iter_mut().try_for_each(Side::turn)?;
            }
            let sides = sides.map(Side::figures);
            print(path, pod, case, offered, &sides);
        }
    }
    Ok(())
}

/// The lines of one case: median beside the floor's and the peer's, the slowest hundredth, processor time.
fn print(path: &str, pod: &str, case: &str, n: usize, [ours, floor, peer]: &[Figures; 3]) {
    let (id, most) = match (path, pod, n) {
        (PRIORITIZE, ..) | (_, "cpu", _) => ("h2", 1.3),
        (.., 1) => ("h3", 1.1),
        _ => ("h1", 1.25),
    };
    let line = |ours: f64, unit: &str, beside: String, floor: (&str, f64), goal: Goal| {
        println!("{}", Figure { id, case, n, ours, unit, beside, floor, goal });
    };
    let beside = format!("p99 {:.0}, cpu {:.0}, floor's cpu {:.0}", ours.p99, ours.cpu, floor.cpu);
    line(ours.p50, "us", beside, ("constant answer", floor.p50), Goal::TimesFloor(most));
    let beside = format!("cpu {:.0}, peer's cpu {:.0}", ours.cpu, peer.cpu);
    line(ours.p50, "us", beside, ("trivial extender", peer.p50), Goal::None);
    if id == "h1" {
        line(ours.p99, "us", "p99".to_owned(), ("p50", ours.p50), Goal::TimesFloor(3.0));
    }
    if id == "h3" {
        let goal = Goal::AtMost(50.0);
        line(ours.cpu, "us", "server's processor time".to_owned(), ("constant answer", floor.cpu), goal);
    }
}

/// One server in one comparison.
struct Side<'a> {
    caller: &'a mut Caller,
    pid: u32,
    request: &'a Request,
    times: Vec<Duration>,
    cpu: Duration,
}

/// Microseconds per call.
struct Figures {
    p50: f64,
    p99: f64,
    cpu: f64,
}

impl<'a> Side<'a> {
    fn new(caller: &'a mut Caller, pid: u32, request: &'a Request) -> Self {
        Side { caller, pid, request, times: Vec::with_capacity(TURN * TURNS), cpu: Duration::ZERO }
    }

    fn turn(&mut self) -> Result<()> {
        let before = cpu(self.pid)?;
        for _ in 0..TURN {
            let start = Instant::now();
            self.caller.call(self.request)?;
            self.times.push(start.elapsed());
        }
        self.cpu += cpu(self.pid)?.saturating_sub(before);
        Ok(())
    }

    fn figures(mut self) -> Figures {
        let calls = number(self.times.len());
        let mut p = |percent| us(percentile(&mut self.times, percent));
        Figures { p50: p(50), p99: p(99), cpu: us(self.cpu) / calls }
    }
}

/// A control plane with 5,000 nodes and Muster, which has a report of each.
async fn start(program: &Path) -> Result<(Lab, Process, u16)> {
    let (lab, muster, port) = still::start(program, (0..NODES).map(node_name)).await?;
    let url = format!("http://127.0.0.1:{port}");
    Reports::start(&url, (0..NODES).map(|at| (node_name(at), 8))).send_all().await?;
    Ok((lab, muster, port))
}

/// 49 bytes, as clouds name their nodes.
fn node_name(at: usize) -> String {
    format!("gpu-pool-a100-{at:05}.eu-central-1.compute.internal")
}

/// The pods of [`CASES`], as the API server shows them. One gang of two is whole and planned, one of three is not.
async fn create_pods(lab: &Lab) -> Result<BTreeMap<String, Value>> {
    let api: Api<Pod> = Api::namespaced(lab.client(), "default");
    let filler = "x".repeat(POD_BYTES - 2_600);
    let mut pods = BTreeMap::new();
    for (name, gang) in [
        ("planned-0", Some(("planned", 2))),
        ("planned-1", Some(("planned", 2))),
        ("refused-0", Some(("refused", 3))),
        ("refused-1", Some(("refused", 3))),
        ("single", None),
        ("cpu", None),
    ] {
        let mut pod = workload::pod(name, gang);
        if let Some(spec) = &mut pod.spec {
            if name == "cpu" {
                let resources = spec.containers.iter_mut().filter_map(|c| c.resources.as_mut());
                resources.for_each(|resources| resources.limits = None);
            }
            spec.tolerations = serde_json::from_value(json!([{"operator": "Exists"}]))?;
            for container in &mut spec.containers {
                container.env = serde_json::from_value(json!([{"name": "TF_CONFIG", "value": filler}]))?;
            }
        }
        api.create(&PostParams::default(), &pod).await.with_context(|| format!("create pod {name}"))?;
    }
    let planned = until(Duration::from_secs(20), Duration::from_millis(50), async || {
        let pod = api.get("planned-0").await?;
        Ok(pod.metadata.annotations.is_some_and(|all| all.contains_key("muster.dev/plan")).then_some(()))
    });
    planned.await.context("the gang of two is not planned")?;
    for pod in api.list(&kube::api::ListParams::default()).await? {
        let mut value = serde_json::to_value(&pod)?;
        // kube-scheduler sends neither, and since 1.36 no managed fields.
        if let Some(object) = value.as_object_mut() {
            object.retain(|key, _| key != "kind" && key != "apiVersion");
        }
        if let Some(meta) = value["metadata"].as_object_mut() {
            meta.remove("managedFields");
        }
        pods.insert(pod.metadata.name.unwrap_or_default(), value);
    }
    Ok(pods)
}

/// The node that filter lets a planned pod have, out of all.
fn planned_node(caller: &mut Caller, pod: Option<&Value>) -> Result<usize> {
    let all: Vec<String> = (0..NODES).map(node_name).collect();
    let body = body(pod.context("no planned pod")?, &all);
    let answer: Value = serde_json::from_slice(caller.call(&Request::post(FILTER, body.as_bytes()))?)?;
    let names = answer["NodeNames"].as_array().context("no NodeNames")?;
    ensure!(names.len() == 1, "a planned pod may have {} nodes", names.len());
    let name = names.first().and_then(Value::as_str).unwrap_or_default();
    all.iter().position(|one| one == name).context("the planned node does not exist")
}

/// So many names around a node's, nearly in order, as kube-scheduler's sixteen workers leave them.
fn names_with(planned: usize, offered: usize) -> Vec<String> {
    let first = (planned + NODES - offered / 2) % NODES;
    let mut names: Vec<String> = (0..offered).map(|at| node_name((first + at) % NODES)).collect();
    for pair in names.chunks_mut(10) {
        if pair.len() > 1 {
            pair.swap(0, 1);
        }
    }
    names
}

fn body(pod: &Value, names: &[String]) -> String {
    format!(r#"{{"Pod":{pod},"Nodes":null,"NodeNames":{}}}"#, json!(names))
}
