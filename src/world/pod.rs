//! Pods as Mainstay sees them.

use std::collections::BTreeMap;

use crate::{
    api::IN_ROTATION,
    plan::{Place, Rotation, Services},
    signal::Server,
};

/// Where the pod template's hash stands, by which a Deployment's pods are told from those of its former revisions.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Where a `StatefulSet`'s controller writes which revision a pod was made from.
const REVISION: &str = "controller-revision-hash";

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
}

fn deployment<'a>(replica_set: &'a str, hash: &str) -> Option<&'a str> {
    replica_set.strip_suffix(hash)?.strip_suffix('-').filter(|name| !name.is_empty())
}
