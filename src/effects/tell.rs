//! News about a gang → Kubernetes Events, on the owner and on a member.
//!
//! Best effort: an Event that cannot be written is logged and forgotten, and few are under way at a time, so that
//! they never slow down releases. Reasons are [`Refusal::label`]s, and `Planned`.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event as Note, EventType, Recorder, Reporter};
use muster_placement::ids::{GangId, PodUid};
use muster_placement::{DOMAIN, News, Refusal};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use crate::engine::Handle;
use crate::recognise::GangKind;

const DEADLINE: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 4;
/// The API server's limit is 1 KiB.
const LONGEST_NOTE: usize = 1000;

/// Writes Events.
pub(super) struct Teller {
    recorder: Recorder,
    handle: Handle,
    permits: Semaphore,
}

impl Teller {
    pub(super) fn new(client: Client, handle: Handle) -> Self {
        let controller = format!("{DOMAIN}/extender");
        let reporter = Reporter { instance: Some(controller.clone()), controller };
        Self { recorder: Recorder::new(client, reporter), handle, permits: Semaphore::new(AT_ONCE) }
    }

    /// Tells the owner and the member.
    pub(super) async fn tell(&self, gang: &GangId, pod: &PodUid, news: &News) {
        let owner = owner(gang);
        // kube-scheduler itself says where a single pod goes.
        if owner.is_none() && gang.kind.as_str() == "Pod" && !matches!(news, News::Refused(_)) {
            return;
        }
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let note = note(news);
        for about in [owner, self.member(pod)].into_iter().flatten() {
            match timeout(DEADLINE, self.recorder.publish(&note, &about)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%gang, %error, "an Event could not be written"),
                Err(_) => debug!(%gang, "an Event was not written in time"),
            }
        }
    }

    /// The member, if it is still known.
    fn member(&self, uid: &PodUid) -> Option<ObjectReference> {
        let view = self.handle.view();
        let pod = &view.pods.get(uid)?.pod;
        Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace.as_str().to_owned()),
            name: Some(pod.name.as_str().to_owned()),
            uid: Some(uid.as_str().to_owned()),
            ..ObjectReference::default()
        })
    }
}

/// The owner of a gang, if it is an object.
fn owner(gang: &GangId) -> Option<ObjectReference> {
    let kind = GangKind::named(gang.kind.as_str())?;
    let version = kind.versions().first()?;
    Some(ObjectReference {
        api_version: Some(format!("{}/{version}", kind.group())),
        kind: Some(kind.name().to_owned()),
        namespace: Some(gang.namespace.as_str().to_owned()),
        name: Some(gang.name.as_str().to_owned()),
        uid: Some(gang.incarnation.as_str().to_owned()).filter(|uid| !uid.is_empty()),
        ..ObjectReference::default()
    })
}

fn note(news: &News) -> Note {
    let (type_, reason, text) = match news {
        News::Refused(refusal) => (severity(refusal), refusal.label(), refusal.sentence()),
        News::Planned { pods, nodes } => (
            EventType::Normal,
            "Planned",
            format!("The whole gang has a place: {pods} pods on {nodes} nodes."),
        ),
        News::Preempted(by) => (
            EventType::Warning,
            "Preempted",
            format!("Pods are evicted to make room for {by}, which has a higher priority."),
        ),
    };
    let end = text.floor_char_boundary(LONGEST_NOTE);
    let note = text.get(..end).map(str::to_owned);
    Note { type_, reason: reason.to_owned(), note, action: "Scheduling".to_owned(), secondary: None }
}

/// Waiting in the ordinary course of things is no warning.
fn severity(refusal: &Refusal) -> EventType {
    match refusal {
        Refusal::NotReady | Refusal::WaitingForMembers { .. } | Refusal::GatedBy | Refusal::Queued => {
            EventType::Normal
        }
        _ => EventType::Warning,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake_api::{Reply, script};
    use super::*;
    use muster_placement::View;
    use muster_placement::ids::Name;
    use serde_json::json;

    fn gang(kind: &str) -> GangId {
        let name = |text: &str| Name::from(text);
        GangId { namespace: name("ns"), kind: name(kind), name: name("train"), incarnation: name("u1") }
    }

    #[tokio::test]
    async fn the_owner_hears_of_it() {
        let (client, api) = script(vec![Reply::json(201, json!({ "metadata": {} }))]);
        let teller = Teller::new(client, Handle::fixed(View::default()).0);
        let refusal = Refusal::WaitingForMembers { have: 2, need: 5 };
        teller.tell(&gang("TFJob"), &PodUid::from("a"), &News::Refused(refusal)).await;
        assert_eq!(api.calls(), ["POST /apis/events.k8s.io/v1/namespaces/ns/events"]);
        let body = api.body(0);
        assert_eq!(body["reason"], "WaitingForMembers");
        assert_eq!(body["type"], "Normal");
        assert_eq!(body["regarding"]["kind"], "TFJob");
        assert_eq!(body["regarding"]["uid"], "u1");
        assert_eq!(body["note"], "2 of 5 members exist; the gang starts when all are there.");
    }

    #[tokio::test]
    async fn a_single_pod_that_has_a_place_is_no_news() {
        let (client, api) = script(Vec::new());
        let teller = Teller::new(client, Handle::fixed(View::default()).0);
        teller.tell(&gang("Pod"), &PodUid::from("a"), &News::Planned { pods: 1, nodes: 1 }).await;
        assert!(api.calls().is_empty());
    }

    #[test]
    fn a_long_note_is_cut() {
        let why = "ä".repeat(2000);
        let cut = note(&News::Refused(Refusal::BindFailed(Name::from(why.as_str()))));
        assert!(cut.note.unwrap().len() <= LONGEST_NOTE);
        assert_eq!(cut.type_, EventType::Warning);
    }
}
