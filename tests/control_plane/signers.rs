//! Which workloads may say that they sign, and which identities there may be, at a real API server.

use serde_json::{Value, json};

use crate::stage::{KEY, MERGE, NAMESPACE, Stage, collection, create, older, send, set, try_to};

/// The example's member under another name, with one thing changed.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = set("a");
    object["metadata"]["name"] = json!("val-c");
    change(&mut object);
    object
}

fn gate(set: &mut Value) -> &mut Value {
    let first = set["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap();
    first.iter_mut().find(|one| one["name"] == "gate").unwrap()
}

/// The gate with other arguments.
fn args(find: &'static str, replace: &'static [&'static str]) -> Value {
    changed(|set| {
        let args = gate(set)["args"].as_array_mut().unwrap();
        let at = args.iter().position(|word| word.as_str().unwrap().starts_with(find)).unwrap();
        args.splice(at..=at, replace.iter().map(|word| json!(word)));
    })
}

/// The state on a volume of this kind.
fn state_on(volume: Value) -> Value {
    changed(|set| {
        let claims = set["spec"]["volumeClaimTemplates"].as_array_mut().unwrap();
        claims.retain(|claim| claim["metadata"]["name"] != "state");
        let mut volume = volume;
        volume["name"] = json!("state");
        set["spec"]["template"]["spec"]["volumes"].as_array_mut().unwrap().push(volume);
    })
}

fn node(field: &'static str, value: Value) -> Value {
    changed(|set| set["spec"]["template"]["spec"]["containers"][0][field] = value)
}

/// The example's pod template in another workload.
fn another(kind: &str) -> Value {
    let set = set("a");
    let mut template = set["spec"]["template"].clone();
    for claim in ["state", "home"] {
        let volume = json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
        template["spec"]["volumes"].as_array_mut().unwrap().push(volume);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "val", "namespace": NAMESPACE},
        "spec": {"selector": set["spec"]["selector"], "template": template}})
}

fn pod(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = Stage::pod("a", "0d2d9ab5-9b4e-4a5f-8a57-4a1f7f1f7f10");
    change(&mut pod);
    pod
}

const ONE: &str = "write replicas: 1, and one StatefulSet for each member";
const ONE_GATE: &str = "a signer has one gate";
const SURVIVES: &str = "the folder of the gate's --state must survive the pod";
const HALT: &str = "write double_sign_check_height = 0";

#[rustfmt::skip]
fn wrong() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("a Deployment", another("Deployment"), "a Deployment may run two pods of one member at once"),
        ("a DaemonSet", another("DaemonSet"), "a DaemonSet may run two pods of one member at once"),
        ("two replicas", changed(|set| set["spec"]["replicas"] = json!(2)), ONE),
        ("no gate", changed(|set| set["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap().retain(|one| one["name"] != "gate")), ONE_GATE),
        ("a gate that ends before its node begins", changed(|set| drop(gate(set).as_object_mut().unwrap().remove("restartPolicy"))), ONE_GATE),
        ("two gates", changed(|set| {
            let mut twin = gate(set).clone();
            twin["name"] = json!("twin");
            set["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap().push(twin);
        }), ONE_GATE),
        ("state in an emptyDir", state_on(json!({"emptyDir": {}})), SURVIVES),
        ("state in memory", state_on(json!({"emptyDir": {"medium": "Memory"}})), SURVIVES),
        ("state that goes with the pod", state_on(json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}})), SURVIVES),
        ("state in the container", changed(|set| gate(set)["volumeMounts"].as_array_mut().unwrap().retain(|mount| mount["name"] != "state")), SURVIVES),
        ("state beside the volume", args("--state=", &["--state", "/stateful"]), SURVIVES),
        ("state on the socket's volume", args("--state=", &["--state", "/gate/state"]), SURVIVES),
        ("state nowhere", args("--state=", &["--state"]), SURVIVES),
        ("state that may vanish", args("--state=", &["--state=/state", "--state-may-vanish"]), "--state-may-vanish is for tests"),
        ("no time to stop", changed(|set| set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(29)), "write terminationGracePeriodSeconds: 30 or more"),
        ("a look back by an option", node("args", json!(["gaiad", "start", "--consensus.double_sign_check_height=10"])), HALT),
        ("a look back by two words", node("args", json!(["gaiad", "start", "--consensus.double_sign_check_height", "10"])), HALT),
        ("a look back by a script", node("args", json!(["echo 'double_sign_check_height = 10' >>/home/node/config/config.toml"])), HALT),
        ("a look back by the environment", node("env", json!([{"name": "GAIAD_CONSENSUS_DOUBLE_SIGN_CHECK_HEIGHT", "value": "10"}])), HALT),
        ("a pod by hand", pod(|pod| drop(pod["metadata"].as_object_mut().unwrap().remove("ownerReferences"))), "a pod that signs belongs to a StatefulSet"),
        ("a pod of a ReplicaSet", pod(|pod| pod["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet")), "a pod that signs belongs to a StatefulSet"),
        ("the second pod of a set", pod(|pod| pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = json!("1")), ONE),
    ]
}

