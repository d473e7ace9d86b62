//! A policy of a cluster, as it stands: what is held of each target, what was tried, and what holds back what is next.

use std::{cmp::Reverse, fmt::Write as _};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, api::ListParams};

use crate::{
    api::{
        NetworkLedger, NodeHealthPolicy, NodeRemediation, SlotRecord,
        policy::{NodeHealthPolicyStatus, TargetStatus},
    },
    controller::entry::step_of,
    plan::{Guard, Step, guards_of},
};

/// Attempts that are shown of a target, newest first.
const MOST_ATTEMPTS: usize = 8;

/// Why it could not be explained.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// No cluster is configured.
    #[error("failed to find a cluster: {0}; set KUBECONFIG or choose a context")]
    Config(#[from] kube::config::InferConfigError),
    /// The cluster refused or did not answer.
    #[error("failed to read {0}: {1}")]
    Api(String, kube::Error),
    /// No such policy.
    #[error("no NodeHealthPolicy {0} in namespace {1}: kubectl get nhp -A lists them")]
    NotFound(String, String),
    /// No such target.
    #[error(
        "policy {0} lists no target {1} that is not well: every other one is healthy, or it is none of its pods"
    )]
    NoTarget(String, String),
}

/// What a cluster says of a policy.
#[derive(Debug)]
pub struct Found {
    policy: NodeHealthPolicy,
    remediations: Vec<NodeRemediation>,
    slots: Vec<SlotRecord>,
}

/// Reads a policy, its journal and its network's ledger.
pub async fn find(name: &str, namespace: Option<&str>) -> Result<Found, LiveError> {
    let config = kube::Config::infer().await?;
    let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error| LiveError::Api(what, error)
    };
    let client = Client::try_from(config).map_err(failed("the configuration of the cluster"))?;
    let policies: Api<NodeHealthPolicy> = Api::namespaced(client.clone(), &namespace);
    let policy = policies.get_opt(name).await.map_err(failed("the policy"))?;
    let policy = policy.ok_or_else(|| LiveError::NotFound(name.to_owned(), namespace.clone()))?;
    let journal: Api<NodeRemediation> = Api::namespaced(client.clone(), &namespace);
    let remediations = journal.list(&ListParams::default()).await.map_err(failed("its remediations"))?;
    let uid = policy.metadata.uid.clone().unwrap_or_default();
    let of_policy = |object: &NodeRemediation| object.spec.policy.uid == uid;
    let remediations = remediations.items.into_iter().filter(of_policy).collect();
    // A team may not be allowed to read what belongs to the whole cluster; the rest is worth showing all the same.
    let ledger = Api::<NetworkLedger>::all(client).get_opt(&policy.spec.network).await.unwrap_or_default();
    let slots = ledger.map(|ledger| ledger.spec.slots).unwrap_or_default();
    let slots = slots.into_iter().filter(|record| record.policy == uid).collect();
    Ok(Found { policy, remediations, slots })
}

/// One screen about it, or about one target.
pub fn explain(found: &Found, target: Option<&str>) -> Result<String, LiveError> {
    let (mut page, spec) = (String::new(), &found.policy.spec);
    let name = found.policy.metadata.name.clone().unwrap_or_default();
    let status = found.policy.status.clone().unwrap_or_default();
    let targets: Vec<_> = status.targets.iter().filter(|of| target.is_none_or(|pod| of.pod == pod)).collect();
    if let (Some(pod), true) = (target, targets.is_empty()) {
        return Err(LiveError::NoTarget(name, pod.to_owned()));
    }
    let _ = writeln!(page, "{name}: {:?} of network {}, mode {:?}", spec.role, spec.network, spec.mode);
    summary(&mut page, &status);
    for of in &targets {
        page.push('\n');
        one(&mut page, found, of);
    }
    Ok(page)
}

fn summary(page: &mut String, status: &NodeHealthPolicyStatus) {
    let counts = status.counts;
    let _ = writeln!(
        page,
        "  {} targets: {} healthy, {} suspect, {} unhealthy, {} unknown; {} being acted on",
        counts.targets, counts.healthy, counts.suspect, counts.unhealthy, counts.unknown, counts.acting
    );
    // Two of them are fine when they are true, the others when they are not.
    let odd = status.conditions.iter().filter(|condition| {
        (condition.status == "True") != matches!(condition.type_.as_str(), "Ready" | "Healthy")
            && condition.type_ != "Healthy"
    });
    for condition in odd {
        let _ = writeln!(page, "  {}: {} ({})", condition.type_, condition.message, condition.reason);
    }
}

