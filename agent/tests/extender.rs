//! Extenders that are down, refuse or fail, and what else the world does to the agent.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test")]
#[allow(dead_code, unreachable_pub, reason = "shared by tests, each of which uses a part")]
#[allow(clippy::disallowed_methods, reason = "waits for real processes, in real time")]
mod support;

use std::net::{SocketAddr, TcpListener};

use support::{ACCEPTED, Extender, Node, Reply, free_port, sick};

const IDLE: &str = "profile: l40s\nnode: n\n";
const REFUSED: Reply = Reply {
    status: 404,
    body: r#"{"error":"node: the cluster has no node n","next":"Report metadata.name."}"#,
};
const FAILING: Reply =
    Reply { status: 503, body: r#"{"error":"the nodes have not been read yet","next":"Send it later."}"# };

/// Only the latest state is kept: what comes first after an outage is how things are now.
#[tokio::test(flavor = "multi_thread")]
async fn an_extender_that_is_down_is_logged_once_and_gets_the_latest_state_when_it_is_up() {
    let node = Node::playing(IDLE);
    let port = free_port();
    let agent = node.start(&format!("http://127.0.0.1:{port}"), &[]);
    agent.logged("cannot be reached: Connection refused").await;
    agent.measured(r#"muster_agent_reports_total{result="unreachable"} 4"#).await;
    assert_eq!(agent.log().matches("cannot be reached").count(), 1, "{}", agent.log());
    node.play("profile: l40s\nnode: n\ngpus: {1: {state: lost}}\n");
    agent.logged("GPU is lost").await;
    let extender = Extender::start_at(SocketAddr::from(([127, 0, 0, 1], port)), ACCEPTED).await;
    let first = extender.next(&agent, "a report", |_| true).await;
    assert_eq!(sick(&first).len(), 1);
    agent.logged("the extender takes the reports").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_no_is_logged_when_it_begins_with_its_reason() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(REFUSED).await);
    let agent = node.start(&extender.url, &[]);
    agent.measured(r#"muster_agent_reports_total{result="refused"} 2"#).await;
    extender.reply(FAILING);
    agent.measured(r#"muster_agent_reports_total{result="failing"} 1"#).await;
    extender.reply(Reply { status: 200, body: "<html>" });
    agent.measured(r#"muster_agent_reports_total{result="not_an_answer"} 1"#).await;
    extender.reply(ACCEPTED);
    let log = agent.logged("the extender takes the reports").await;
    for text in [
        "refuses the report with 404 Not Found: node: the cluster has no node n. Report metadata.name.",
        "answers 503 Service Unavailable: the nodes have not been read yet. Send it later.",
        "is it Muster's extender?",
    ] {
        assert_eq!(log.matches(text).count(), 1, "{text}\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_rise_and_the_extender_can_ask_for_a_new_epoch() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let agent = node.start(&extender.url, &[]);
    let before = extender.next(&agent, "some reports", |r| r.sequence >= 5).await;
    extender.reply(Reply { status: 200, body: r#"{"interval_ms":50,"resync":true}"# });
    let epoch = before.epoch;
    let resynced = extender.next(&agent, "a new epoch", |r| r.epoch > epoch).await;
    extender.reply(Reply { status: 409, body: r#"{"error":"epoch: too old"}"# });
    let epoch = resynced.epoch;
    extender.next(&agent, "a later epoch after a conflict", |r| r.epoch > epoch).await;
    extender.reply(ACCEPTED);
    let all = extender.reports();
    let in_order = |pair: &[muster_report::Report]| {
        (pair[0].epoch, pair[0].sequence) < (pair[1].epoch, pair[1].sequence)
    };
    assert!(all.windows(2).all(in_order), "{all:?}");
}

/// A new agent on the same boot is later than the one before, without a file to remember it.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_has_a_later_epoch() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let mut agent = node.start(&extender.url, &[]);
    let first = extender.next(&agent, "a report", |r| !r.gpus.is_empty()).await;
    assert!(agent.terminate().success(), "{}", agent.log());
    let agent = node.start(&extender.url, &[]);
    let second = extender.next(&agent, "a report", |r| !r.gpus.is_empty()).await;
    assert!(second.epoch > first.epoch);
    assert_eq!((second.boot_id, second.gpus), (first.boot_id, first.gpus));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_does_not_stop_the_reports_and_is_taken_when_it_is_free() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let agent = node.start(&extender.url, &["--listen", &listen]);
    let log = agent.logged("cannot listen on").await;
    assert!(log.contains("choose another --listen"), "{log}");
    extender.next(&agent, "a report", |r| r.gpus.len() == 4).await;
    drop(taken);
    agent.logged("serving /metrics").await;
    let ready = reqwest::get(format!("http://{listen}/readyz")).await.unwrap();
    assert!(ready.status().is_success());
    let live = reqwest::get(format!("http://{listen}/livez")).await.unwrap();
    assert!(live.status().is_success());
}

#[test]
fn flags_with_mistakes_end_the_agent_with_a_sentence() {
    let node = Node::playing(IDLE);
    let table: [(&[&str], &str); 4] = [
        (&[], "--node is missing"),
        (&["--node", "n", "--extender", "https://muster"], "this build speaks http only"),
        (&["--node", "n", "--interval", "5"], "such as 5s"),
        (&["--node", "n", "--listen", "here"], "--listen"),
    ];
    for (arguments, expected) in table {
        let output = node.run(arguments);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && log.contains(expected), "{arguments:?}: {log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}
