//! The real operator at a real API server: objects that it cannot read, and definitions older than itself.

use std::time::{Duration, Instant};

use kube::{
    Api,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
};
use mainstay::signal::Server;
use serde_json::{Value, json};

use crate::{apiserver::ApiServer, online::definitions_are_taken_and_a_second_time_changes_nothing, refusals};

/// Generous: a new lease is not taken for 15 s, and the machine may be busy.
const SOON: Duration = Duration::from_secs(90);

/// Objects by plural, created and changed as anybody would.
struct Cluster<'a>(&'a ApiServer);

impl Cluster<'_> {
    fn path(kind: &str, namespace: &str) -> String {
        match kind {
            "networks" => "/apis/mainstay.dev/v1alpha1/networks".into(),
            "nodehealthpolicies" | "noderemediations" => {
                format!("/apis/mainstay.dev/v1alpha1/namespaces/{namespace}/{kind}")
            }
            _ => format!("/api/v1/namespaces/{namespace}/{kind}"),
        }
    }

    async fn send(&self, method: &str, path: &str, format: &str, body: &Value) -> Value {
        let request = http::Request::builder().method(method).uri(path).header("content-type", format);
        let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
        self.0.client.request::<Value>(request).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    async fn create(&self, kind: &str, object: &Value) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        self.send("POST", &Self::path(kind, namespace), "application/json", object).await;
    }

    async fn merge(&self, path: &str, change: &Value) {
        self.send("PATCH", path, "application/merge-patch+json", change).await;
    }

    /// The condition of an object, as `status reason: message`.
    async fn condition(&self, kind: &str, name: &str, condition: &str) -> String {
        let path = format!("{}/{name}", Self::path(kind, "default"));
        let request = http::Request::get(&path).body(Vec::new()).unwrap();
        let object = self.0.client.request::<Value>(request).await.unwrap();
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|found| found["type"] == condition);
        found.map_or_else(String::new, |found| {
            let part = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}: {}", part("status"), part("reason"), part("message"))
        })
    }

    /// Waits until a condition begins like this, and returns it whole.
    async fn until(&self, kind: &str, name: &str, condition: &str, wanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let found = self.condition(kind, name, condition).await;
            if found.starts_with(wanted) {
                return found;
            }
            let late = || format!("{kind} {name}: {condition} is {found:?} and not {wanted:?}\n{}", self.0.log());
            assert!(begun.elapsed() < SOON, "{}", late());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The definitions, and a namespace for the operator's lease.
    async fn prepare(&self) {
        definitions_are_taken_and_a_second_time_changes_nothing(&self.0.client).await;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mainstay-system"}});
        self.send("POST", "/api/v1/namespaces", "application/json", &namespace).await;
    }

    /// Lets a kind take any spec, as a future version of its definition might.
    async fn loosen(&self, kind: &str) {
        let crd = ApiResource::from_gvk(&GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        ));
        let api: Api<DynamicObject> = Api::all_with(self.0.client.clone(), &crd);
        let name = format!("{kind}.mainstay.dev");
        let mut object = api.get(&name).await.unwrap();
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        *object.data.pointer_mut(spec).unwrap() =
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        api.replace(&name, &kube::api::PostParams::default(), &object).await.unwrap();
    }

    async fn annotate(&self, kind: &str, schema: &str) {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.mainstay.dev");
        self.merge(&path, &json!({"metadata": {"annotations": {"mainstay.dev/schema": schema}}})).await;
    }
}

fn policy(name: &str, change: &Value) -> Value {
    let mut policy = refusals::policy();
    policy["metadata"]["name"] = name.into();
    for (field, value) in change.as_object().unwrap() {
        policy["spec"][field] = value.clone();
    }
    policy
}