fn one(page: &mut String, found: &Found, of: &TargetStatus) {
    let since = of.since.as_ref().map(|at| format!(" since {}", at.0)).unwrap_or_default();
    let _ = writeln!(page, "{}  {}{since}", of.pod, of.verdict);
    if !of.evidence.is_empty() {
        let _ = writeln!(page, "  {}", of.evidence);
    }
    let slot = slot(found, &of.pod);
    let mut attempts: Vec<_> =
        found.remediations.iter().filter(|object| object.spec.target.slot == slot).collect();
    // The number of a request by hand says nothing.
    attempts.sort_by_key(|object| Reverse((object.metadata.creation_timestamp.clone(), object.spec.attempt)));
    attempts.truncate(MOST_ATTEMPTS);
    let simulated = !found.policy.spec.mode.acts();
    if let Some(record) = found.slots.iter().find(|record| record.slot == slot && record.simulated == simulated) {
        let paged = if record.paged { ", a person was called" } else { "" };
        let rare = |times: i32, what: &str| if times > 0 { format!(", {times} {what}") } else { String::new() };
        let (jobs, failovers) = (rare(record.jobs, "jobs"), rare(record.failovers, "failovers"));
        let _ = writeln!(
            page,
            "  in this incident: {} times out of rotation, {} restarts{jobs}{failovers}{paged}",
            record.reroutes, record.restarts
        );
    }
    for object in attempts {
        let status = object.status.clone().unwrap_or_default();
        let at = object.metadata.creation_timestamp.as_ref().map(|at| at.0.to_string()).unwrap_or_default();
        let _ = writeln!(
            page,
            "    {at}  attempt {} {}: {:?} {} {}",
            object.spec.attempt,
            step_of(&object.spec.action).name(),
            status.phase,
            status.reason,
            status.message
        );
    }
    guards(page, of);
}

/// The place that a pod fills, as far as anything was done there: another pod may have filled it then.
fn slot<'a>(found: &'a Found, pod: &'a str) -> &'a str {
    let target = |object: &'a NodeRemediation| (object.spec.target.pod == pod).then_some(&object.spec.target.slot);
    let of_journal = || found.remediations.iter().map(|object| &object.spec.target.slot);
    let known = || found.slots.iter().map(|record| &record.slot).chain(of_journal());
    // Pods of a Deployment have its name, and two words that change.
    let words =
        |slot: &&String| pod.strip_prefix(slot.as_str()).is_some_and(|rest| rest.matches('-').count() == 2);
    let found = found.remediations.iter().find_map(target);
    let found = found.or_else(|| known().find(|slot| *slot == pod)).or_else(|| known().find(words));
    found.map_or(pod, String::as_str)
}

