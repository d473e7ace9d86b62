//! Pods as Mainstay sees them.

use std::collections::BTreeMap;

use super::Gate;
use crate::{
    api::IN_ROTATION,
    plan::{Place, Rotation, Services, Switch},
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
    /// Its readiness gate for being in rotation, if it declares that.
    pub gate: Option<Gate>,
    /// The policy (uid) that last turned the switch by which it takes part; empty if none did.
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
    /// Whether the kubelet says that it is ready, or would if it were not for our own gate: a pod that we took out is as
    /// well as it was before.
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

    /// By what it takes part. Where there is a label the label decides, whatever it says: it takes a pod out of the
    /// Services that ask for it, and out of nothing else.
    #[must_use]
    pub fn switch(&self) -> Switch {
        if self.gate.is_some() && !self.labels.contains_key(IN_ROTATION) { Switch::Gate } else { Switch::Label }
    }

    /// Where it stands towards the Services that it takes part in, as far as it knows itself.
    #[must_use]
    pub fn rotation(&self, now: Server) -> Rotation {
        let switch = self.switch();
        let place = match (switch, self.labels.get(IN_ROTATION).map(String::as_str), self.gate) {
            (Switch::Label, Some("true"), _) | (Switch::Gate, _, Some(Gate::Open)) => Place::In,
            (Switch::Label, Some("false"), _) | (Switch::Gate, _, Some(Gate::Unsaid | Gate::Shut)) => Place::Out,
            (Switch::Label, _, _) | (Switch::Gate, _, None) => Place::Nowhere,
        };
        let since = self.rotated_at.or(self.started).map_or(0, |at| now.since(at));
        Rotation { place, by: self.rotated_by.clone(), since, services: Services::Unread, switch }
    }

    /// Whether it waits for us to open its readiness gate: nobody has decided yet, or the label decides and the gate only
    /// stands in its way. One that was shut, by us or by somebody else, waits for whoever shut it.
    #[must_use]
    pub fn waits_at_its_gate(&self) -> bool {
        let shut = match self.gate {
            Some(Gate::Unsaid) => true,
            Some(Gate::Shut) => self.switch() == Switch::Label,
            Some(Gate::Open) | None => false,
        };
        shut && !self.ignored && !self.terminating && !self.finished
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(label: Option<&str>, gate: Option<Gate>) -> PodView {
        let labels = label.map(|value| (IN_ROTATION.to_owned(), value.to_owned()));
        PodView { labels: labels.into_iter().collect(), gate, ..PodView::default() }
    }

    #[test]
    fn a_pod_takes_part_by_its_gate_unless_it_has_the_label() {
        for (label, gate, switch, place) in [
            (None, None, Switch::Label, Place::Nowhere),
            (None, Some(Gate::Open), Switch::Gate, Place::In),
            (None, Some(Gate::Shut), Switch::Gate, Place::Out),
            (None, Some(Gate::Unsaid), Switch::Gate, Place::Out),
            (Some("true"), None, Switch::Label, Place::In),
            (Some("true"), Some(Gate::Shut), Switch::Label, Place::In),
            (Some("false"), Some(Gate::Open), Switch::Label, Place::Out),
            (Some("never"), Some(Gate::Open), Switch::Label, Place::Nowhere),
        ] {
            let rotation = pod(label, gate).rotation(Server(0));
            assert_eq!((rotation.switch, rotation.place), (switch, place), "{label:?} {gate:?}");
        }
    }

    #[test]
    fn whoever_was_taken_out_does_not_wait_and_whoever_nobody_decided_about_does() {
        assert!(pod(None, Some(Gate::Unsaid)).waits_at_its_gate());
        assert!(!pod(None, Some(Gate::Shut)).waits_at_its_gate(), "somebody has decided");
        assert!(!pod(None, Some(Gate::Open)).waits_at_its_gate());
        assert!(!pod(Some("false"), None).waits_at_its_gate());
        for gate in [Gate::Unsaid, Gate::Shut] {
            assert!(pod(Some("true"), Some(gate)).waits_at_its_gate(), "the label decides");
        }
        for change in [
            (|pod: &mut PodView| pod.ignored = true) as fn(&mut PodView),
            |pod| pod.terminating = true,
            |pod| pod.finished = true,
        ] {
            let mut pod = pod(None, Some(Gate::Unsaid));
            change(&mut pod);
            assert!(!pod.waits_at_its_gate(), "{pod:?}");
        }
    }
}
