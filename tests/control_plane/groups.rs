//! Who may write which groups, at a real API server.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{
    group::GROUP,
    render::documents,
    stage::{MERGE, NAMESPACE, Stage, create, example, send, try_to},
};

const FORBIDDEN: &str = "may not order failovers in namespace validator";

/// An account that may write groups, and one that may also order failovers.
async fn writers(stage: &Stage) -> [kube::Client; 2] {
    let admin = &stage.server.client;
    let rbac = "rbac.authorization.k8s.io";
    for (name, verbs) in
        [("dev", json!(["create", "get", "patch"])), ("lead", json!(["create", "get", "patch", "failover"]))]
    {
        for object in [
            json!({"apiVersion": "v1", "kind": "ServiceAccount"}),
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role",
                "rules": [{"apiGroups": ["mainstay.dev"], "resources": ["failovergroups"], "verbs": verbs}]}),
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]}),
        ] {
            let mut object = object;
            object["metadata"] = json!({"name": name, "namespace": NAMESPACE});
            create(admin, &object).await;
        }
    }
    [stage.account("dev", None).await, stage.account("lead", None).await]
}

fn group() -> Value {
    let mut group = example().into_iter().find(|object| object["kind"] == "FailoverGroup").unwrap();
    group["metadata"]["name"] = json!("another");
    group
}

/// Each of these says who signs, or that somebody does without being asked for.
fn moves() -> [(&'static str, Value); 5] {
    let members = |members: Value| json!({"members": members});
    [
        ("the holder is left out", members(json!([{"name": "b", "statefulSet": "val-b"}]))),
        (
            "another set under its name",
            members(json!([{"name": "a", "statefulSet": "val-x"}, {"name": "b", "statefulSet": "val-b"}])),
        ),
        (
            "another order of preference",
            members(json!([{"name": "b", "statefulSet": "val-b"}, {"name": "a", "statefulSet": "val-a"}])),
        ),
        ("another key", json!({"identity": format!("demo-1.{}", "ab".repeat(32))})),
        ("nobody is asked", json!({"automatic": true})),
    ]
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn who_may_not_order_failovers_moves_no_place_by_the_group() {
    let stage = Stage::new().await;
    let [dev, lead] = writers(&stage).await;
    let dry = format!("{GROUP}?dryRun=All");
    let change = async |client: &kube::Client, spec: &Value| {
        send(client, "PATCH", &dry, MERGE, &json!({"spec": spec})).await
    };
    let [.., (_, automatic)] = moves();
    let mut tries = 300;
    while !change(&dev, &automatic).await.is_err_and(|error| error.contains(FORBIDDEN)) {
        tries -= 1;
        assert!(tries > 0, "not in force");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (title, spec) in moves() {
        let error = change(&dev, &spec).await.expect_err(title);
        assert!(
            error.contains(FORBIDDEN) && error.contains("the verb failover on failovergroups"),
            "{title}: {error}"
        );
        change(&lead, &spec).await.unwrap_or_else(|error| panic!("{title}: {error}"));
    }
    // A group that is deleted and written anew says all of it anew.
    let error = try_to(&dev, &group()).await.unwrap_err();
    assert!(error.contains(FORBIDDEN), "{error}");
    try_to(&lead, &group()).await.unwrap();

    // What moves nothing is whoever's who may write the group; and what takes the machine's hands off it.
    change(&dev, &json!({"notify": ["night"], "standby": {"maxLag": 5}})).await.unwrap();
    send(&dev, "PATCH", GROUP, MERGE, &json!({"metadata": {"annotations": {"note": "x"}}})).await.unwrap();
    send(&lead, "PATCH", GROUP, MERGE, &json!({"spec": automatic})).await.unwrap();
    change(&dev, &json!({"automatic": true, "notify": []})).await.expect("it was so before");
    change(&dev, &json!({"automatic": false})).await.expect("a person decides again");
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn nobody_goes_on_by_itself_for_a_single_member() {
    let stage = Stage::new().await;
    let admin = &stage.server.client;
    let mut alone = group();
    alone["spec"]["members"].as_array_mut().unwrap().truncate(1);
    try_to(admin, &alone).await.expect("a person may want it");
    alone["spec"]["automatic"] = json!(true);
    let error = try_to(admin, &alone).await.unwrap_err();
    assert!(
        error.contains("there is nobody to go on for a single member: name another one in members"),
        "{error}"
    );
    // Every way has a proof that may come by itself, so with two members each may be automatic.
    for way in ["gate", "launcher", "keymanager"] {
        let mut two = group();
        (two["spec"]["automatic"], two["spec"]["handover"]) = (json!(true), json!({way: {}}));
        try_to(admin, &two).await.unwrap_or_else(|error| panic!("{way}: {error}"));
    }
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn what_the_documentation_writes_is_taken() {
    let stage = Stage::new().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failover");
    let mut taken = 0;
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let blocks = text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
        let whole = |object: &Value| object["apiVersion"].is_string() && object["metadata"]["name"].is_string();
        for mut object in blocks.flat_map(documents).filter(whole) {
            if object["metadata"]["namespace"].is_string() {
                object["metadata"]["namespace"] = json!(NAMESPACE);
            }
            try_to(&stage.server.client, &object)
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            taken += 1;
        }
    }
    assert!(taken >= 4, "{taken}");
}