fn right() -> Vec<(&'static str, Value)> {
    let unlabelled = |mut object: Value| {
        object["spec"]["template"]["metadata"]["labels"].as_object_mut().unwrap().remove("mainstay.dev/signer");
        object
    };
    vec![
        ("the example", changed(|_| ())),
        ("its pod", pod(|_| ())),
        ("nobody", changed(|set| set["spec"]["replicas"] = json!(0))),
        ("state in two words", args("--state=", &["--state", "/state"])),
        ("state below the volume", args("--state=", &["--state=/state/a"])),
        ("state on a claim", state_on(json!({"persistentVolumeClaim": {"claimName": "state"}}))),
        ("state on the machine", state_on(json!({"hostPath": {"path": "/var/lib/state"}}))),
        (
            "the default time to stop",
            changed(|set| {
                let pod = set["spec"]["template"]["spec"].as_object_mut().unwrap();
                drop(pod.remove("terminationGracePeriodSeconds"));
            }),
        ),
        (
            "no look back by the environment",
            node("env", json!([{"name": "DOUBLE_SIGN_CHECK_HEIGHT", "value": "0"}])),
        ),
        ("a Deployment of something else", unlabelled(another("Deployment"))),
        ("a set of something else", unlabelled(changed(|set| set["spec"]["replicas"] = json!(9)))),
    ]
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn what_says_that_it_signs_has_the_shape_of_a_member() {
    let stage = Stage::new().await;
    let admin = &stage.server.client;
    for (title, object) in right() {
        try_to(admin, &object).await.unwrap_or_else(|error| panic!("{title}: {error}"));
    }
    let mut differences = Vec::new();
    for (title, object, words) in wrong() {
        match try_to(admin, &object).await {
            Err(error) if error.contains(words) => {}
            other => differences.push(format!("{title}: wanted {words}, got {other:?}")),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    // A change is held to the same. What is older than the policies can be annotated, mended and removed.
    let member = format!("{}/val-a", collection(&set("a")));
    let error = send(admin, "PATCH", &member, MERGE, &json!({"spec": {"replicas": 2}})).await.unwrap_err();
    assert!(error.contains(ONE), "{error}");
    let old = format!("{}/older", collection(&older()));
    let note = json!({"metadata": {"annotations": {"note": "x"}, "finalizers": ["example.org/x"]}});
    send(admin, "PATCH", &old, MERGE, &note).await.expect("no word about its pods");
    send(admin, "PATCH", &old, MERGE, &json!({"spec": {"replicas": 0}})).await.expect("a stop");
    let shorter = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 4}}}});
    let error = send(admin, "PATCH", &old, MERGE, &shorter).await.unwrap_err();
    assert!(error.contains("terminationGracePeriodSeconds"), "{error}");
    send(admin, "DELETE", &old, "application/json", &json!({})).await.expect("an end");
    send(admin, "PATCH", &old, MERGE, &json!({"metadata": {"finalizers": null}})).await.expect("the end of it");
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn an_identity_is_named_after_its_key() {
    let stage = Stage::new().await;
    let admin = &stage.server.client;
    let identity = |name: &str| {
        json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity", "metadata": {"name": name},
            "spec": {"network": "demo", "namespace": NAMESPACE, "group": "val"}})
    };
    let key = KEY.rsplit_once('.').unwrap().1;
    for name in [format!("osmosis-1.{key}"), format!("a.b.c.{key}")] {
        create(admin, &identity(&name)).await;
    }
    let (short, letters) = (&key[1..], "g".repeat(64));
    for name in ["hub", key, &format!("hub.{short}"), &format!("hub.{letters}"), &format!("{key}.hub")] {
        let error = try_to(admin, &identity(name)).await.expect_err(name);
        assert!(error.contains("the name of a SigningIdentity is CHAIN_ID.PUBLIC_KEY"), "{name}: {error}");
    }
    // What administrators write of one that is there is theirs.
    let path = format!("{}/osmosis-1.{key}", collection(&identity("x")));
    send(admin, "PATCH", &path, MERGE, &json!({"spec": {"window": 4}})).await.expect("a smaller window");
    send(admin, "DELETE", &path, "application/json", &json!({})).await.expect("an end");
}
