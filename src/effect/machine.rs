//! What is known of a launcher's machine: its node, and the Lease that its kubelet renews.

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Node};
use kube::{Api, Client, ResourceExt};

use super::{
    Failed, Verb,
    remains::{NODE_LEASES, present},
};
use crate::{
    controller::clients::{DEADLINE, deadline},
    failover::off::{Machine, OUT_OF_SERVICE},
};

/// Reads a node; `None` if there is none of that name.
pub async fn read_machine(actuator: &Client, node: &str) -> Result<Option<Machine>, Failed> {
    let nodes: Api<Node> = Api::all(actuator.clone());
    let read = deadline(DEADLINE, nodes.get(node)).await;
    let Some(found) =
        present(read.map_err(|error| Failed::of("read the node of a launcher", Verb::Read, &error)))?
    else {
        return Ok(None);
    };
    // Afterwards: a renewal that it does not tell of came after the node was read.
    let leases: Api<Lease> = Api::namespaced(actuator.clone(), NODE_LEASES);
    let read = deadline(DEADLINE, leases.get(node)).await;
    let lease = present(read.map_err(|error| Failed::of("read the Lease of a node", Verb::Read, &error)))?;
    Ok(Some(machine(&found, lease.as_ref())))
}

fn machine(node: &Node, lease: Option<&Lease>) -> Machine {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    Machine {
        uid: node.uid().unwrap_or_default(),
        created: node.metadata.creation_timestamp.as_ref().map_or(i64::MAX, |at| at.0.as_second()),
        tainted: taints.into_iter().any(|taint| taint.key == OUT_OF_SERVICE && taint.effect == "NoExecute"),
        ready: conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True"),
        renewal: lease.and_then(renewal),
    }
}

/// Another one for every write: who else writes a Lease is taken for its kubelet.
fn renewal(lease: &Lease) -> Option<String> {
    let renewed = lease.spec.as_ref()?.renew_time.as_ref()?;
    Some(format!("{} {} {}", lease.uid()?, lease.resource_version()?, renewed.0))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    fn node(effect: &str, ready: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n1", "uid": "m1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"taints": [{"key": "other", "effect": "NoSchedule"}, {"key": OUT_OF_SERVICE, "effect": effect}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn lease(version: &str) -> Value {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "n1", "uid": "l1", "resourceVersion": version},
            "spec": {"holderIdentity": "n1", "renewTime": "2026-01-01T00:00:12.000000Z"}})
    }

    #[tokio::test]
    async fn a_node_is_read_with_its_lease() {
        let (client, fake) = Fake::answering([
            Answer::json(200, node("NoExecute", "Unknown")),
            Answer::json(200, lease("7")),
            Answer::json(200, node("NoSchedule", "True")),
            Answer::json(200, lease("8")),
            Answer::json(200, node("NoExecute", "False")),
            Answer::status(404, "NotFound"),
            Answer::status(404, "NotFound"),
        ]);
        let first = read_machine(&client, "n1").await.unwrap().unwrap();
        assert_eq!(
            (first.uid.as_str(), first.created, first.tainted, first.ready),
            ("m1", 1_767_225_600, true, false)
        );
        let second = read_machine(&client, "n1").await.unwrap().unwrap();
        assert_eq!((second.tainted, second.ready), (false, true));
        assert_ne!(first.renewal.unwrap(), second.renewal.unwrap());
        assert_eq!(read_machine(&client, "n1").await.unwrap().unwrap().renewal, None);
        assert_eq!(read_machine(&client, "n1").await.unwrap(), None);
        let lines: Vec<_> = fake.requests().iter().take(2).map(crate::effect::fake::Seen::line).collect();
        assert_eq!(
            lines,
            ["GET /api/v1/nodes/n1", "GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"]
        );
    }
}
