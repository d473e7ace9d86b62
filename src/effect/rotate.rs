//! Rotate: turns the switch by which a pod takes part: the label by which Services choose, or its readiness gate. Nothing
//! else of a pod is ever written.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{Outcome, Verb, listed, readiness, scopes};
use crate::{
    api::{IN_ROTATION, ROTATED_AT, ROTATED_BY},
    controller::clients::{DEADLINE, deadline},
    plan::Switch,
    signal::Server,
};

/// Who writes, for the API server's bookkeeping.
pub(super) const MANAGER: &str = "mainstay-rotation";
/// How often pods are looked at that changed while they were brought back.
const ROUNDS: usize = 5;

/// Which pod, as it was when it was last looked at, and what its switch is to say.
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
    /// By what it takes part.
    pub switch: Switch,
    /// Whether it is to serve.
    pub serves: bool,
    /// The policy (uid) on whose behalf; empty: nobody has decided.
    pub policy: String,
    /// Now, by the API server's clock.
    pub now: Server,
}

/// Turns the switch, once, if the pod is still what it was. Connections that are open stay open.
pub async fn rotate(actuator: &Client, order: &RotationOrder) -> Outcome {
    match order.switch {
        Switch::Label => label(actuator, order).await,
        Switch::Gate => readiness::turn(actuator, order).await,
    }
}

async fn label(actuator: &Client, order: &RotationOrder) -> Outcome {
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

/// Brings every pod of these namespaces (all, if none is named) that Mainstay took out of rotation back in, for there will
/// be nobody to do it later. Returns how many there were.
pub async fn bring_all_back(client: &Client, namespaces: &[String], now: Server) -> Result<usize, kube::Error> {
    let scopes: Vec<Api<Pod>> = scopes(client, namespaces);
    let mut back = 0;
    // A pod that changes meanwhile is looked at once more.
    for _ in 0..ROUNDS {
        let mut left = 0;
        for scope in &scopes {
            for order in out(client, scope, now).await? {
                match rotate(client, &order).await {
                    Outcome::Done => back += 1,
                    Outcome::Gone => {}
                    outcome => {
                        tracing::warn!(pod = order.pod, namespace = order.namespace, %outcome, "not back in rotation");
                        left += 1;
                    }
                }
            }
        }
        if left == 0 {
            break;
        }
    }
    Ok(back)
}

/// What would bring back each pod that Mainstay took out of rotation, by either switch.
async fn out(client: &Client, scope: &Api<Pod>, now: Server) -> Result<Vec<RotationOrder>, kube::Error> {
    let mut orders = Vec::new();
    for pod in listed(scope, &ListParams::default().labels(&format!("{IN_ROTATION}=false"))).await? {
        let by = pod.annotations().get(ROTATED_BY).cloned();
        let Some(policy) = by.filter(|_| pod.metadata.deletion_timestamp.is_none()) else { continue };
        orders.push(RotationOrder {
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            resource_version: pod.resource_version().unwrap_or_default(),
            switch: Switch::Label,
            serves: true,
            policy,
            now,
        });
    }
    let shut = readiness::shut(client, scope.namespace()).await?;
    orders.extend(shut.into_iter().map(|pod| RotationOrder {
        namespace: pod.namespace,
        pod: pod.name,
        uid: pod.uid,
        resource_version: pod.resource_version,
        switch: Switch::Gate,
        serves: true,
        policy: pod.rotated_by,
        now,
    }));
    Ok(orders)
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
            switch: Switch::Label,
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

    #[tokio::test]
    async fn at_the_end_everybody_serves_again() {
        let meta = |name: &str, annotations: &serde_json::Value| {
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": name,
                "namespace": "cosmos", "uid": "u1", "resourceVersion": "7", "annotations": annotations}})
        };
        let list = |items: &[serde_json::Value]| {
            Answer::json(
                200,
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": items}),
            )
        };
        let gates =
            || Answer::json(200, json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []}));
        let ours = meta("full-1", &json!({"mainstay.dev/rotated-by": "p1"}));
        let theirs = meta("full-2", &json!({}));
        let (client, fake) = Fake::answering([
            list(&[ours.clone(), theirs.clone()]),
            gates(),
            Answer::status(409, "Conflict"),
            list(&[ours, theirs]),
            gates(),
            Answer::json(200, json!({"metadata": {"name": "full-1"}})),
        ]);
        let back = bring_all_back(&client, &["cosmos".into()], Server(7)).await.unwrap();
        assert_eq!((back, fake.requests().len()), (1, 6), "a label that somebody else wrote stays");
        assert_eq!(fake.requests()[5].body["metadata"]["labels"]["mainstay.dev/in-rotation"], "true");
    }

    #[tokio::test]
    async fn a_namespace_that_took_its_role_with_it_keeps_nobody_from_leaving() {
        let (client, fake) = Fake::answering([Answer::status(403, "Forbidden"), Answer::status(403, "Forbidden")]);
        assert_eq!(bring_all_back(&client, &["gone".into()], Server(7)).await.unwrap(), 0);
        assert_eq!(fake.requests().len(), 2);
        let (client, _) = Fake::answering([Answer::status(403, "Forbidden")]);
        assert!(bring_all_back(&client, &[], Server(7)).await.is_err(), "for all namespaces it is a mistake");
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
