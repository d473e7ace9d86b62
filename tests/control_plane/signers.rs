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

fn env(entry: &Value) -> Value {
    node("env", json!([entry]))
}

/// What a shell runs.
fn line(line: &str) -> Value {
    node("args", json!([line]))
}

/// One container more.
fn beside(container: Value) -> Value {
    changed(|set| {
        let mut container = container;
        (container["name"], container["image"]) = (json!("twin"), json!("mainstay"));
        set["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(container);
    })
}

/// The node mounts one volume more.
fn mounts(volume: &'static str, at: &'static str) -> Value {
    changed(|set| {
        let mounts = set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap();
        mounts.push(json!({"name": volume, "mountPath": at}));
    })
}

/// The gate's state is mounted here.
fn state_at(path: &'static str) -> Value {
    changed(|set| {
        let mounts = gate(set)["volumeMounts"].as_array_mut().unwrap();
        mounts.iter_mut().find(|mount| mount["name"] == "state").unwrap()["mountPath"] = json!(path);
    })
}

/// The pod has so many seconds for its end, or Kubernetes' own.
fn stops_within(seconds: Option<u64>) -> Value {
    changed(|set| {
        let pod = set["spec"]["template"]["spec"].as_object_mut().unwrap();
        pod.remove("terminationGracePeriodSeconds");
        pod.extend(seconds.map(|seconds| ("terminationGracePeriodSeconds".to_owned(), json!(seconds))));
    })
}

/// The volume of this name may be mounted so.
fn claimed(volume: &'static str, modes: &'static [&'static str]) -> Value {
    changed(|set| {
        let claims = set["spec"]["volumeClaimTemplates"].as_array_mut().unwrap();
        let claim = claims.iter_mut().find(|claim| claim["metadata"]["name"] == volume).unwrap();
        claim["spec"]["accessModes"] = json!(modes);
    })
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
const TWO_MINUTES: &str = "write terminationGracePeriodSeconds: 120 or more";
const ONE_MACHINE: &str = "write accessModes: [ReadWriteOncePod]";
const RETAIN: &str = "or write Retain";
const ALONE: &str = "let the gate alone mount it";
const HEIGHT: &str = "GAIAD_CONSENSUS_DOUBLE_SIGN_CHECK_HEIGHT";

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
        ("no time to stop", stops_within(Some(119)), TWO_MINUTES),
        ("the default time to stop", stops_within(None), TWO_MINUTES),
        ("a state that many machines may mount", claimed("state", &["ReadWriteMany"]), ONE_MACHINE),
        ("a state that many machines may mount, too", claimed("state", &["ReadWriteOnce", "ReadWriteMany"]), ONE_MACHINE),
        ("a state that nobody may write", claimed("state", &["ReadOnlyMany"]), ONE_MACHINE),
        ("a look back by an option", node("args", json!(["gaiad", "start", "--consensus.double_sign_check_height=10"])), HALT),
        ("a look back by two words", node("args", json!(["gaiad", "start", "--consensus.double_sign_check_height", "10"])), HALT),
        ("a look back by a script", node("args", json!(["echo 'double_sign_check_height = 10' >>/home/node/config/config.toml"])), HALT),
        ("a look back by the environment", node("env", json!([{"name": "GAIAD_CONSENSUS_DOUBLE_SIGN_CHECK_HEIGHT", "value": "10"}])), HALT),
        ("a look back by hexadecimal digits", env(&json!({"name": HEIGHT, "value": "0x5"})), HALT),
        ("a look back after a blank", env(&json!({"name": HEIGHT, "value": " 5"})), HALT),
        ("a look back with a sign", env(&json!({"name": HEIGHT, "value": "+5"})), HALT),
        ("a look back of nothing", env(&json!({"name": HEIGHT})), HALT),
        ("a look back from elsewhere", env(&json!({"name": HEIGHT, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}})), HALT),
        ("a look back in another variable", env(&json!({"name": "OPTIONS", "value": "--x --consensus.double_sign_check_height=5"})), HALT),
        ("a look back in single quotes", line("sed -i \"s/^double_sign_check_height.*/double_sign_check_height = '10'/\" x; exec n"), HALT),
        ("a look back in single quotes by an option", line("exec n --consensus.double_sign_check_height '10'"), HALT),
        ("a look back in escaped quotes", line("exec n --consensus.double_sign_check_height=\\\"10\\\""), HALT),
        ("a look back after tabs", line("printf 'double_sign_check_height\t=\t10' >> config.toml"), HALT),
        ("a look back of a variable", line("exec n --consensus.double_sign_check_height=$HEIGHT"), HALT),
        ("a look back of noughts and more", line("exec n --consensus.double_sign_check_height=0$HEIGHT"), HALT),
        ("a look back by capitals", line("export GAIAD_CONSENSUS_DOUBLE_SIGN_CHECK_HEIGHT=5; exec n"), HALT),
        ("a state that climbs out", args("--state=", &["--state=/state/../gate/state"]), SURVIVES),
        ("a state that the kubelet fills in", args("--state=", &["--state=/state/$(WHERE)"]), SURVIVES),
        ("a set whose first pod is the second", changed(|set| set["spec"]["ordinals"] = json!({"start": 1})), "leave ordinals out"),
        ("a set that deletes its state when it is stopped", changed(|set| set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Delete"})), RETAIN),
        ("a set that deletes its state when it is deleted", changed(|set| set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"})), RETAIN),
        ("a second gate in a shell", beside(json!({"command": ["sh", "-c", "exec mainstay gate --identity x"]})), ONE_GATE),
        ("a second gate beside the node", beside(json!({"args": ["gate", "--identity", "x"]})), ONE_GATE),
        ("the key's Secret in the node", mounts("secret", "/home/node/config/real"), ALONE),
        ("the gate's copy of the key in the node", mounts("key", "/key"), ALONE),
        ("the key's Secret in the environment", env(&json!({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "val-key", "key": "k"}}})), ALONE),
        ("the key's Secret by another volume", changed(|set| {
            let pod = &mut set["spec"]["template"]["spec"];
            pod["volumes"].as_array_mut().unwrap().push(json!({"name": "again", "secret": {"secretName": "val-key"}}));
            pod["containers"][0]["volumeMounts"].as_array_mut().unwrap().push(json!({"name": "again", "mountPath": "/again"}));
        }), ALONE),
        ("a pod of another StatefulSet kind", pod(|pod| {
            pod["metadata"]["ownerReferences"][0]["apiVersion"] = json!("example.org/v1");
            pod["metadata"]["labels"].as_object_mut().unwrap().remove("apps.kubernetes.io/pod-index");
        }), "a pod that signs belongs to a StatefulSet"),
        ("a pod by hand", pod(|pod| drop(pod["metadata"].as_object_mut().unwrap().remove("ownerReferences"))), "a pod that signs belongs to a StatefulSet"),
        ("a pod of a ReplicaSet", pod(|pod| pod["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet")), "a pod that signs belongs to a StatefulSet"),
        ("the second pod of a set", pod(|pod| pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = json!("1")), ONE),
    ]
}

#[rustfmt::skip]
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
        ("more time to stop", stops_within(Some(600))),
        ("state that one machine may mount", claimed("state", &["ReadWriteOnce"])),
        ("a home that many machines may mount", claimed("home", &["ReadWriteMany"])),
        (
            "no look back by the environment",
            node("env", json!([{"name": "DOUBLE_SIGN_CHECK_HEIGHT", "value": "0"}])),
        ),
        ("a mount with a slash at its end", state_at("/state/")),
        ("a state with a slash at its end", args("--state=", &["--state=/state/"])),
        ("a set that says that it keeps its state", changed(|set| {
            set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Retain", "whenDeleted": "Retain"});
        })),
        ("no look back, and a word about it", line("# double_sign_check_height must be 0; 1 would halt\nexec n --consensus.double_sign_check_height 0 --p2p.laddr tcp://0.0.0.0:1")),
        ("no look back by an option", line("exec n --consensus.double_sign_check_height=0 --x 1")),
        ("no look back in quotes", line("exec n --consensus.double_sign_check_height \"0\"; y")),
        ("no look back by sed", line("sed -i 's/^double_sign_check_height = .*/double_sign_check_height = 0/' /home/node/config/config.toml; exec n")),
        ("no look back by a script", line("printf 'double_sign_check_height = 0\\n' >>/home/node/config/config.toml")),
        ("a Secret of the node's own", changed(|set| {
            let pod = &mut set["spec"]["template"]["spec"];
            pod["volumes"].as_array_mut().unwrap().push(json!({"name": "own", "secret": {"secretName": "node-key"}}));
            pod["containers"][0]["volumeMounts"].as_array_mut().unwrap().push(json!({"name": "own", "mountPath": "/own"}));
        })),
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
    assert!(error.contains(TWO_MINUTES), "{error}");
    let error = send(admin, "PATCH", &old, MERGE, &json!({"spec": {"replicas": 1}})).await.unwrap_err();
    assert!(error.contains(TWO_MINUTES), "{error}");
    let mended = json!({"spec": {"replicas": 1, "template": {"spec": {"terminationGracePeriodSeconds": 120}}}});
    send(admin, "PATCH", &old, MERGE, &mended).await.expect("what the rules want");
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
    // demo_1, which is no name, and 0x, which would be taken for hexadecimal digits.
    let odd = [format!("0x64656d6f5f31.{key}"), format!("0x3078.{key}")];
    for name in [format!("osmosis-1.{key}"), format!("a.b.c.{key}")].iter().chain(&odd) {
        create(admin, &identity(name)).await;
    }
    let (short, letters) = (&key[1..], "g".repeat(64));
    for name in ["hub", key, &format!("hub.{short}"), &format!("hub.{letters}"), &format!("{key}.hub")] {
        let error = try_to(admin, &identity(name)).await.expect_err(name);
        assert!(error.contains("the name of a SigningIdentity is CHAIN_ID.PUBLIC_KEY"), "{name}: {error}");
    }
    // demo-1 and a.b-1 have names already.
    for name in [format!("0x64656d6f2d31.{key}"), format!("0x612e622d31.{key}")] {
        let error = try_to(admin, &identity(&name)).await.expect_err(&name);
        assert!(error.contains("a key has one name"), "{name}: {error}");
    }
    // What administrators write of one that is there is theirs.
    let path = format!("{}/osmosis-1.{key}", collection(&identity("x")));
    send(admin, "PATCH", &path, MERGE, &json!({"spec": {"window": 4}})).await.expect("a smaller window");
    send(admin, "DELETE", &path, "application/json", &json!({})).await.expect("an end");
}
