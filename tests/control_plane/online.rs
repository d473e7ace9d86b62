//! The definitions and the table of refusals against a real API server.

use std::{collections::BTreeSet, time::Duration};

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind, Status},
};
use mainstay::cli::crds;
use serde_json::Value;

use crate::{
    apiserver::ApiServer,
    offline::{checked, fields},
    refusals::{accepted, approval, ledger, network, policy, refused, remediation},
};

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver"]
async fn the_api_server_takes_the_definitions_and_agrees_with_check() {
    let server = ApiServer::start().await;
    let client = &server.client;
    definitions_are_taken_and_a_second_time_changes_nothing(client).await;
    right_objects_are_taken(client).await;
    wrong_objects_are_refused_as_check_says(client).await;
    stored_objects_are_listed_with_their_columns(client).await;
    a_journal_entry_never_changes(client).await;
}

pub async fn definitions_are_taken_and_a_second_time_changes_nothing(client: &Client) {
    let kind =
        ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let apply = PatchParams::apply("mainstay-test").force();
    for crd in crds::all() {
        let name = crd["metadata"]["name"].as_str().unwrap();
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let warnings = warnings(client, path, &crd).await;
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
        let first =
            api.patch(name, &apply, &Patch::Apply(&crd)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let established = wait_for_established(&api, name).await;
        let second = api.patch(name, &apply, &Patch::Apply(&crd)).await.unwrap();
        assert_eq!(second.metadata.generation, first.metadata.generation, "{name}");
        assert_eq!(second.metadata.resource_version, established.metadata.resource_version, "{name}");
    }
}

/// The warnings of a dry run: formats that are not known, and other things that are taken all the same.
async fn warnings(client: &Client, path: &str, object: &Value) -> Vec<String> {
    let (parts, _) = post(client, path, object).await;
    parts.headers.get_all("warning").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

async fn wait_for_established(api: &Api<DynamicObject>, name: &str) -> DynamicObject {
    for _ in 0..100 {
        let crd = api.get(name).await.unwrap();
        let conditions = crd.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if let Some(wrong) =
            conditions.iter().find(|of| of["type"] == "NonStructuralSchema" && of["status"] == "True")
        {
            panic!("{name}: {wrong}");
        }
        if conditions.iter().any(|of| of["type"] == "Established" && of["status"] == "True") {
            return crd;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} was not established in time");
}

async fn right_objects_are_taken(client: &Client) {
    for (title, object) in accepted() {
        let (parts, answer) = post(client, &collection(&object), &object).await;
        assert!(parts.status.is_success(), "{title}: {answer}");
    }
}

async fn wrong_objects_are_refused_as_check_says(client: &Client) {
    let mut differences = Vec::new();
    for case in refused() {
        let (parts, answer) = post(client, &collection(&case.object), &case.object).await;
        if parts.status.is_success() {
            differences.push(format!("{}: taken", case.title));
            continue;
        }
        let status: Status = serde_json::from_value(answer.clone()).unwrap();
        if !status.message.contains(case.says) || !status.message.contains(case.path) {
            differences
                .push(format!("{}: wanted {}: {}\n  got {}", case.title, case.path, case.says, status.message));
        }
        let causes = status.details.map(|details| details.causes).unwrap_or_default();
        // Unknown fields are found while decoding and have no causes; rules that were not judged have no field.
        let theirs: BTreeSet<_> =
            causes.into_iter().map(|cause| cause.field).filter(|field| field != "<nil>").collect();
        let ours = fields(&checked(&case.object));
        if !theirs.is_empty() && theirs != ours {
            differences.push(format!("{}: check names {ours:?}, the API server {theirs:?}", case.title));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

async fn stored_objects_are_listed_with_their_columns(client: &Client) {
    for object in [policy(), network(), remediation(), ledger(), approval()] {
        let path = collection(&object);
        let (parts, answer) = send(client, &path, &object).await;
        assert!(parts.status.is_success(), "{answer}");
        let request = http::Request::get(path).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
        let table: Value = client.request(request.body(Vec::new()).unwrap()).await.unwrap();
        let columns: Vec<_> =
            table["columnDefinitions"].as_array().unwrap().iter().map(|of| &of["name"]).collect();
        let cells = table["rows"][0]["cells"].as_array().unwrap();
        assert_eq!(cells.len(), columns.len());
        assert_eq!(cells[0], object["metadata"]["name"], "{columns:?} {cells:?}");
        assert!(cells[1].is_string(), "{columns:?} {cells:?}");
    }
}

async fn a_journal_entry_never_changes(client: &Client) {
    let object = remediation();
    let path = format!("{}/{}", collection(&object), object["metadata"]["name"].as_str().unwrap());
    let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
    let body = br#"{"spec": {"attempt": 2}}"#.to_vec();
    let error = client.request::<Value>(request.body(body).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("write a new one instead of changing this"), "{error}");
}

/// A dry run, as strict as kubectl's.
async fn post(client: &Client, path: &str, object: &Value) -> (http::response::Parts, Value) {
    send(client, &format!("{path}?dryRun=All&fieldValidation=Strict"), object).await
}

async fn send(client: &Client, path: &str, object: &Value) -> (http::response::Parts, Value) {
    let request = http::Request::post(path).header("content-type", "application/json");
    let body = kube::client::Body::from(serde_json::to_vec(object).unwrap());
    let (parts, body) = client.send(request.body(body).unwrap()).await.unwrap().into_parts();
    let bytes = body.collect_bytes().await.unwrap();
    (parts, serde_json::from_slice(&bytes).unwrap())
}

fn collection(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap();
    let plural = match text("/kind") {
        "Network" => return format!("/apis/{}/networks", text("/apiVersion")),
        "NetworkLedger" => return format!("/apis/{}/networkledgers", text("/apiVersion")),
        "NodeHealthPolicy" => "nodehealthpolicies",
        "RemediationApproval" => "remediationapprovals",
        _ => "noderemediations",
    };
    format!("/apis/{}/namespaces/{}/{plural}", text("/apiVersion"), text("/metadata/namespace"))
}