// P11: a poison object. P04: what is stored and would be refused today.
#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver"]
async fn what_cannot_be_read_is_invalid_alone() {
    let server = ApiServer::start().await;
    let cluster = Cluster(&server);
    cluster.prepare().await;
    cluster.loosen("nodehealthpolicies").await;
    cluster.loosen("networks").await;
    cluster.create("networks", &refusals::network()).await;
    let mut odd = refusals::network();
    odd["metadata"]["name"] = "odd".into();
    odd["spec"]["chainId"] = json!(["not", "a", "name"]);
    // The definition is loosened by and by.
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.create("networks", &odd).await;
    let good: Vec<_> = (0..10).map(|n| format!("good-{n}")).collect();
    for name in &good[..5] {
        cluster.create("nodehealthpolicies", &policy(name, &json!({}))).await;
    }
    let poison = [
        ("wrong-type", json!({"guard": {"maxConcurrent": "many"}}), "maxConcurrent"),
        ("unknown-value", json!({"mode": "Sometimes"}), "Sometimes"),
        ("unknown-field", json!({"guard": {"quorum": 3}}), "guard.quorum"),
    ];
    for (name, change, _) in &poison {
        cluster.create("nodehealthpolicies", &policy(name, change)).await;
    }

    let _operator = server.operator();
    for (name, _, says) in &poison {
        let invalid = cluster.until("nodehealthpolicies", name, "Invalid", "True").await;
        assert!(invalid.contains(says), "{name}: {invalid}");
        cluster.until("nodehealthpolicies", name, "Ready", "False Invalid").await;
    }
    let invalid = cluster.until("networks", "odd", "Invalid", "True").await;
    assert!(invalid.contains("chainId"), "{invalid}");
    // In the middle of a watch, too.
    cluster.create("nodehealthpolicies", &policy("late", &json!({"role": 7}))).await;
    for name in &good[5..] {
        cluster.create("nodehealthpolicies", &policy(name, &json!({}))).await;
    }
    cluster.until("nodehealthpolicies", "late", "Invalid", "True").await;
    for name in &good {
        cluster.until("nodehealthpolicies", name, "Ready", "True").await;
        assert!(cluster.condition("nodehealthpolicies", name, "Invalid").await.starts_with("False"), "{name}");
    }

    // What is mended is taken up, and what breaks is dropped.
    let at = |name: &str| format!("{}/{name}", Cluster::path("nodehealthpolicies", "default"));
    cluster.merge(&at("unknown-field"), &json!({"spec": {"guard": {"quorum": null}}})).await;
    cluster.merge(&at("good-3"), &json!({"spec": {"mode": "Sometimes"}})).await;
    cluster.until("nodehealthpolicies", "unknown-field", "Ready", "True").await;
    cluster.until("nodehealthpolicies", "good-3", "Invalid", "True").await;
    let versions = |name: &'static str| {
        let path = at(name);
        let client = server.client.clone();
        async move {
            let request = http::Request::get(&path).body(Vec::new()).unwrap();
            client.request::<Value>(request).await.unwrap()["metadata"]["resourceVersion"].clone()
        }
    };
    // Said once, and not again and again.
    let before = versions("wrong-type").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(versions("wrong-type").await, before);
}

// P15: an older schema than the operator's; C07: two versions side by side.
#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver"]
async fn an_operator_that_meets_older_definitions_only_observes() {
    let server = ApiServer::start().await;
    let cluster = Cluster(&server);
    cluster.prepare().await;
    cluster.annotate("nodehealthpolicies", "0").await;
    cluster.create("networks", &refusals::network()).await;
    let rules = json!([{"name": "not-ready", "signal": "ready", "below": 1, "for": "1s"}]);
    cluster.create("nodehealthpolicies", &policy("rpc", &json!({"mode": "Enforce", "rules": rules}))).await;
    let stop = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "mainstay-stop", "namespace": "mainstay-system"}});
    cluster.create("configmaps", &stop).await;
    // Nobody runs it: its status says what a kubelet would.
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "rpc-0", "namespace": "default", "labels": {"app": "gaiad"}},
        "spec": {"nodeName": "none", "containers": [{"name": "gaiad", "image": "gaiad"}]}});
    cluster.create("pods", &pod).await;
    let status = json!({"status": {"phase": "Running", "podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}],
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "gaiad", "image": "gaiad", "imageID": "", "ready": false, "restartCount": 0,
            "started": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
    cluster.merge("/api/v1/namespaces/default/pods/rpc-0/status", &status).await;

    let _operator = server.operator();
    let guard = |wanted: bool| {
        let client = server.client.clone();
        async move {
            let begun = Instant::now();
            loop {
                let path = format!("{}/rpc", Cluster::path("nodehealthpolicies", "default"));
                let request = http::Request::get(&path).body(Vec::new()).unwrap();
                let target = client.request::<Value>(request).await.unwrap()["status"]["targets"][0].clone();
                if target["verdict"] == "Unhealthy" && (target["guard"] == "OldSchema") == wanted {
                    return target;
                }
                assert!(begun.elapsed() < 2 * SOON, "{target}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    };
    let held = guard(true).await;
    assert!(held["guardMessage"].as_str().unwrap().contains("upgrade the chart"), "{held}");
    assert!(server.log().contains("it only observes"));
    cluster.annotate("nodehealthpolicies", &mainstay::api::SCHEMA.to_string()).await;
    guard(false).await;
}

/// One remediation that this build cannot read keeps neither the others nor the uninstall.
#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver"]
async fn an_uninstall_lets_go_of_what_it_cannot_read() {
    let server = ApiServer::start().await;
    let cluster = Cluster(&server);
    cluster.prepare().await;
    cluster.loosen("noderemediations").await;
    // The definition is loosened by and by.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut names = Vec::new();
    for (name, broken) in [("odd", true), ("plain", false)] {
        let mut object = refusals::remediation();
        object["metadata"]["name"] = name.into();
        object["metadata"]["finalizers"] = json!(["mainstay.dev/remediation"]);
        if broken {
            object["spec"]["attempt"] = json!("first");
        }
        cluster.create("noderemediations", &object).await;
        names.push(name);
    }
    let ended = mainstay::cli::retire::retire(&server.client, "default/mainstay", &[], Server(0)).await.unwrap();
    assert_eq!(ended, 2);
    for name in names {
        let path = format!("{}/{name}", Cluster::path("noderemediations", "default"));
        let request = http::Request::get(&path).body(Vec::new()).unwrap();
        let object = server.client.request::<Value>(request).await.unwrap();
        assert!(object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty), "{object}");
    }
}
