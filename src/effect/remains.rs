//! What is left of a launcher's pod: read live, and the latch that is taken from it.

use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ContainerStatus, Pod},
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{Failed, Outcome, Verb};
use crate::{
    controller::clients::{DEADLINE, deadline},
    failover::latch::{Container, Ended, LATCH, Remains},
};

/// Where kubelets renew the Leases of their nodes.
pub(super) const NODE_LEASES: &str = "kube-node-lease";

/// Reads what is left of a pod; `None` if there is none of that name.
pub async fn read_remains(actuator: &Client, namespace: &str, name: &str) -> Result<Option<Remains>, Failed> {
    let pods: Api<Pod> = Api::namespaced(actuator.clone(), namespace);
    let read = deadline(DEADLINE, pods.get(name)).await;
    present(read.map_err(|error| Failed::of("read the pod of a launcher", Verb::Read, &error)))
        .map(|pod| pod.as_ref().map(remains))
}

/// Reads when the kubelet of a node has renewed its Lease last (milliseconds since the epoch, by its own clock); `None` if
/// nothing says so.
pub async fn read_renewed(actuator: &Client, node: &str) -> Result<Option<i64>, Failed> {
    let leases: Api<Lease> = Api::namespaced(actuator.clone(), NODE_LEASES);
    let read = deadline(DEADLINE, leases.get(node)).await;
    let lease = present(read.map_err(|error| Failed::of("read the Lease of a node", Verb::Read, &error)))?;
    let spec = lease.and_then(|lease| lease.spec).filter(|spec| spec.holder_identity.as_deref() == Some(node));
    Ok(spec.and_then(|spec| spec.renew_time).map(|renewed| renewed.0.as_millisecond()))
}

/// Takes the latch from a pod that is being deleted, if it is still what it was.
pub async fn unlatch(actuator: &Client, namespace: &str, name: &str, remains: &Remains) -> Outcome {
    let left: Vec<_> = remains.finalizers.iter().filter(|one| *one != LATCH).collect();
    let patch = json!({"metadata": {
        // In a merge patch these two are preconditions: 409 if they are not what the object has.
        "uid": remains.uid,
        "resourceVersion": remains.version,
        "finalizers": left,
    }});
    let params = PatchParams { field_manager: Some("mainstay-failover".into()), ..PatchParams::default() };
    let pods: Api<Pod> = Api::namespaced(actuator.clone(), namespace);
    match deadline(DEADLINE, pods.patch_metadata(name, &params, &Patch::Merge(&patch))).await {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::of(Verb::Write, &error),
    }
}

pub(super) fn present<T>(read: Result<T, Failed>) -> Result<Option<T>, Failed> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Failed { outcome: Outcome::Gone, .. }) => Ok(None),
        Err(failed) => Err(failed),
    }
}

fn remains(pod: &Pod) -> Remains {
    let status = pod.status.clone().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let statuses =
        [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let statuses: Vec<&ContainerStatus> = statuses.into_iter().flatten().flatten().collect();
    let mut names: Vec<String> = spec.containers.into_iter().map(|one| one.name).collect();
    names.extend(spec.init_containers.into_iter().flatten().map(|one| one.name));
    names.extend(spec.ephemeral_containers.into_iter().flatten().map(|one| one.name));
    // What the status alone knows of is no less of a process.
    names.extend(statuses.iter().map(|status| status.name.clone()));
    names.sort_unstable();
    names.dedup();
    let ended = |name: &str| {
        let status = statuses.iter().find(|status| status.name == name)?;
        let ended = status.state.as_ref()?.terminated.as_ref()?;
        Some(Ended {
            at: ended.finished_at.as_ref().map(|at| at.0.as_millisecond()),
            reason: ended.reason.clone().unwrap_or_default(),
        })
    };
    Remains {
        uid: pod.uid().unwrap_or_default(),
        node: spec.node_name.unwrap_or_default(),
        // One that nobody knows is older than any node.
        created: pod.metadata.creation_timestamp.as_ref().map_or(i64::MIN, |at| at.0.as_second()),
        deleted: pod.metadata.deletion_timestamp.is_some(),
        terminal: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        version: pod.resource_version().unwrap_or_default(),
        finalizers: pod.finalizers().to_vec(),
        containers: names.into_iter().map(|name| Container { ended: ended(&name), name }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        effect::fake::{Answer, Fake},
        failover::{Pod as Holder, Proof, latch::confirmed},
    };

    fn pod() -> serde_json::Value {
        let ended = |at: &str| json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": at}});
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "val-a-0", "namespace": "cosmos", "uid": "u1", "resourceVersion": "7",
                "deletionTimestamp": "2026-01-01T00:00:30Z", "finalizers": ["other/one", LATCH]},
            "spec": {"nodeName": "n1", "containers": [{"name": "signer"}], "initContainers": [{"name": "first"}]},
            "status": {"phase": "Succeeded",
                "containerStatuses": [{"name": "signer", "image": "i", "imageID": "i", "ready": false,
                    "restartCount": 0, "state": ended("2026-01-01T00:00:10Z")}],
                "initContainerStatuses": [{"name": "first", "image": "i", "imageID": "i", "ready": true,
                    "restartCount": 0, "state": ended("2026-01-01T00:00:00Z")}]},
        })
    }

    fn lease(holder: &str, renewed: &str) -> serde_json::Value {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "n1"},
            "spec": {"holderIdentity": holder, "renewTime": renewed}})
    }

    #[tokio::test]
    async fn what_the_kubelet_says_is_read_and_the_latch_alone_is_taken() {
        let (client, fake) = Fake::answering([
            Answer::json(200, pod()),
            Answer::json(200, lease("n1", "2026-01-01T00:00:12.000000Z")),
            Answer::json(200, pod()),
        ]);
        let remains = read_remains(&client, "cosmos", "val-a-0").await.unwrap().unwrap();
        let renewed = read_renewed(&client, "n1").await.unwrap();
        let holder = Arc::new(Holder { member: "a".into(), uid: "u1".into(), node: "n1".into() });
        assert_eq!(confirmed(&holder, Some(&remains), renewed), Ok(Proof::KubeletConfirmed(Arc::clone(&holder))));
        assert_eq!(unlatch(&client, "cosmos", "val-a-0", &remains).await, Outcome::Done);
        let [_, asked, patched] = fake.requests().try_into().unwrap();
        assert_eq!(asked.line(), "GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1");
        let metadata = &patched.body["metadata"];
        assert_eq!(patched.line(), "PATCH /api/v1/namespaces/cosmos/pods/val-a-0");
        assert_eq!((&metadata["uid"], &metadata["resourceVersion"]), (&json!("u1"), &json!("7")));
        assert_eq!(metadata["finalizers"], json!(["other/one"]));
    }

    #[tokio::test]
    async fn a_container_without_a_status_and_a_lease_of_somebody_else_prove_nothing() {
        let mut odd = pod();
        odd["status"]["initContainerStatuses"] = json!([]);
        let (client, _) = Fake::answering([
            Answer::json(200, odd),
            Answer::json(200, lease("somebody", "2026-01-01T00:00:12.000000Z")),
            Answer::status(404, "NotFound"),
        ]);
        let remains = read_remains(&client, "cosmos", "val-a-0").await.unwrap().unwrap();
        let first = remains.containers.iter().find(|one| one.name == "first").unwrap();
        assert_eq!(first.ended, None);
        assert_eq!(read_renewed(&client, "n1").await.unwrap(), None);
        assert_eq!(read_renewed(&client, "n1").await.unwrap(), None);
    }
}
