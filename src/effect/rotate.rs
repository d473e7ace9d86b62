//! Rotate: changes the label by which Services choose the pods that serve. Nothing else of a pod is ever written.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{Outcome, Verb};
use crate::{
    api::{IN_ROTATION, ROTATED_AT, ROTATED_BY},
    controller::clients::{DEADLINE, deadline},
    signal::Server,
};

/// Who writes, for the API server's bookkeeping.
const MANAGER: &str = "mainstay-rotation";

/// Which pod, as it was when it was last looked at, and what its label is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationOrder {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Its uid: no other pod is ever touched.
    pub uid: String,
    /// Its version: nor this one, once it has changed.
    pub resource_version: String,
    /// Whether it is to serve.
    pub serves: bool,
    /// The policy (uid) on whose behalf.
    pub policy: String,
    /// Now, by the API server's clock.
    pub now: Server,
}

/// Changes the label, once, if the pod is still what it was. Connections that are open stay open.
pub async fn rotate(actuator: &Client, order: &RotationOrder) -> Outcome {
    let patch = json!({"metadata": {
        // In a merge patch these two are preconditions: 409 if they are not what the object has.
        "uid": order.uid,
        "resourceVersion": order.resource_version,
        "labels": {IN_ROTATION: order.serves.to_string()},
        "annotations": {ROTATED_BY: order.policy, ROTATED_AT: order.now.0.to_string()},
    }});
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let pods: Api<Pod> = Api::namespaced(actuator.clone(), &order.namespace);
    match deadline(DEADLINE, pods.patch_metadata(&order.pod, &params, &Patch::Merge(&patch))).await {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::of(Verb::Write, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::fake::{Answer, Fake};

    fn order(serves: bool) -> RotationOrder {
        RotationOrder {
            namespace: "cosmos".into(),
            pod: "full-1".into(),
            uid: "u1".into(),
            resource_version: "41".into(),
            serves,
            policy: "p1".into(),
            now: Server(1_800_000_000_000),
        }
    }

    #[tokio::test]
    async fn only_the_label_of_that_very_pod_is_written() {
        let meta = json!({"metadata": {"name": "full-1"}});
        let (client, fake) = Fake::answering([Answer::json(200, meta), Answer::status(409, "Conflict")]);
        assert_eq!(rotate(&client, &order(false)).await, Outcome::Done);
        assert_eq!(rotate(&client, &order(true)).await.label(), "moved");
        let requests = fake.requests();
        assert_eq!(requests[0].line(), "PATCH /api/v1/namespaces/cosmos/pods/full-1");
        assert_eq!(requests[0].content_type, "application/merge-patch+json");
        assert_eq!(
            requests[0].body,
            json!({"metadata": {
                "uid": "u1", "resourceVersion": "41", "labels": {"mainstay.dev/in-rotation": "false"},
                "annotations": {"mainstay.dev/rotated-by": "p1", "mainstay.dev/rotated-at": "1800000000000"},
            }})
        );
        assert_eq!(requests[1].body["metadata"]["labels"]["mainstay.dev/in-rotation"], "true");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unclear_answer_is_told_as_one() {
        for answer in [Answer::Hang, Answer::Reset, Answer::status(503, "ServiceUnavailable")] {
            let (client, fake) = Fake::answering([answer]);
            assert_eq!(rotate(&client, &order(false)).await.label(), "unknown");
            assert_eq!(fake.requests().len(), 1);
        }
    }
}
