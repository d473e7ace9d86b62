//! The label by which a Service finds the member that signs: who wears it, and who is to. Nothing else of a pod is written.

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{Failed, Outcome, Verb};
use crate::{
    api::SIGNING,
    controller::clients::{DEADLINE, deadline},
};

/// More in one namespace are not looked through: nothing is known then.
const MOST: u32 = 500;

/// A pod, as it was when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wearer {
    /// Its name.
    pub name: String,
    /// Its uid: no other pod is ever touched.
    pub uid: String,
    /// Its version: nor this one, once it has changed.
    pub version: String,
}

/// The pods of a namespace that wear the label with the value `true`, live.
pub async fn wearers(actuator: &Client, namespace: &str) -> Result<Vec<Wearer>, Failed> {
    const DOING: &str = "list the pods with the label mainstay.dev/signing";
    let pods: Api<Pod> = Api::namespaced(actuator.clone(), namespace);
    let params = ListParams::default().labels(&format!("{SIGNING}=true")).limit(MOST);
    let listed = deadline(DEADLINE, pods.list_metadata(&params)).await;
    let listed = listed.map_err(|error| Failed::of(DOING, Verb::Read, &error))?;
    if listed.metadata.continue_.is_some_and(|more| !more.is_empty()) {
        return Err(Failed { doing: DOING, outcome: Outcome::Refused(format!("there are more than {MOST}")) });
    }
    let wearer = |pod: &kube::core::PartialObjectMeta<Pod>| Wearer {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        version: pod.resource_version().unwrap_or_default(),
    };
    Ok(listed.items.iter().map(wearer).collect())
}

/// Gives a pod the label or takes it away, once, if the pod is still what it was.
pub async fn wear(actuator: &Client, namespace: &str, pod: &Wearer, signs: bool) -> Outcome {
    let patch = json!({"metadata": {
        // In a merge patch these two are preconditions: 409 if they are not what the object has.
        "uid": pod.uid,
        "resourceVersion": pod.version,
        "labels": {SIGNING: signs.to_string()},
    }});
    let params = PatchParams { field_manager: Some("mainstay-failover".into()), ..PatchParams::default() };
    let pods: Api<Pod> = Api::namespaced(actuator.clone(), namespace);
    match deadline(DEADLINE, pods.patch_metadata(&pod.name, &params, &Patch::Merge(&patch))).await {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::of(Verb::Write, &error),
    }
}

/// What is wrong with the Service that is to lead to the holder, and what to write.
pub async fn service_trouble(actuator: &Client, namespace: &str, name: &str) -> Result<Option<String>, Failed> {
    let services: Api<Service> = Api::namespaced(actuator.clone(), namespace);
    // A list, which is what Mainstay may do with Services anyway.
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let listed = deadline(DEADLINE, services.list(&params)).await;
    let listed = listed.map_err(|error| Failed::of("read the Service of the signer", Verb::Read, &error))?;
    let Some(service) = listed.items.into_iter().find(|service| service.name_any() == name) else {
        return Ok(Some(format!("handover.label.service: there is no Service {name} in this namespace")));
    };
    let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
    if selector.get(SIGNING).is_some_and(|value| value == "true") {
        return Ok(None);
    }
    Ok(Some(format!(
        "handover.label.service: Service {name} leads to every member: write {SIGNING}: \"true\" into its spec.selector"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    fn services(items: &Value) -> Answer {
        Answer::json(200, json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": items}))
    }

    #[tokio::test]
    async fn only_the_label_of_that_very_pod_is_written() {
        let list = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
            "items": [{"metadata": {"name": "val-a-0", "uid": "u1", "resourceVersion": "41"}}]});
        let written = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {}});
        let answers =
            [Answer::json(200, list), Answer::json(200, written), Answer::status(409, "Conflict"), Answer::Reset];
        let (client, fake) = Fake::answering(answers);
        let [pod] = wearers(&client, "cosmos").await.unwrap().try_into().unwrap();
        assert_eq!(wear(&client, "cosmos", &pod, false).await, Outcome::Done);
        assert_eq!(wear(&client, "cosmos", &pod, false).await.label(), "moved");
        assert_eq!(wear(&client, "cosmos", &pod, true).await.label(), "unknown");
        let requests = fake.requests();
        assert!(
            requests[0].query().contains("labelSelector=mainstay.dev%2Fsigning%3Dtrue"),
            "{}",
            requests[0].query()
        );
        assert_eq!(requests[1].line(), "PATCH /api/v1/namespaces/cosmos/pods/val-a-0");
        let expected = json!({"metadata": {"uid": "u1", "resourceVersion": "41", "labels": {SIGNING: "false"}}});
        assert_eq!(requests[1].body, expected);
    }

    #[tokio::test]
    async fn a_service_that_leads_to_every_member_is_none() {
        let service =
            |selector: Value| services(&json!([{"metadata": {"name": "signer"}, "spec": {"selector": selector}}]));
        let table = [
            (service(json!({"app": "val", SIGNING: "true"})), None),
            (service(json!({"app": "val"})), Some("leads to every member: write mainstay.dev/signing: \"true\"")),
            (service(json!({SIGNING: "yes"})), Some("leads to every member")),
            (service(Value::Null), Some("leads to every member")),
            (services(&json!([])), Some("no Service signer")),
        ];
        for (answer, expected) in table {
            let (client, fake) = Fake::answering([answer]);
            let told = service_trouble(&client, "cosmos", "signer").await.unwrap();
            assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()));
            assert!(fake.requests()[0].query().contains("fieldSelector=metadata.name%3Dsigner"));
        }
        let (client, _) = Fake::answering([Answer::status(403, "Forbidden")]);
        assert!(service_trouble(&client, "cosmos", "signer").await.is_err());
    }
}
