//! Restart: lets a pod be made anew by its workload.

use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::Eviction},
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions},
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
    core::{Status, params},
};

use super::{Outcome, Verb};
use crate::{
    api::RestartMethod,
    controller::clients::{CallError, DEADLINE, deadline},
};

/// Which pod, as it was when it was last looked at, and how it is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartOrder {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Its uid: no other pod is ever touched.
    pub uid: String,
    /// Its version: nor this one, once it has changed.
    pub resource_version: String,
    /// How.
    pub method: RestartMethod,
}

/// Removes the pod, once, if it is still what it was. Its own grace period holds. An eviction that is refused stays
/// an eviction that was refused.
pub async fn restart(actuator: &Client, order: &RestartOrder) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(actuator.clone(), &order.namespace);
    match order.method {
        RestartMethod::Eviction => evict(&pods, order).await,
        RestartMethod::Delete => delete(&pods, order).await,
    }
}

/// The typed Eviction: `Api::evict` of kube 5.0.0 sends its options under a name that the server ignores, so that
/// preconditions are lost without an error.
async fn evict(pods: &Api<Pod>, order: &RestartOrder) -> Outcome {
    let preconditions =
        Preconditions { uid: Some(order.uid.clone()), resource_version: Some(order.resource_version.clone()) };
    let eviction = Eviction {
        metadata: ObjectMeta {
            name: Some(order.pod.clone()),
            namespace: Some(order.namespace.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() }),
    };
    let params = PostParams::default();
    let call = pods.create_subresource::<_, Status>("eviction", &order.pod, &params, &eviction);
    let answer = deadline(DEADLINE, call).await;
    outcome(Verb::Evict, answer)
}

async fn delete(pods: &Api<Pod>, order: &RestartOrder) -> Outcome {
    let preconditions = params::Preconditions {
        uid: Some(order.uid.clone()),
        resource_version: Some(order.resource_version.clone()),
    };
    let params = DeleteParams::default().preconditions(preconditions);
    let answer = deadline(DEADLINE, pods.delete(&order.pod, &params)).await;
    // A pod that ends gracefully comes back as itself, one that is gone at once as a Status.
    match answer {
        Ok(answer) => answer.right().map_or(Outcome::Done, |status| outcome(Verb::Delete, Ok(status))),
        Err(error) => Outcome::of(Verb::Delete, &error),
    }
}

fn outcome(verb: Verb, answer: Result<Status, CallError>) -> Outcome {
    match answer {
        Ok(status) if status.is_success() => Outcome::Done,
        Ok(status) => Outcome::of_status(verb, &status),
        Err(error) => Outcome::of(verb, &error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    fn order(method: RestartMethod) -> RestartOrder {
        RestartOrder {
            namespace: "cosmos".into(),
            pod: "val-0".into(),
            uid: "u1".into(),
            resource_version: "41".into(),
            method,
        }
    }

    fn success() -> Answer {
        Answer::json(201, json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201}))
    }

    #[tokio::test]
    async fn an_eviction_carries_preconditions_and_no_grace() {
        let (client, fake) = Fake::answering([success()]);
        assert_eq!(restart(&client, &order(RestartMethod::Eviction)).await, Outcome::Done);
        let [request] = fake.requests().try_into().unwrap();
        assert_eq!(request.line(), "POST /api/v1/namespaces/cosmos/pods/val-0/eviction");
        assert_eq!(
            request.body,
            json!({
                "apiVersion": "policy/v1", "kind": "Eviction",
                "metadata": {"name": "val-0", "namespace": "cosmos"},
                "deleteOptions": {"preconditions": {"uid": "u1", "resourceVersion": "41"}},
            })
        );
    }

    #[tokio::test]
    async fn a_delete_carries_preconditions_and_no_grace() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "val-0"},
            "spec": {"containers": []}});
        let gone = json!({"kind": "Status", "status": "Success"});
        let (client, fake) = Fake::answering([Answer::json(200, pod), Answer::json(200, gone)]);
        assert_eq!(restart(&client, &order(RestartMethod::Delete)).await, Outcome::Done);
        assert_eq!(restart(&client, &order(RestartMethod::Delete)).await, Outcome::Done);
        let request = &fake.requests()[0];
        assert_eq!(request.line(), "DELETE /api/v1/namespaces/cosmos/pods/val-0");
        assert_eq!(request.body, json!({"preconditions": {"uid": "u1", "resourceVersion": "41"}}));
    }

    #[tokio::test(start_paused = true)]
    async fn one_attempt_and_its_outcome() {
        let budget = json!({"causes": [{"reason": "DisruptionBudget", "message": "needs 1"}]});
        let table = [
            (Answer::status(404, "NotFound"), "gone"),
            (Answer::status(409, "Conflict"), "moved"),
            (Answer::detailed(429, "TooManyRequests", budget), "blocked"),
            (Answer::status(429, "TooManyRequests"), "throttled"),
            (Answer::status(403, "Forbidden"), "refused"),
            (Answer::status(500, "InternalError"), "unknown"),
            (Answer::status(503, "ServiceUnavailable"), "unknown"),
            (Answer::text(200, "<html>"), "unknown"),
            (Answer::Hang, "unknown"),
            (Answer::Reset, "unknown"),
        ];
        for method in [RestartMethod::Eviction, RestartMethod::Delete] {
            for (answer, label) in &table {
                let (client, fake) = Fake::answering([answer.clone()]);
                let outcome = restart(&client, &order(method)).await;
                assert_eq!(outcome.label(), *label, "{method:?} {answer:?}: {outcome:?}");
                assert_eq!(fake.requests().len(), 1);
            }
        }
    }

    #[tokio::test]
    async fn a_failure_in_the_body_of_a_success_is_a_failure() {
        let body = json!({"kind": "Status", "status": "Failure", "reason": "InternalError", "code": 500, "message":
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."});
        let (client, _) = Fake::answering([Answer::json(201, body), Answer::json(201, json!({}))]);
        assert_eq!(restart(&client, &order(RestartMethod::Eviction)).await.label(), "misconfigured");
        assert_eq!(restart(&client, &order(RestartMethod::Eviction)).await.label(), "unknown");
    }
}
