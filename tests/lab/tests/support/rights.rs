//! Whether the rights in deploy/ are enough, and the least.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, PostParams};
use muster_lab::Lab;
use muster_lab::audit::Right;
use serde_json::json;

const NAMESPACE: &str = "muster-system";

/// No request of either `ServiceAccount` was forbidden, and Muster has used every right that it was given.
pub async fn rights_are_enough_and_least(lab: &Lab) -> Result<()> {
    let requests = lab.audited()?;
    let refused: Vec<_> = requests.iter().filter(|request| matches!(request.code, 401 | 403)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let by_scheduler = lab.rights_used("muster-scheduler")?;
    let lease = |right: &Right| right.resource == "leases" && right.verb == "update";
    assert!(by_scheduler.iter().any(lease), "the second scheduler does not lead: {by_scheduler:?}");

    let role = Api::<ClusterRole>::all(lab.client()).get("muster").await?;
    let mut granted = BTreeSet::new();
    for rule in role.rules.unwrap_or_default() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                granted.extend(rule.verbs.iter().map(|verb| Right {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    let used = lab.rights_used("muster")?;
    let unused: Vec<_> = granted.difference(&used).collect();
    assert!(unused.is_empty(), "granted and not used: {unused:#?}");
    Ok(())
}

/// What neither `ServiceAccount`, if it were stolen, could do.
pub async fn nobody_may_more(lab: &Lab) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(lab.client());
    let asked = async |account: &str, verb: &str, group: &str, resource: &str| -> Result<bool> {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes = json!({"verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": NAMESPACE});
        let review = serde_json::from_value(json!({"spec": {
            "user": format!("system:serviceaccount:{NAMESPACE}:{account}"),
            "groups": ["system:serviceaccounts", "system:serviceaccounts:muster-system", "system:authenticated"],
            "resourceAttributes": attributes,
        }}))?;
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.context("a review without an answer")?.allowed)
    };
    assert!(asked("muster", "patch", "", "pods").await?, "the question is put as it should be");
    for (verb, group, resource) in [
        ("get", "", "secrets"),
        ("list", "", "configmaps"),
        ("create", "", "pods"),
        ("create", "", "pods/exec"),
        ("create", "", "serviceaccounts/token"),
        ("patch", "", "nodes"),
        ("delete", "", "nodes"),
        ("patch", "kubeflow.org", "tfjobs"),
        ("list", "apiextensions.k8s.io", "customresourcedefinitions"),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
        ("impersonate", "", "users"),
        ("delete", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
        ("*", "*", "*"),
    ] {
        for account in ["muster", "muster-agent"] {
            assert!(!asked(account, verb, group, resource).await?, "{account} may {verb} {resource}.{group}");
        }
    }
    assert!(!asked("muster-agent", "create", "", "pods/eviction").await?, "an agent may evict pods");
    for verb in ["get", "list", "watch", "patch", "delete"] {
        assert!(!asked("muster-agent", verb, "", "pods").await?, "an agent may {verb} pods");
    }
    assert!(!asked("muster-scheduler", "get", "", "secrets").await?);
    Ok(())
}
