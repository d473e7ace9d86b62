//! Replicas: the pods of this installation itself. The only read of pods in the operator's own namespace.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Resource,
    api::ListParams,
    core::{ObjectList, Request},
};

use super::{Outcome, read::ReadError};
use crate::{
    controller::clients::{DEADLINE, deadline},
    world::PodView,
};

const WHAT: &str = "replicas";
/// What the chart puts on every operator's pod, whatever its release is called.
const LABELS: &str = "app.kubernetes.io/name=mainstay,app.kubernetes.io/component=operator";
/// The label that tells the pods of one release from those of another in the same namespace.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// More are not looked through: nothing is known then.
const MOST: u32 = 100;

/// The other replicas of the installation that the pod `own` belongs to, as far as they are ready. A process that is no
/// such pod has none.
pub async fn other_replicas(actuator: &Client, namespace: &str, own: &str) -> Result<Vec<PodView>, ReadError> {
    // What has ended stays in the list for as long as somebody leaves it there.
    let params = ListParams::default().labels(LABELS).fields("status.phase=Running").limit(MOST);
    let request = Request::new(Pod::url_path(&(), Some(namespace))).list(&params);
    let request = request.map_err(|error| ReadError::of(WHAT, &kube::Error::BuildRequest(error).into()))?;
    let answer = deadline(DEADLINE, actuator.request::<ObjectList<PodView>>(request)).await;
    let ObjectList { items, metadata, .. } = answer.map_err(|error| ReadError::of(WHAT, &error))?;
    if metadata.continue_.is_some_and(|more| !more.is_empty()) {
        return Err(ReadError { what: WHAT, outcome: Outcome::Refused(format!("there are more than {MOST}")) });
    }
    let Some(instance) = items.iter().find(|pod| pod.name == own).map(|own| own.labels.get(INSTANCE).cloned())
    else {
        return Ok(Vec::new());
    };
    let other = |pod: &PodView| pod.name != own && pod.labels.get(INSTANCE) == instance.as_ref();
    Ok(items.into_iter().filter(|pod| other(pod) && pod.ready && !pod.terminating).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    fn pod(name: &str, instance: &str, ready: &str) -> Value {
        json!({"metadata": {"namespace": "system", "name": name, "labels": {INSTANCE: instance}},
            "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn listed(items: &[Value]) -> Answer {
        Answer::json(200, json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
    }

    async fn others(items: &[Value], own: &str) -> Vec<String> {
        let (client, _) = Fake::answering([listed(items)]);
        other_replicas(&client, "system", own).await.unwrap().into_iter().map(|pod| pod.name).collect()
    }

    #[tokio::test]
    async fn others_are_ready_pods_of_the_same_release() {
        let mut leaving = pod("m-4", "m", "True");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-11-01T10:00:00Z");
        let all = [
            pod("m-1", "m", "True"),
            pod("m-2", "m", "True"),
            pod("m-3", "m", "False"),
            leaving,
            pod("other-1", "other", "True"),
        ];
        assert_eq!(others(&all, "m-1").await, ["m-2"]);
        assert_eq!(others(&all, "m-3").await, ["m-1", "m-2"], "one's own readiness does not matter");
        assert_eq!(others(&all, "laptop").await, Vec::<String>::new(), "no pod, and nobody's replica");
        assert_eq!(others(&all[..1], "m-1").await, Vec::<String>::new());
        assert_eq!(others(&[], "m-1").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn they_are_asked_for_in_ones_own_namespace_alone() {
        let (client, fake) = Fake::answering([listed(&[pod("m-1", "m", "True"), pod("m-2", "m", "True")])]);
        let found = other_replicas(&client, "system", "m-1").await.unwrap();
        assert_eq!(found[0].ports, [(Some("http".to_owned()), 8080)]);
        let request = &fake.requests()[0];
        assert_eq!(request.line(), "GET /api/v1/namespaces/system/pods");
        for part in ["component%3Doperator", "fieldSelector=status.phase%3DRunning", "limit=100"] {
            assert!(request.query().contains(part), "{}", request.query());
        }
        assert!(!request.query().contains("resourceVersion"), "which could be answered from a cache");
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_read_whole_is_not_known() {
        let more = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": "x"}, "items": []});
        let answers =
            [Answer::json(200, more), Answer::status(403, "Forbidden"), Answer::text(200, "<html>"), Answer::Hang];
        for answer in answers {
            let (client, _) = Fake::answering([answer]);
            assert_eq!(other_replicas(&client, "system", "m-1").await.unwrap_err().what, WHAT);
        }
    }
}
