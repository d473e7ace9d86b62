//! What the API server lets a launcher be and write, and when it lets its pod go.

use std::sync::Arc;

use mainstay::{
    effect::{
        Outcome,
        remains::{read_remains, unlatch},
    },
    failover::{
        Activation, Boot, Epoch, Event, HandOver, Height, Held, Pod, Record, Timing,
        gate::{Launcher, Me},
        latch::LATCH,
    },
    gate::registry::{Identity, Registry, Trouble},
};
use serde_json::{Value, json};

use crate::{
    refusals::merge,
    render::manifests,
    stage::{KEY, MERGE, NAMESPACE, Stage, create, example, get, send, set, try_to},
};

const HAND_OVER: HandOver = HandOver::Launcher(Held::Command, Timing { hold: 30_000, drift: 10, margin: 5_000 });

/// The example's member with a launcher in the place of its gate, and one thing changed.
fn launcher(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = set("a");
    object["metadata"]["name"] = json!("val-c");
    let template = &mut object["spec"]["template"];
    template["metadata"]["finalizers"] = json!([LATCH]);
    template["spec"]["initContainers"].as_array_mut().unwrap().retain(|one| one["name"] != "gate");
    template["spec"]["containers"][0]["command"] =
        json!(["mainstay", "gate", "--identity", KEY, "--member", "c", "--grace", "20", "--"]);
    template["spec"]["containers"][0]["args"] = json!(["signer", "run"]);
    template["spec"]["terminationGracePeriodSeconds"] = json!(60);
    change(&mut object);
    object
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_launcher_has_its_shape_and_writes_what_launchers_write() {
    let stage = Stage::new().await;
    a_group_says_how_long_it_holds(&stage).await;
    a_set_has_the_shape_of_a_launcher(&stage).await;
    a_gate_of_a_client_has_its_shape(&stage).await;
    a_gate_of_a_client_is_seen_in_every_form(&stage).await;
    a_launcher_claims_once_and_seals(&stage).await;
    a_pod_goes_when_it_is_deleted_and_let_go(&stage).await;
}

async fn a_group_says_how_long_it_holds(stage: &Stage) {
    let admin = &stage.server.client;
    let try_with = async |handover: Value| {
        let mut group = example().into_iter().find(|object| object["kind"] == "FailoverGroup").unwrap();
        (group["metadata"]["name"], group["spec"]["handover"]) = (json!("launched"), handover);
        try_to(admin, &group).await
    };
    let taken = try_with(json!({"launcher": {}})).await.unwrap();
    assert_eq!(taken["spec"]["handover"], json!({"launcher": {"hold": "30s"}}));
    let taken = try_with(json!({"solanaIdentity": {}})).await.unwrap();
    assert_eq!(taken["spec"]["handover"], json!({"solanaIdentity": {"hold": "5m"}}));
    try_with(json!({"launcher": {"hold": "20s"}})).await.unwrap();
    for (handover, words) in [
        (json!({"launcher": {"hold": "19s"}}), "hold: between 20s"),
        (json!({"launcher": {"hold": "601s"}}), "and 10m"),
        (json!({"launcher": {}, "gate": {}}), "in one way"),
        (json!({"keymanager": {}, "solanaIdentity": {}}), "in one way"),
        (json!({"solanaIdentity": {"hold": "19s"}}), "hold: between 20s and 10m"),
        (json!({}), "in one way"),
    ] {
        let error = try_with(handover).await.expect_err(words);
        assert!(error.contains(words), "wanted {words}, got {error}");
    }
}

async fn a_set_has_the_shape_of_a_launcher(stage: &Stage) {
    let grace = |seconds: u64| {
        launcher(|set| set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(seconds))
    };
    let gate = &set("a")["spec"]["template"]["spec"]["initContainers"];
    let gate = gate.as_array().unwrap().iter().find(|one| one["name"] == "gate").unwrap().clone();
    let wrong = [
        (
            launcher(|set| {
                set["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("finalizers");
            }),
            "write finalizers: [mainstay.dev/signer]",
        ),
        (grace(29), "write terminationGracePeriodSeconds: 30 or more"),
        (
            launcher(|set| set["spec"]["template"]["spec"]["containers"][0]["command"][7] = json!("60")),
            "write terminationGracePeriodSeconds: 70 or more",
        ),
        (
            launcher(|set| set["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap().push(gate)),
            "a signer has one gate",
        ),
        (launcher(|set| set["spec"]["replicas"] = json!(2)), "a member is one pod"),
    ];
    let admin = &stage.server.client;
    let by_default = launcher(|set| {
        drop(set["spec"]["template"]["spec"].as_object_mut().unwrap().remove("terminationGracePeriodSeconds"));
    });
    for object in [launcher(|_| ()), grace(30), by_default] {
        try_to(admin, &object).await.unwrap();
    }
    for (object, words) in wrong {
        let error = try_to(admin, &object).await.expect_err(words);
        assert!(error.contains(words), "wanted {words}, got {error}");
    }
}

/// The example's member with the gate of a client in the place of its own, and one thing changed.
fn client(option: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = set("a");
    object["metadata"]["name"] = json!("val-d");
    let template = &mut object["spec"]["template"];
    template["metadata"]["finalizers"] = json!([LATCH]);
    template["spec"]["shareProcessNamespace"] = json!(true);
    let gates = template["spec"]["initContainers"].as_array_mut().unwrap();
    let gate = gates.iter_mut().find(|one| one["name"] == "gate").unwrap();
    gate["args"].as_array_mut().unwrap().push(json!(option));
    change(&mut object);
    object
}

async fn a_gate_of_a_client_has_its_shape(stage: &Stage) {
    type Spoil = fn(&mut Value);
    let wrong: [(&str, Spoil); 3] = [
        ("write the label mainstay.dev/signer", |template| {
            drop(template["metadata"]["labels"].as_object_mut().unwrap().remove("mainstay.dev/signer"));
        }),
        ("write finalizers: [mainstay.dev/signer]", |template| template["metadata"]["finalizers"] = json!([])),
        ("write shareProcessNamespace: true", |template| template["spec"]["shareProcessNamespace"] = json!(false)),
    ];
    let admin = &stage.server.client;
    let in_the_open = client("--solana", |set| (wrong[2].1)(&mut set["spec"]["template"]));
    let mut tries = 300;
    while try_to(admin, &in_the_open).await.is_ok() {
        tries -= 1;
        assert!(tries > 0, "the policy is not in force");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for option in ["--keymanager", "--keymanager=http://127.0.0.1:5062", "--solana", "--solana=/ledger"] {
        try_to(admin, &client(option, |_| ())).await.unwrap_or_else(|error| panic!("{option}: {error}"));
        for (words, spoil) in wrong {
            let object = client(option, |set| spoil(&mut set["spec"]["template"]));
            let error = try_to(admin, &object).await.expect_err(words);
            assert!(error.contains(words), "{option}: wanted {words}, got {error}");
        }
    }
    // It has as long for its end as its client and itself need.
    for (option, least) in [("--keymanager", 90), ("--keymanager=x", 90), ("--solana", 60), ("--solana=x", 60)] {
        let with = |seconds: u64| {
            client(option, |set| set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(seconds))
        };
        try_to(admin, &with(least)).await.unwrap_or_else(|error| panic!("{option}: {error}"));
        let by_default = client(option, |set| {
            drop(set["spec"]["template"]["spec"].as_object_mut().unwrap().remove("terminationGracePeriodSeconds"));
        });
        for short in [with(least - 1), by_default] {
            let error = try_to(admin, &short).await.expect_err(option);
            assert!(error.contains(&format!("write terminationGracePeriodSeconds: {least} or more")), "{error}");
        }
    }
    // Another gate needs none of it but its label.
    let gate = client("--log-json", |set| {
        let template = &mut set["spec"]["template"];
        (template["metadata"]["finalizers"], template["spec"]["shareProcessNamespace"]) =
            (json!([]), json!(false));
    });
    try_to(admin, &gate).await.unwrap();
}

/// A set that says nothing of itself, with one container more, among those that start first or beside the node.
fn unsaid(starts_first: bool, words: &Value) -> Value {
    let mut object = set("a");
    object["metadata"]["name"] = json!("val-e");
    let template = &mut object["spec"]["template"];
    template["metadata"]["labels"].as_object_mut().unwrap().remove("mainstay.dev/signer");
    template["spec"]["initContainers"].as_array_mut().unwrap().retain(|one| one["name"] != "gate");
    let mut more = json!({"name": "more", "image": "mainstay"});
    merge(&mut more, words);
    let list = if starts_first { "initContainers" } else { "containers" };
    template["spec"][list].as_array_mut().unwrap().push(more);
    object
}

/// However it is written, a gate of a client does not run unsaid.
async fn a_gate_of_a_client_is_seen_in_every_form(stage: &Stage) {
    let admin = &stage.server.client;
    let seen = [
        json!({"args": ["gate", "--member", "a", "--keymanager", "http://127.0.0.1:5062"]}),
        json!({"args": ["gate", "--solana=/ledger"]}),
        json!({"command": ["mainstay", "gate", "--keymanager", "http://127.0.0.1:5062"]}),
        json!({"command": ["/usr/local/bin/mainstay"], "args": ["gate", "--member", "a", "--solana", "/ledger"]}),
        json!({"command": ["mainstay", "gate"], "args": ["--keymanager=http://127.0.0.1:5062"]}),
        json!({"command": ["sh", "-c", "exec mainstay gate --member a --keymanager http://127.0.0.1:5062"]}),
        json!({"command": ["sh", "-c"], "args": ["set -- a; mainstay \"gate\" --member \"$1\" \\\n  '--solana' /ledger"]}),
    ];
    for words in &seen {
        for starts_first in [true, false] {
            let error = try_to(admin, &unsaid(starts_first, words)).await.expect_err(&words.to_string());
            assert!(error.contains("write the label mainstay.dev/signer"), "{words}: {error}");
            // With all that it asks for, it is still held to the shape of a member.
            let mut said = unsaid(starts_first, words);
            let more = json!({"metadata": {"labels": {"mainstay.dev/signer": "val"}, "finalizers": [LATCH]},
                "spec": {"shareProcessNamespace": true}});
            merge(&mut said["spec"]["template"], &more);
            let error = try_to(admin, &said).await.expect_err(&words.to_string());
            assert!(error.contains("a signer has one gate"), "{words}: {error}");
        }
    }
    // Neither a client's own option, nor that of a launcher's command.
    for words in [
        json!({"args": ["validator_client", "--keymanager", "--data-dir=/gate/a"]}),
        json!({"command": ["mainstay", "gate", "--member", "a", "--", "validator_client", "--keymanager"]}),
        json!({"args": ["gate", "--member", "a", "--keymanagers"]}),
        json!({"command": ["sh", "-c", "aggregate --solana x"]}),
        // And a script as long as they come is still read to its end.
        json!({"command": ["sh", "-c", "gate --keymanage".repeat(20_000)]}),
    ] {
        try_to(admin, &unsaid(false, &words)).await.unwrap_or_else(|error| panic!("{words}: {error}"));
    }
}

/// One look of a process at the record; what it wrote.
pub async fn turn(launcher: &mut Launcher, identity: &Identity) -> Result<Option<Record>, Trouble> {
    let seen = identity.read().await?;
    let (next, wish) = launcher.seen(seen.record.as_ref().unwrap(), 0);
    *launcher = next;
    match wish {
        Some(wish) => Ok(identity.write(&seen, &wish).await?.record),
        None => Ok(None),
    }
}

async fn a_launcher_claims_once_and_seals(stage: &Stage) {
    let (a, b) = (stage.start("a").await, stage.start("b").await);
    let process =
        |pod: &Pod, boot| Launcher::new(Me { pod: Arc::new(pod.clone()), boot: Boot(boot) }, Held::Command);
    let offer = |pod: &Pod, activation| {
        let (pod, activation) = (Arc::new(pod.clone()), Activation(activation));
        Event::Offered { pod, activation, hand_over: HAND_OVER }
    };
    let (mine, theirs) = (stage.client_of(&a).await, stage.client_of(&b).await);
    let try_write = async |client, patch: Value| {
        let mut object = stage.identity().await;
        merge(&mut object["status"], &patch);
        send(client, "PUT", &format!("{}?dryRun=All", Stage::record_path()), "application/json", &object).await
    };
    stage
        .operator(|none| none.map_or(Record::adopted(Epoch(0), Activation(1), Height(100)), |record| record))
        .await;
    stage.step(offer(&a, 2)).await;
    let error = try_write(&mine, json!({"sealed": 100})).await.unwrap_err();
    assert!(error.contains("none of these"), "a seal of a place that nobody has claimed: {error}");
    let error = try_write(&theirs, json!({"holder": {"bootId": "0".repeat(32)}, "claims": 1})).await.unwrap_err();
    assert!(error.contains("does not hold this place"), "{error}");

    let identity = Identity::new(mine.clone(), KEY);
    let mut first = process(&a, 1);
    assert_eq!(turn(&mut first, &identity).await.unwrap().unwrap().claims, 1);
    for (title, patch) in [
        ("a second claim", json!({"holder": {"bootId": "0".repeat(32)}, "claims": 2})),
        ("a raise", json!({"ceiling": 110})),
        ("a farewell", json!({"lowered": true})),
        ("another timing", json!({"timing": {"hold": 1}})),
    ] {
        let error = try_write(&mine, patch).await.expect_err(title);
        assert!(error.contains("is none of these") || error.contains("changes nothing"), "{title}: {error}");
    }
    let carried = |epoch: i64, member: &str| json!({"epoch": epoch, "member": member, "files": [{"name": "t", "data": "AAEC"}]});
    try_write(&mine, json!({"sealed": 100, "carried": carried(1, "a")}))
        .await
        .expect("what travels, with its seal");
    for (title, patch) in [
        ("without a seal", json!({"carried": carried(1, "a")})),
        ("of another epoch", json!({"sealed": 100, "carried": carried(0, "a")})),
        ("of another member", json!({"sealed": 100, "carried": carried(1, "b")})),
    ] {
        let error = try_write(&mine, patch).await.expect_err(title);
        assert!(error.contains("what travels with a key"), "{title}: {error}");
    }
    let large = json!({"epoch": 1, "member": "a", "files": [{"name": "t", "data": "A".repeat(87_388)}]});
    let error = try_write(&mine, json!({"sealed": 100, "carried": large})).await.unwrap_err();
    assert!(error.contains("Too long") || error.contains("may not be more"), "{error}");
    stage.step(Event::Wanted { epoch: Epoch(1) }).await;
    let sealed = turn(&mut first.retired(), &identity).await.unwrap().unwrap();
    assert_eq!(sealed.sealed, Some(Height(100)));
    let found = Event::Found { proof: None, share: mainstay::failover::Share::Unknown, waited: 0 };
    stage.step(found).await;
    let next = stage.step(offer(&b, 3)).await;
    assert_eq!(next.tenure.epoch, Epoch(2));
}

async fn a_pod_goes_when_it_is_deleted_and_let_go(stage: &Stage) {
    let admin = &stage.server.client;
    for object in manifests(&json!({"failover": {"enabled": true}})) {
        let name = object["metadata"]["name"].as_str().unwrap();
        if object["kind"].as_str().unwrap().starts_with("ValidatingAdmission") && name.ends_with("-rotation") {
            create(admin, &object).await;
        }
    }
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/val-a-0");
    let latched = json!({"metadata": {"finalizers": ["example.org/other", LATCH]}});
    send(admin, "PATCH", &path, MERGE, &latched).await.unwrap();
    let own = stage.server.own_account();
    // Until the policy is in force nothing is refused; nothing of it stays.
    let other = json!({"metadata": {"labels": {"x": "y"}}});
    while send(&own, "PATCH", &format!("{path}?dryRun=All"), MERGE, &other).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let alive = read_remains(&own, NAMESPACE, "val-a-0").await.unwrap().unwrap();
    assert!(!alive.is_latched());
    let early = unlatch(&own, NAMESPACE, "val-a-0", &alive).await;
    assert!(!matches!(early, Outcome::Done), "a pod that is not deleted keeps its latch: {early}");

    let by_force = json!({"gracePeriodSeconds": 0});
    send(admin, "DELETE", &path, "application/json", &by_force).await.unwrap();
    let remains = read_remains(&own, NAMESPACE, "val-a-0").await.unwrap().unwrap();
    assert!(remains.is_latched(), "deleted by force, and still in sight");
    assert!(remains.containers.iter().all(|one| one.ended.is_none()) && !remains.terminal);
    let too_much = json!({"metadata": {"finalizers": []}});
    let error = send(&own, "PATCH", &path, MERGE, &too_much).await.unwrap_err();
    assert!(error.contains("changes nothing of a pod"), "{error}");
    assert_eq!(unlatch(&own, NAMESPACE, "val-a-0", &remains).await, Outcome::Done);
    let left = get(admin, &path).await.unwrap();
    assert_eq!(left["metadata"]["finalizers"], json!(["example.org/other"]));
}
