//! Services: which of them a pod takes part in, and who else serves in each.

use std::collections::BTreeSet;

use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::{Endpoint, EndpointSlice},
};
use kube::{Api, Client, Resource, api::ListParams, core::ObjectList};

use super::{Outcome, read::ReadError};
use crate::{
    api::IN_ROTATION,
    controller::clients::{DEADLINE, deadline},
    plan::{ServiceFacts, Switch},
    world::PodView,
};

/// More of a kind in one namespace, or of one Service, are not looked through: nothing is known then.
const MOST: u32 = 500;
/// The label by which slices name their Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// The Services that send this pod requests when it is in rotation, in the order of their names.
pub(super) async fn read(actuator: &Client, pod: &PodView) -> Result<Vec<ServiceFacts>, ReadError> {
    let services: Vec<Service> = list(actuator, &pod.namespace, "Services", None).await?;
    let mut found = Vec::new();
    for service in services.iter().filter(|service| chooses(service, pod)) {
        let name = service.metadata.name.clone().unwrap_or_default();
        let slices = list(actuator, &pod.namespace, "endpoints", Some(format!("{SERVICE}={name}"))).await?;
        let ready = ready(&slices);
        let others = ready.iter().filter(|uid| **uid != pod.uid).count();
        found.push(ServiceFacts {
            name,
            serves: ready.contains(pod.uid.as_str()),
            others: u32::try_from(others).unwrap_or(u32::MAX),
        });
    }
    found.sort();
    Ok(found)
}

/// Whether a Service chooses a pod once it is in rotation, and does not once it is out.
fn chooses(service: &Service, pod: &PodView) -> bool {
    let Some(spec) = &service.spec else { return false };
    let Some(selector) = &spec.selector else { return false };
    let has = |(key, value): (&String, &String)| pod.labels.get(key) == Some(value);
    match pod.switch() {
        // One that does not ask for the label is none of ours.
        Switch::Label => {
            selector.get(IN_ROTATION).is_some_and(|value| value == "true")
                && selector.iter().all(|pair| pair.0 == IN_ROTATION || has(pair))
        }
        // One that takes pods that are not ready does not ask the gate; and one that only stands for another name has no
        // endpoints.
        Switch::Gate => {
            let asks =
                spec.publish_not_ready_addresses != Some(true) && spec.type_.as_deref() != Some("ExternalName");
            asks && !selector.is_empty() && selector.iter().all(has)
        }
    }
}

/// The pods (uids) that new connections go to. One that ends is none of them, whatever else it says.
fn ready(slices: &[EndpointSlice]) -> BTreeSet<&str> {
    let serves = |endpoint: &&Endpoint| {
        let conditions = endpoint.conditions.clone().unwrap_or_default();
        conditions.ready.unwrap_or(true) && conditions.terminating != Some(true) && !endpoint.addresses.is_empty()
    };
    slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten())
        .filter(serves)
        .filter_map(|endpoint| endpoint.target_ref.as_ref()?.uid.as_deref())
        .collect()
}

async fn list<K>(
    actuator: &Client,
    namespace: &str,
    what: &'static str,
    labels: Option<String>,
) -> Result<Vec<K>, ReadError>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(actuator.clone(), namespace);
    let params = ListParams { label_selector: labels, limit: Some(MOST), ..ListParams::default() };
    let answer = deadline(DEADLINE, api.list(&params)).await;
    let ObjectList { items, metadata, .. } = answer.map_err(|error| ReadError::of(what, &error))?;
    if metadata.continue_.is_some_and(|more| !more.is_empty()) {
        return Err(ReadError { what, outcome: Outcome::Refused(format!("there are more than {MOST}")) });
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        effect::fake::{Answer, Fake},
        world::Gate,
    };

    fn pod() -> PodView {
        let labels = [("app", "full"), ("mainstay.dev/in-rotation", "false")];
        PodView {
            namespace: "cosmos".into(),
            name: "full-1".into(),
            uid: "u1".into(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..PodView::default()
        }
    }

    fn service(name: &str, selector: &Value) -> Value {
        json!({"metadata": {"name": name}, "spec": {"selector": selector}})
    }

    fn listed(items: &[Value]) -> Answer {
        Answer::json(200, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
    }

    fn endpoint(uid: &str, conditions: &Value) -> Value {
        json!({"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": {"kind": "Pod", "uid": uid}})
    }

    #[tokio::test]
    async fn only_services_that_choose_by_the_label_count_and_only_who_is_ready_in_them() {
        let services = [
            service("rpc", &json!({"app": "full", "mainstay.dev/in-rotation": "true"})),
            service("p2p", &json!({"app": "full"})),
            service("other", &json!({"app": "validator", "mainstay.dev/in-rotation": "true"})),
        ];
        let slice = json!({"metadata": {}, "addressType": "IPv4", "endpoints": [
            endpoint("u1", &json!({"ready": true})),
            endpoint("u2", &json!({})),
            endpoint("u3", &json!({"ready": false})),
            endpoint("u4", &json!({"ready": true, "terminating": true})),
        ]});
        let (client, fake) = Fake::answering([listed(&services), listed(&[slice])]);
        let found = read(&client, &pod()).await.unwrap();
        assert_eq!(found, [ServiceFacts { name: "rpc".into(), serves: true, others: 1 }]);
        let requests = fake.requests();
        assert_eq!(requests.len(), 2, "no question about Services that are none of ours");
        assert!(requests[1].query().contains("kubernetes.io%2Fservice-name%3Drpc"), "{}", requests[1].query());
    }

    #[tokio::test]
    async fn a_pod_with_a_readiness_gate_leaves_every_service_that_wants_it_ready() {
        let gated = PodView { labels: [("app".into(), "full".into())].into(), gate: Some(Gate::Open), ..pod() };
        let mut peers = service("p2p", &json!({"app": "full"}));
        peers["spec"]["publishNotReadyAddresses"] = json!(true);
        let mut alias = service("alias", &json!({"app": "full"}));
        alias["spec"]["type"] = json!("ExternalName");
        let services = [
            service("rpc", &json!({"app": "full"})),
            peers,
            alias,
            service("labelled", &json!({"app": "full", "mainstay.dev/in-rotation": "true"})),
            service("other", &json!({"app": "validator"})),
            json!({"metadata": {"name": "by-hand"}, "spec": {}}),
        ];
        let slice = json!({"metadata": {}, "addressType": "IPv4", "endpoints": [
            endpoint("u1", &json!({"ready": true})),
            endpoint("u2", &json!({"ready": true})),
        ]});
        let (client, fake) = Fake::answering([listed(&services), listed(&[slice])]);
        let found = read(&client, &gated).await.unwrap();
        assert_eq!(found, [ServiceFacts { name: "rpc".into(), serves: true, others: 1 }]);
        assert_eq!(fake.requests().len(), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_read_whole_is_not_known() {
        let more = json!({"kind": "List", "apiVersion": "v1", "metadata": {"continue": "x"}, "items": []});
        for answer in [Answer::json(200, more), Answer::status(403, "Forbidden")] {
            let (client, _) = Fake::answering([answer]);
            assert!(read(&client, &pod()).await.is_err());
        }
    }
}
