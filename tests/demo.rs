//! `muster demo` as a user starts it: the program, real requests, and its end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

struct Demo {
    child: Child,
    address: String,
    out: BufReader<std::process::ChildStdout>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(args: &[&str]) -> Demo {
    let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["demo", "--headless", "--listen", "127.0.0.1:0"])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    Demo { child, address, out }
}

async fn get(demo: &Demo, path: &str) -> Value {
    let url = format!("http://{}{path}", demo.address);
    reqwest::get(url).await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

/// Asks until the answer is as it should be.
async fn until(demo: &Demo, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..200 {
        last = get(demo, path).await;
        if holds(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{path}: {last}");
}

#[tokio::test]
async fn the_guides_jobs_are_placed_whole_and_busy() {
    let demo = start(&[]);
    let placed = |job: &'static str| move |gang: &Value| gang["name"] == job && gang["phase"] == "placed";
    for (job, path, members, gpus) in [
        ("tensorflow-training", "/api/v1/gangs/default/TFJob/tensorflow-training", 5, 3),
        ("pytorch-training", "/api/v1/gangs/default/MPIJob/pytorch-training", 4, 3),
    ] {
        until(&demo, "/api/v1/gangs", |all| all.as_array().unwrap().iter().any(placed(job))).await;
        let gang = get(&demo, path).await;
        let all = gang["members"].as_array().unwrap();
        assert_eq!(all.len(), members, "{gang}");
        let held: Vec<&Value> = all.iter().flat_map(|m| m["gpu_uuids"].as_array().unwrap()).collect();
        assert_eq!(held.len(), gpus, "{gang}");
        assert!(all.iter().all(|m| m["node"].is_string()), "{gang}");
    }
    let cluster = get(&demo, "/api/v1/cluster").await;
    assert_eq!(cluster["nodes"], 16);
    assert_eq!(cluster["gpus"]["capacity"], 100);
    // An agent's report of a GPU at work.
    let busy = |node: &Value| {
        node["gpus"].as_array().unwrap().iter().any(|g| g["utilisation_percent"].as_u64() > Some(50))
    };
    let nodes = get(&demo, "/api/v1/nodes").await;
    let mut busy_nodes = 0;
    for _ in 0..100 {
        for node in nodes.as_array().unwrap() {
            let node = get(&demo, &format!("/api/v1/nodes/{}", node["name"].as_str().unwrap())).await;
            busy_nodes += usize::from(busy(&node));
        }
        if busy_nodes > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(busy_nodes > 0, "no GPU is busy");
}

#[tokio::test]
async fn the_extender_verbs_answer() {
    let demo = start(&[]);
    until(&demo, "/api/v1/cluster", |cluster| cluster["ready"] == true).await;
    let pod = serde_json::json!({
        "metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "9"}}}]}
    });
    let body = serde_json::json!({"Pod": pod, "NodeNames": ["h100-0", "cpu-0"]});
    let url = format!("http://{}/v1/extender/filter", demo.address);
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["NodeNames"], serde_json::json!([]), "no node has nine GPUs: {answer}");
}

#[test]
fn it_ends_by_itself_with_a_summary() {
    let mut demo = start(&["--seconds", "4"]);
    let mut said = String::new();
    demo.out.read_to_string(&mut said).unwrap();
    assert!(demo.child.wait().unwrap().success(), "{said}");
    assert!(said.contains("safety    0 rules broken"), "{said}");
    assert!(!said.contains("jobs      0 submitted"), "{said}");
}

#[test]
fn a_port_in_use_is_said_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended =
        Command::new(env!("CARGO_BIN_EXE_muster")).args(["demo", "--listen", &address]).output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}
