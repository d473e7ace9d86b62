//! Read: what is true right now, by live GETs. The cache proposes, this disposes.

use std::fmt::Display;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Node, Pod},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{GetParams, ObjectMeta},
    core::{PartialObjectMeta, Request},
};

use super::{GroupRef, Outcome, Verb, failover, job, services};
use crate::{
    controller::clients::{CallError, DEADLINE, deadline},
    plan::{
        CronJobFacts, GroupFacts, Live, NodeFacts, Place, PodFacts, PodPresent, Rotation, Services, Stop, Vantage,
        WorkloadFacts,
    },
    signal::Server,
    world::{Owner, PodView},
};

/// The annotation on the stop `ConfigMap` that stops every act; its value says why.
pub const STOP_ANNOTATION: &str = "mainstay.dev/stop";

/// The `ConfigMap` of the emergency stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRef {
    /// Its namespace: that of the operator.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Something could not be read, so nothing is known of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the {what}: {outcome}")]
pub struct ReadError {
    /// What.
    pub what: &'static str,
    /// How it was answered.
    pub outcome: Outcome,
}

/// What a decision rests on beside the pod and what carries it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Also<'a> {
    /// The Services that it serves.
    pub services: bool,
    /// This `CronJob`, for the remediation of this uid; empty if there is none yet.
    pub cron_job: Option<(&'a str, &'a str)>,
    /// This `FailoverGroup`.
    pub group: Option<GroupRef<'a>>,
}

/// Reads the pod, what makes it, where it runs, `also` what else is asked for, and last, right before the act, the
/// emergency stop. Each is the newest there is: a read without resourceVersion is a quorum read. Ages
/// are taken at `now`; `protected` says whether a pod belongs to Mainstay or to the cluster itself.
pub async fn read_live(
    actuator: &Client,
    namespace: &str,
    pod: &str,
    stop: &StopRef,
    now: Server,
    also: Also<'_>,
    protected: &(dyn Fn(&PodView) -> bool + Sync),
) -> Result<Live, ReadError> {
    let found = read_pod(actuator, namespace, pod).await?;
    let (pod, workload, node) = match found {
        Some(pod) => {
            let workload = read_workload(actuator, &pod).await?;
            let node = read_node(actuator, &pod).await?;
            let mut facts = facts(&pod, now, protected(&pod));
            if also.services && facts.rotation.place != Place::Nowhere {
                facts.rotation.services = Services::Read(services::read(actuator, &pod).await?);
            }
            (PodFacts::Present(facts), workload, node)
        }
        None => (PodFacts::Gone, WorkloadFacts::Settled, NodeFacts::Unfit("there is no pod to be on one".into())),
    };
    let cron_job = match also.cron_job {
        Some((name, own)) => job::read_cron_job(actuator, namespace, name, own).await?,
        None => CronJobFacts::Unread,
    };
    let group = match also.group {
        Some(of) => failover::read_group(actuator, namespace, of).await?,
        None => GroupFacts::Unread,
    };
    let stop = read_stop(actuator, stop).await?;
    Ok(Live { stop, pod, workload, node, cron_job, group, vantage: Vantage::Unread })
}

/// Reads where a pod stands towards its Services, and its uid; `None` if there is no such pod.
pub async fn read_rotation(
    actuator: &Client,
    namespace: &str,
    pod: &str,
    now: Server,
) -> Result<Option<(String, Rotation)>, ReadError> {
    let Some(pod) = read_pod(actuator, namespace, pod).await? else { return Ok(None) };
    let services = Services::Read(services::read(actuator, &pod).await?);
    Ok(Some((pod.uid.clone(), Rotation { services, ..pod.rotation(now) })))
}

/// Reads the metadata of an object live; `None` if it does not exist.
pub async fn read_metadata<K>(
    actuator: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<ObjectMeta>, ReadError>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(actuator.clone(), namespace);
    let found = present("policy", deadline(DEADLINE, api.get_metadata(name)).await)?;
    Ok(found.map(|found| found.metadata))
}

/// Reads a pod live; `None` if there is none of that name.
pub async fn read_pod(actuator: &Client, namespace: &str, pod: &str) -> Result<Option<PodView>, ReadError> {
    let request = Request::new(Pod::url_path(&(), Some(namespace))).get(pod, &GetParams::default());
    let request = request.map_err(|error| ReadError::of("pod", &kube::Error::BuildRequest(error).into()))?;
    present("pod", deadline(DEADLINE, actuator.request::<PodView>(request)).await)
}

