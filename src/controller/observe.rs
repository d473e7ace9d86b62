//! Pods as Mainstay sees them: read straight from the API's JSON, without the tens of kilobytes that nobody needs.

use std::{cmp::Reverse, collections::BTreeMap};

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use serde::{Deserialize, Deserializer};

use super::watch::Kind;
use crate::telemetry::kubernetes::{Ending, fatal};
use crate::{
    api::{IGNORE, IN_ROTATION, ROTATED_AT, ROTATED_BY},
    plan::{Place, Rotation, Services},
    signal::Server,
};

mod raw;

/// Where the pod template's hash stands, by which a Deployment's pods are told from those of its former revisions.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Where a `StatefulSet`'s controller writes which revision a pod was made from.
const REVISION: &str = "controller-revision-hash";
/// What Kubernetes takes for a pod that does not say (seconds).
const DEFAULT_GRACE: u64 = 30;
/// Bounds on what a pod may make us remember.
const MOST_PORTS: usize = 64;
const LONGEST_REASON: usize = 64;

/// A pod.
// Each flag answers a question of its own.
#[expect(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version, for preconditions.
    pub resource_version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it opted out, by annotation or label.
    pub ignored: bool,
    /// The policy (uid) that last changed its rotation label; empty if none did.
    pub rotated_by: String,
    /// When that was.
    pub rotated_at: Option<Server>,
    /// Its address.
    pub ip: Option<String>,
    /// The node it runs on.
    pub node: Option<String>,
    /// Whether it is on the host's network.
    pub host_network: bool,
    /// The workload that makes it anew. Without one it is a bare pod; so is a static one, whose mirror may be deleted
    /// without any effect on what runs.
    pub owner: Option<Owner>,
    /// The TCP container ports it declares, by name and number; those of native sidecars too.
    pub ports: Vec<(Option<String>, u16)>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// How long its containers may take to end (seconds): while it is being deleted, what was granted then.
    pub grace: u64,
    /// When the kubelet took it on, by its own clock, which Kubernetes keeps near that of the API server.
    pub started: Option<Server>,
    /// Whether the kubelet says that it is ready.
    pub ready: bool,
    /// Container restarts, summed over its containers.
    pub restarts: u64,
    /// Why a container waits, such as `CrashLoopBackOff`, the worst first; empty when none waits.
    pub waiting_reason: String,
    /// How the last container that ended did so, such as `OOMKilled (exit 137)`; empty when none did.
    pub last_exit: String,
    /// Whether a restart after that end is no help, and the pod has not become ready since.
    pub fatal_exit: bool,
    /// Its phase: `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Whether all its containers have ended for good.
    pub finished: bool,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Kind for PodView {
    type Served = Pod;
}

impl PodView {
    /// The place it fills, across restarts: a `StatefulSet` pod's own name; the name of its Deployment; else kind and
    /// name of its workload, as `daemonset-geth`. A bare pod fills none.
    #[must_use]
    pub fn slot(&self) -> Option<String> {
        let owner = self.owner.as_ref()?;
        Some(match owner.kind.as_str() {
            "StatefulSet" => self.name.clone(),
            "ReplicaSet" => match self.labels.get(TEMPLATE_HASH).and_then(|hash| deployment(&owner.name, hash)) {
                Some(deployment) => deployment.to_owned(),
                None => format!("replicaset-{}", owner.name),
            },
            kind => format!("{}-{}", kind.to_lowercase(), owner.name),
        })
    }

    /// Where it stands towards the Services that choose by the rotation label, as far as it knows itself.
    #[must_use]
    pub fn rotation(&self, now: Server) -> Rotation {
        let place = match self.labels.get(IN_ROTATION).map(String::as_str) {
            Some("true") => Place::In,
            Some("false") => Place::Out,
            Some(_) | None => Place::Nowhere,
        };
        let since = self.rotated_at.or(self.started).map_or(0, |at| now.since(at));
        Rotation { place, by: self.rotated_by.clone(), since, services: Services::Unread }
    }

    /// The revision of its `StatefulSet` that it was made from.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.labels.get(REVISION).map(String::as_str)
    }

    /// What an Event about it regards.
    #[must_use]
    pub fn object_ref(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            uid: Some(self.uid.clone()),
            ..ObjectReference::default()
        }
    }
}

fn deployment<'a>(replica_set: &'a str, hash: &str) -> Option<&'a str> {
    replica_set.strip_suffix(hash)?.strip_suffix('-').filter(|name| !name.is_empty())
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
        let ready =
            status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let (last_exit, fatal) = last_exit(&status);
        Self {
            ignored: says_ignore(&metadata.labels) || says_ignore(&metadata.annotations),
            rotated_by: metadata.annotations.get(ROTATED_BY).map(|by| bounded(by)).unwrap_or_default(),
            rotated_at: metadata.annotations.get(ROTATED_AT).and_then(|at| at.parse().ok()).map(Server),
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
