//! Pods as Mainstay sees them: read straight from the API's JSON, without the tens of kilobytes that nobody needs.

use std::{cmp::Reverse, collections::BTreeMap};

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use serde::{Deserialize, Deserializer};

use super::watch::Kind;
use crate::telemetry::kubernetes::{Ending, fatal};
use crate::{
    api::{IGNORE, IN_ROTATION, ROTATED_AT, ROTATED_BY},
    signal::Server,
    world::{Gate, PodView, readiness},
};

mod raw;

/// What Kubernetes takes for a pod that does not say (seconds).
const DEFAULT_GRACE: u64 = 30;
/// Bounds on what a pod may make us remember.
const MOST_PORTS: usize = 64;
const LONGEST_REASON: usize = 64;

impl Kind for PodView {
    type Served = Pod;
}

/// What an Event about a pod regards.
#[must_use]
pub fn object_ref(pod: &PodView) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

impl<'de> Deserialize<'de> for PodView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        raw::Pod::deserialize(deserializer).map(Self::from)
    }
}

impl From<raw::Pod> for PodView {
    fn from(pod: raw::Pod) -> Self {
        let raw::Pod { metadata, spec, status } = pod;
        let says_ignore = |map: &BTreeMap<String, String>| map.get(IGNORE).is_some_and(|value| value == "true");
        let ports = ports(&spec);
        let grace = metadata.deletion_grace_period_seconds.or(spec.termination_grace_period_seconds);
        let gate = declared_gate(&spec, &status);
        let (rotated_by, rotated_at) = last_turned(&metadata, gate, &status).unzip();
        let ready = ready(&spec, gate, &status);
        let (last_exit, fatal) = last_exit(&status);
        Self {
            ignored: says_ignore(&metadata.labels) || says_ignore(&metadata.annotations),
            gate,
            rotated_by: rotated_by.unwrap_or_default(),
            rotated_at: rotated_at.flatten(),
            owner: metadata.owner_references.into_iter().find_map(raw::OwnerReference::workload),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            labels: metadata.labels,
            ip: status.pod_ip.clone(),
            node: spec.node_name,
            host_network: spec.host_network,
            ports,
            terminating: metadata.deletion_timestamp.is_some(),
            grace: grace.map_or(DEFAULT_GRACE, |seconds| u64::try_from(seconds).unwrap_or(0)),
            started: status.start_time.map(|time| Server(time.as_millisecond())),
            ready,
            restarts: status.containers().map(|container| container.restart_count).sum(),
            waiting_reason: waiting_reason(&status),
            last_exit,
            fatal_exit: fatal && !ready,
            finished: matches!(status.phase.as_str(), "Succeeded" | "Failed"),
            phase: status.phase,
        }
    }
}

/// What our readiness gate says, if the pod declares it. Without the gate the condition means nothing.
fn declared_gate(spec: &raw::Spec, status: &raw::Status) -> Option<Gate> {
    let declares = spec.readiness_gates.iter().any(|gate| gate.condition_type == IN_ROTATION);
    declares.then(|| Gate::of(status.condition(IN_ROTATION).map(|condition| condition.status.as_str())))
}

/// Who last turned the switch by which the pod takes part, and when: beside a label it stands in annotations, behind a gate
/// in the condition itself.
fn last_turned(
    metadata: &raw::Metadata,
    gate: Option<Gate>,
    status: &raw::Status,
) -> Option<(String, Option<Server>)> {
    if gate.is_some() && !metadata.labels.contains_key(IN_ROTATION) {
        let condition = status.condition(IN_ROTATION)?;
        let (by, at) = readiness::teller(&condition.reason, &condition.message)?;
        return Some((bounded(&by), Some(at)));
    }
    let at = metadata.annotations.get(ROTATED_AT).and_then(|at| at.parse().ok()).map(Server);
    Some((metadata.annotations.get(ROTATED_BY).map(|by| bounded(by)).unwrap_or_default(), at))
}

/// Whether the kubelet says that the pod is ready. While our own gate is not open it cannot: then it is ready if nothing
/// else is in its way.
fn ready(spec: &raw::Spec, gate: Option<Gate>, status: &raw::Status) -> bool {
    if gate.is_none_or(|gate| gate == Gate::Open) {
        return status.says("Ready");
    }
    let mut others = spec.readiness_gates.iter().map(|gate| &gate.condition_type).filter(|of| *of != IN_ROTATION);
    status.says("ContainersReady") && others.all(|of| status.says(of))
}

fn ports(spec: &raw::Spec) -> Vec<(Option<String>, u16)> {
    let sidecars = spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
    let declared = spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
    declared
        .filter(|port| matches!(port.protocol.as_str(), "" | "TCP"))
        .map(|port| (port.name.clone(), port.number))
        .take(MOST_PORTS)
        .collect()
}

/// Nearly every container waits for a moment before it starts: a reason that says more comes first.
fn waiting_reason(status: &raw::Status) -> String {
    let waiting = status.containers().filter_map(|container| container.state.waiting.as_ref());
    let rank = |reason: &str| match reason {
        "CrashLoopBackOff" => 0,
        "ContainerCreating" | "PodInitializing" => 2,
        _ => 1,
    };
    let worst = waiting.map(|waiting| waiting.reason.as_str()).min_by_key(|reason| rank(reason));
    worst.map(bounded).unwrap_or_default()
}

/// An init container that did its work has ended as well, and says nothing.
fn last_exit(status: &raw::Status) -> (String, bool) {
    let ends = |container: &raw::ContainerStatus| {
        let ends = [container.state.terminated.clone(), container.last_state.terminated.clone()];
        let image = container.image.clone();
        ends.into_iter().flatten().map(move |end| (end, image.clone()))
    };
    let main = status.container_statuses.iter().flat_map(ends);
    let init = status.init_container_statuses.iter().flat_map(ends).filter(|(end, _)| end.exit_code != 0);
    let Some((end, image)) = main.chain(init).min_by_key(|(end, _)| Reverse(end.finished_at)) else {
        return (String::new(), false);
    };
    let fatal = fatal(&Ending { code: end.exit_code, reason: &end.reason, message: &end.message, image: &image });
    let text = format!("{} (exit {})", bounded(&end.reason), end.exit_code);
    (fatal.map_or(text.clone(), |why| format!("{text}: {why}")), fatal.is_some())
}

fn bounded(reason: &str) -> String {
    reason.chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests;