/// What a pod tells the guards.
fn facts(pod: &PodView, now: Server, protected: bool) -> PodPresent {
    PodPresent {
        uid: pod.uid.clone(),
        resource_version: pod.resource_version.clone(),
        terminating: pod.terminating,
        ignored: pod.ignored,
        controlled: pod.owner.is_some(),
        protected,
        host_network: pod.host_network,
        crash_loop: pod.waiting_reason == "CrashLoopBackOff",
        grace: pod.grace,
        age: pod.started.map_or(0, |started| now.since(started)),
        rotation: pod.rotation(now),
    }
}

async fn read_workload(actuator: &Client, pod: &PodView) -> Result<WorkloadFacts, ReadError> {
    let Some(owner) = pod.owner.as_ref().filter(|owner| owner.kind == "StatefulSet") else {
        return Ok(WorkloadFacts::Settled);
    };
    let sets: Api<StatefulSet> = Api::namespaced(actuator.clone(), &pod.namespace);
    let set = present("StatefulSet", deadline(DEADLINE, sets.get(&owner.name)).await)?;
    Ok(rollout(set.as_ref(), owner, pod).map_or(WorkloadFacts::Settled, WorkloadFacts::RollingOut))
}

/// Why a pod is not to be removed as far as its `StatefulSet` goes. The set's controller takes over the new revision
/// as the current one only when every pod has it and is ready, so a missing pod alone is no rollout.
fn rollout(set: Option<&StatefulSet>, owner: &Owner, pod: &PodView) -> Option<String> {
    let Some(set) = set.filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid)) else {
        return Some(format!("its StatefulSet {} is gone, so nothing would make it anew", owner.name));
    };
    if set.metadata.deletion_timestamp.is_some() {
        return Some(format!("its StatefulSet {} is being deleted", owner.name));
    }
    let status = set.status.clone().unwrap_or_default();
    if status.observed_generation < set.metadata.generation {
        return Some("its StatefulSet has changed and its controller has not seen that yet".into());
    }
    let update = status.update_revision.as_deref();
    if update != pod.revision() {
        return Some(format!(
            "it has revision {} and would be made anew with {}",
            pod.revision().unwrap_or("none"),
            update.unwrap_or("none")
        ));
    }
    // Under OnDelete the current revision is never moved on, long after the last pod has the new one.
    let strategy = set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    if strategy != Some("OnDelete") && update != status.current_revision.as_deref() {
        return Some(format!(
            "{} of {} pods have revision {}",
            status.updated_replicas.unwrap_or(0),
            status.replicas,
            update.unwrap_or("none")
        ));
    }
    None
}

async fn read_node(actuator: &Client, pod: &PodView) -> Result<NodeFacts, ReadError> {
    let Some(name) = &pod.node else {
        return Ok(NodeFacts::Unfit("the pod is on no node yet".into()));
    };
    let nodes: Api<Node> = Api::all(actuator.clone());
    let node = present("node", deadline(DEADLINE, nodes.get(name)).await)?;
    Ok(unfit(node.as_ref()).map_or(NodeFacts::Ready, |why| NodeFacts::Unfit(format!("node {name} {why}"))))
}

fn unfit(node: Option<&Node>) -> Option<&'static str> {
    let Some(node) = node else { return Some("is gone") };
    if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        return Some("is cordoned");
    }
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    (!ready).then_some("is not ready")
}

/// Whoever cannot find the stop does not know that it is not pulled.
pub async fn read_stop(actuator: &Client, stop: &StopRef) -> Result<Stop, ReadError> {
    let maps: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(actuator.clone(), &stop.namespace);
    let map = present("emergency stop", deadline(DEADLINE, maps.get(&stop.name)).await)?;
    let Some(map) = map else {
        return Ok(Stop::Stopped(format!("its ConfigMap {stop} does not exist")));
    };
    Ok(match map.annotations().get(STOP_ANNOTATION) {
        None => Stop::Go,
        Some(why) if why.is_empty() => Stop::Stopped("no reason was given".into()),
        Some(why) => Stop::Stopped(super::outcome::bounded(why)),
    })
}

/// `None` if the API server says that it does not exist.
fn present<T>(what: &'static str, answer: Result<T, CallError>) -> Result<Option<T>, ReadError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) => match Outcome::of(Verb::Read, &error) {
            Outcome::Gone => Ok(None),
            outcome => Err(ReadError { what, outcome }),
        },
    }
}

impl ReadError {
    pub(super) fn of(what: &'static str, error: &CallError) -> Self {
        Self { what, outcome: Outcome::of(Verb::Read, error) }
    }
}

impl Display for StopRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests;
