//! What happens to GPUs while the agent runs reaches the extender: losses, XIDs, load, and recovery.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test")]
#[allow(dead_code, unreachable_pub, reason = "shared by tests, each of which uses a part")]
#[allow(clippy::disallowed_methods, reason = "waits for real processes, in real time")]
mod support;

use support::{ACCEPTED, Extender, Node, Reply, by_bus, sick};

const IDLE: &str = "profile: dgx-h100\nnode: n\n";
/// An extender that wants to hear nothing for ten minutes, unless it is urgent.
const SELDOM: Reply = Reply { status: 200, body: r#"{"interval_ms":600000}"# };

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gpu_is_reported_at_once_by_its_uuid_and_is_well_after_a_new_epoch() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(SELDOM).await);
    let agent = node.start(&extender.url, &[]);
    let well = extender.next(&agent, "a first report", |r| r.gpus.len() == 8).await;
    assert_eq!(sick(&well), []);
    node.play("profile: dgx-h100\nnode: n\ngpus: {3: {state: lost}}\n");
    let lost = extender.next(&agent, "a sick GPU", |r| !sick(r).is_empty()).await;
    assert_eq!(sick(&lost), [(3, "GPU is lost: it does not answer the driver".to_owned())]);
    assert_eq!(by_bus(&lost)[3].uuid, by_bus(&well)[3].uuid);
    node.play(IDLE);
    let again = extender.next(&agent, "recovery", |r| sick(r).is_empty()).await;
    assert!(again.epoch > lost.epoch, "{} after {}", again.epoch, lost.epoch);
    assert_eq!(again.gpus, well.gpus);
    agent.logged("GPU answers again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_that_the_driver_no_longer_counts_stays_in_the_report() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let agent = node.start(&extender.url, &[]);
    let well = extender.next(&agent, "a first report", |r| r.gpus.len() == 8).await;
    node.play("profile: dgx-h100\nnode: n\ngpus: {0: {state: gone}}\n");
    let epoch = well.epoch;
    let gone = extender.next(&agent, "a new epoch", |r| r.epoch > epoch && !sick(r).is_empty()).await;
    assert_eq!(gone.gpus.len(), 8);
    assert_eq!(sick(&gone).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0]);
    node.play(IDLE);
    extender.next(&agent, "recovery", |r| sick(r).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_xid_takes_one_gpu_out_and_an_applications_fault_none() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let agent = node.start(&extender.url, &[]);
    extender.next(&agent, "a first report", |r| r.gpus.len() == 8).await;
    node.play("profile: dgx-h100\nnode: n\ngpus: {1: {xids: [31]}, 6: {xids: [13, 43]}}\n");
    agent.measured(r#"muster_agent_xids_total{xid="31"} 1"#).await;
    agent.measured(r#"muster_agent_xids_total{xid="43"} 1"#).await;
    let after = extender.next(&agent, "a report", |_| true).await;
    assert_eq!(sick(&after), []);
    node.play("profile: dgx-h100\nnode: n\ngpus: {1: {xids: [31, 48]}, 6: {xids: [13, 43]}}\n");
    let out = extender.next(&agent, "a sick GPU", |r| !sick(r).is_empty()).await;
    assert_eq!(sick(&out), [(1, "XID 48: double-bit memory error".to_owned())]);
    agent.measured(r#"muster_agent_xids_total{xid="13"} 1"#).await;
    // It stays out although it answers: nobody has reset it.
    let later = extender.next(&agent, "a later report", |r| r.sequence > out.sequence + 10).await;
    assert_eq!(sick(&later).len(), 1);
}

/// The usual end of a GPU: it falls off the bus and says so. Nobody else is blamed, and the cause is named.
#[tokio::test(flavor = "multi_thread")]
async fn an_xid_of_a_lost_gpu_blames_that_gpu() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let agent = node.start(&extender.url, &[]);
    extender.next(&agent, "a first report", |r| r.gpus.len() == 8).await;
    node.play("profile: dgx-h100\nnode: n\ngpus: {2: {state: lost, xids: [79]}}\n");
    let off = |r: &muster_report::Report| sick(r) == [(2, "XID 79: GPU has fallen off the bus".to_owned())];
    extender.next(&agent, "XID 79", off).await;
    node.play(IDLE);
    extender.next(&agent, "recovery", |r| sick(r).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn load_and_memory_errors_are_in_the_next_report_and_in_the_metrics() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let agent = node.start(&extender.url, &[]);
    let well = extender.next(&agent, "a first report", |r| r.gpus.len() == 8).await;
    node.play("profile: dgx-h100\nnode: n\ngpus: {0: {utilisation_percent: 88, memory_used_mib: 1234, ecc_uncorrected: 2}}\n");
    let busy = extender.next(&agent, "load", |r| by_bus(r)[0].utilisation_percent == 88).await;
    assert_eq!(by_bus(&busy)[0].memory_used_mib, 1234);
    assert_eq!(sick(&busy), [(0, "2 uncorrected memory errors since the driver was loaded".to_owned())]);
    let uuid = &by_bus(&well)[0].uuid;
    agent.measured(&format!("muster_agent_gpu_utilisation_percent{{uuid=\"{uuid}\"}} 88")).await;
    agent.measured(&format!("muster_agent_gpu_healthy{{uuid=\"{uuid}\"}} 0")).await;
}