/// Every guard of the step that is next: those that hold with their words, the others by name.
fn guards(page: &mut String, of: &TargetStatus) {
    let step = Step::ALL.into_iter().find(|step| step.name() == of.next);
    let _ = match (step, of.next.as_str()) {
        (Some(step), _) => writeln!(page, "  next: {}", step.name()),
        (None, next) if next.starts_with("an answer") => writeln!(page, "  next: {next}"),
        (None, "under way") => writeln!(page, "  next: what is under way comes to its end first"),
        (None, _) if of.verdict == "Unhealthy" => writeln!(page, "  next: nothing is left to try"),
        (None, _) => Ok(()),
    };
    let until = |at: &Option<Time>| at.as_ref().map(|at| format!(" (until {})", at.0)).unwrap_or_default();
    if of.holding.is_empty() && !of.guard.is_empty() {
        let _ = writeln!(page, "    {:<18} HOLDS: {}{}", of.guard, of.guard_message, until(&of.until));
    }
    for held in &of.holding {
        let _ = writeln!(page, "    {:<18} HOLDS: {}{}", held.guard, held.message, until(&held.until));
    }
    let Some(step) = step else { return };
    let holds =
        |guard: &&Guard| of.holding.iter().any(|held| held.guard == guard.name()) || of.guard == guard.name();
    let asked = guards_of(step);
    let passes: Vec<_> = asked.iter().filter(|guard| !holds(guard)).map(|guard| guard.name()).collect();
    let _ = writeln!(page, "    pass: {}", passes.join(", "));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found() -> Found {
        let policy = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
            "metadata": {"name": "hub-rpc", "namespace": "cosmos", "uid": "p"},
            "spec": {"network": "hub", "role": "FullNode", "mode": "Enforce", "selector": {"matchLabels": {"app": "gaiad"}}},
            "status": {
                "counts": {"targets": 3, "healthy": 2, "unhealthy": 1},
                "targets": [{
                    "pod": "gaia-1", "verdict": "Unhealthy", "since": "2026-11-25T10:00:00Z",
                    "evidence": "head has stood at 81204 for 90 s while the network went on to 81310",
                    "next": "restart", "guard": "Cooldown", "guardMessage": "resting after restart 1 of 2: 840 s left",
                    "until": "2026-11-25T10:16:00Z",
                    "holding": [
                        {"guard": "Cooldown", "message": "resting after restart 1 of 2: 840 s left", "until": "2026-11-25T10:16:00Z"},
                        {"guard": "MaxConcurrent", "message": "the network allows 1 at once, and gaia-0 is being acted on"},
                    ],
                }],
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "Watching", "message": "", "lastTransitionTime": "2026-11-25T10:00:00Z"},
                    {"type": "Acting", "status": "True", "reason": "Remediating", "message": "1 remediations under way", "lastTransitionTime": "2026-11-25T10:00:00Z"},
                ],
            },
        }));
        let remediation = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeRemediation",
            "metadata": {"name": "gaia-1-x", "creationTimestamp": "2026-11-25T09:58:00Z"},
            "spec": {
                "network": "hub", "attempt": 1, "action": {"restart": {"method": "Eviction", "within": "10m", "clear": "10s"}},
                "policy": {"name": "hub-rpc", "uid": "p", "generation": 1},
                "target": {"slot": "gaia-1", "pod": "gaia-1", "uid": "u"},
            },
            "status": {"phase": "Failed", "reason": "StillUnhealthy", "message": "gaia-1: head has stood"},
        }));
        let record = serde_json::from_value(json!({
            "policy": "p", "slot": "gaia-1", "attempt": 1, "restarts": 1, "reroutes": 2, "lastAt": 0,
        }));
        Found { policy: policy.unwrap(), remediations: vec![remediation.unwrap()], slots: vec![record.unwrap()] }
    }

    #[test]
    fn one_screen_says_why_it_does_and_why_it_does_not() {
        insta::assert_snapshot!(explain(&found(), None).unwrap());
    }

    #[test]
    fn a_failover_is_part_of_the_story() {
        let mut found = found();
        found.slots[0].failovers = 1;
        assert!(explain(&found, None).unwrap().contains("1 restarts, 1 failovers\n"));
    }

    #[test]
    fn what_was_asked_by_hand_has_its_place_by_time() {
        let mut found = found();
        let mut asked = found.remediations[0].clone();
        found.remediations[0].spec.attempt = 7;
        asked.metadata.creation_timestamp = serde_json::from_value(json!("2026-11-25T09:59:00Z")).unwrap();
        found.remediations.push(asked);
        let page = explain(&found, None).unwrap();
        assert!(page.find("attempt 1 restart") < page.find("attempt 7 restart"), "{page}");
    }

    /// A Deployment calls each pod otherwise; what was tried was tried on the place that they fill.
    #[test]
    fn what_was_done_to_a_former_pod_is_part_of_the_story() {
        let mut found = found();
        found.policy.status.as_mut().unwrap().targets[0].pod = "gaia-6d4cf56db6-x2k9p".into();
        (found.slots[0].slot, found.remediations[0].spec.target.slot) = ("gaia".into(), "gaia".into());
        found.remediations[0].spec.target.pod = "gaia-6d4cf56db6-abcde".into();
        let page = explain(&found, None).unwrap();
        assert!(page.contains("1 restarts") && page.contains("attempt 1 restart"), "{page}");
    }

    #[test]
    fn a_target_that_is_well_has_no_story() {
        assert!(explain(&found(), Some("gaia-1")).is_ok());
        assert!(explain(&found(), Some("gaia-0")).unwrap_err().to_string().contains("is healthy"));
    }
}
