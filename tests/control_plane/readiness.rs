//! Re-routing by a readiness gate at a real API server: what one patch changes, what admission control lets Mainstay's own
//! account change, and how soon a new pod is let in.

use std::time::{Duration, Instant};

use kube::Client;
use mainstay::{
    effect::{self, RotationOrder},
    plan::Switch,
    signal::Server,
};
use serde_json::{Value, json};

use crate::{
    apiserver::ApiServer, online::definitions_are_taken_and_a_second_time_changes_nothing, render::manifests,
};

const GATE: &str = "mainstay.dev/in-rotation";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// A new pod is let in within this time by an operator that leads.
const QUICKLY: Duration = Duration::from_secs(2);

async fn send(client: &Client, method: &str, path: &str, format: &str, body: &Value) -> Result<Value, String> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", format);
    let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
    client.request::<Value>(request).await.map_err(|error| error.to_string())
}

async fn create(client: &Client, path: &str, object: &Value) {
    send(client, "POST", path, "application/json", object).await.unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/default/pods/{name}")
}

async fn pod(client: &Client, name: &str) -> Value {
    client.request(http::Request::get(path(name)).body(Vec::new()).unwrap()).await.unwrap()
}

/// A pod with the gate. Nobody runs it: its status says what a kubelet would.
async fn gated(client: &Client, name: &str, labels: &Value) {
    let object = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels, "annotations": {"of": "its owner"}},
        "spec": {"nodeName": "none", "readinessGates": [{"conditionType": GATE}],
            "containers": [{"name": "gaiad", "image": "gaiad"}]}});
    create(client, "/api/v1/namespaces/default/pods", &object).await;
    let status = json!({"status": {"phase": "Running", "podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}],
        "conditions": [{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "gaiad", "image": "gaiad", "imageID": "", "ready": true, "restartCount": 0,
            "started": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
    send(client, "PATCH", &format!("{}/status", path(name)), MERGE, &status).await.unwrap();
}

fn condition(pod: &Value) -> Value {
    let all = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|condition| condition["type"] == GATE).unwrap_or_default()
}

/// The status of a pod without our condition.
fn rest(pod: &Value) -> Value {
    let mut status = pod["status"].clone();
    status["conditions"].as_array_mut().unwrap().retain(|condition| condition["type"] != GATE);
    status
}

fn order(pod: &Value, serves: bool) -> RotationOrder {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
    RotationOrder {
        namespace: "default".into(),
        pod: text("name"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        switch: Switch::Gate,
        serves,
        policy: "p1".into(),
        now: Server(1_800_000_000_000),
    }
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn one_condition_of_a_pod_is_written_and_nothing_else_may_be() {
    let server = ApiServer::start().await;
    let (admin, own) = (&server.client, server.own_account());
    for object in manifests(&json!({"rotation": {"readinessGate": true}})) {
        let kind = object["kind"].as_str().unwrap();
        let is_rotation = object["metadata"]["name"].as_str().unwrap().ends_with("-rotation");
        if kind.starts_with("ValidatingAdmissionPolicy") && is_rotation {
            let plural = if kind.ends_with("Binding") { "policybindings" } else { "policies" };
            let path = format!("/apis/admissionregistration.k8s.io/v1/validatingadmission{plural}");
            create(admin, &path, &object).await;
        }
    }
    gated(admin, "full-0", &json!({"app": "full"})).await;
    let status_of = format!("{}/status", path("full-0"));
    // The policy takes effect by and by.
    let address = json!({"status": {"podIP": "10.0.0.66", "podIPs": [{"ip": "10.0.0.66"}]}});
    let begun = Instant::now();
    while send(&own, "PATCH", &format!("{status_of}?dryRun=All"), MERGE, &address).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the policy never took effect");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let before = pod(admin, "full-0").await;
    assert_eq!(effect::rotate(&own, &order(&before, false)).await.to_string(), "done");
    let out = pod(admin, "full-0").await;
    assert_eq!(
        condition(&out),
        json!({"type": GATE, "status": "False", "reason": "OutOfRotation", "lastProbeTime": null,
            "message": "turned by policy p1 at 1800000000000", "lastTransitionTime": "2027-01-15T08:00:00Z"})
    );
    assert_eq!(rest(&out), rest(&before), "what the kubelet says stays");
    assert_eq!((&out["spec"], &out["metadata"]["labels"]), (&before["spec"], &before["metadata"]["labels"]));

    // What was decided about another version, or about another pod, is not done.
    assert_eq!(effect::rotate(&own, &order(&before, true)).await.label(), "moved");
    let other = RotationOrder { uid: "0d2d9ab5-9b4e-4a5f-8a57-4a1f7f1f7f10".into(), ..order(&out, true) };
    assert_eq!(effect::rotate(&own, &other).await.label(), "refused");
    assert_eq!(pod(admin, "full-0").await, out);

    let ours = |status: &str| json!({"type": GATE, "status": status});
    let containers = json!({"type": "ContainersReady", "status": "True"});
    for (what, format, change) in [
        ("an address", MERGE, address),
        ("a field that goes", MERGE, json!({"status": {"phase": null}})),
        ("a containers' status", MERGE, json!({"status": {"containerStatuses": []}})),
        ("another condition", STRATEGIC, json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})),
        (
            "a new condition",
            STRATEGIC,
            json!({"status": {"conditions": [{"type": "example.org/x", "status": "True"}]}}),
        ),
        ("a condition that goes", MERGE, json!({"status": {"conditions": [containers, ours("True")]}})),
        ("both", STRATEGIC, json!({"status": {"phase": "Failed", "conditions": [ours("True")]}})),
        (
            "a label",
            STRATEGIC,
            json!({"metadata": {"labels": {"app": "x"}}, "status": {"conditions": [ours("True")]}}),
        ),
        ("even that label", MERGE, json!({"metadata": {"labels": {GATE: "false"}}})),
        ("an annotation", MERGE, json!({"metadata": {"annotations": {"of": "us"}}})),
        ("a finalizer", MERGE, json!({"metadata": {"finalizers": ["example.org/x"]}})),
    ] {
        let error = send(&own, "PATCH", &status_of, format, &change).await.expect_err(what);
        assert!(error.contains("Mainstay changes nothing of a pod"), "{what}: {error}");
    }
    assert_eq!(pod(admin, "full-0").await, out);

    assert_eq!(effect::bring_all_back(&own, &["default".into()], Server(7)).await.unwrap(), 1);
    let back = pod(admin, "full-0").await;
    assert_eq!((&condition(&back)["status"], &condition(&back)["reason"]), (&json!("True"), &json!("InRotation")));
    assert_eq!(rest(&back), rest(&before));
    // The label still goes its own way, and others are not held to anything.
    let label = RotationOrder { switch: Switch::Label, ..order(&back, false) };
    assert_eq!(effect::rotate(&own, &label).await.to_string(), "done");
    let failed = json!({"status": {"phase": "Failed"}});
    send(admin, "PATCH", &status_of, MERGE, &failed).await.expect("the kubelet's own business");
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver"]
async fn a_new_pod_is_let_in_at_once_and_whoever_was_taken_out_is_not() {
    let server = ApiServer::start().await;
    let client = &server.client;
    definitions_are_taken_and_a_second_time_changes_nothing(client).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mainstay-system"}});
    create(client, "/api/v1/namespaces", &namespace).await;
    gated(client, "early", &json!({})).await;
    gated(client, "ignored", &json!({"mainstay.dev/ignore": "true"})).await;
    gated(client, "theirs", &json!({})).await;
    let shut = json!({"status": {"conditions": [{"type": GATE, "status": "False", "reason": "Maintenance"}]}});
    send(client, "PATCH", &format!("{}/status", path("theirs")), STRATEGIC, &shut).await.unwrap();

    // No policy, no network, and no emergency stop that could be read: none of them is asked.
    let _operator = server.operator();
    let open = async |name: &str| condition(&pod(client, name).await)["status"] == "True";
    let begun = Instant::now();
    while !open("early").await {
        assert!(begun.elapsed() < Duration::from_secs(90), "never opened\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let begun = Instant::now();
    gated(client, "late", &json!({})).await;
    while !open("late").await {
        assert!(begun.elapsed() < QUICKLY, "opened too late\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("a new pod was let in after {} ms", begun.elapsed().as_millis());

    // Whoever takes the condition away takes the decision away with it.
    let late = pod(client, "late").await;
    let without = json!({"status": {"conditions": rest(&late)["conditions"]}});
    send(client, "PATCH", &format!("{}/status", path("late")), MERGE, &without).await.unwrap();
    let begun = Instant::now();
    while !open("late").await {
        assert!(begun.elapsed() < QUICKLY, "not opened again\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(condition(&pod(client, "ignored").await), Value::Null);
    assert_eq!(condition(&pod(client, "theirs").await)["reason"], "Maintenance");
}
