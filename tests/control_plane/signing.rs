//! What the API server lets a gate change of a record, and everybody else: every write that passes is made by the gate's own
//! code, with a token of its own pod.

use kube::Client;
use mainstay::{
    failover::{Activation, Epoch, Event, HandOver, Height, Phase, Pod, Record, Share, Shut},
    gate::registry::Trouble,
};
use serde_json::{Value, json};
use std::time::Duration;

use crate::refusals::{self, merge};
use crate::stage::{KEY, MERGE, NAMESPACE, Stage, create, get, send, try_to};

const NOT_YOURS: &str = "does not hold this place";
const UNTOUCHED: &str = "a gate changes nothing of a record but its own claim, ceiling and seal, and says";
const NONE_OF_THESE: &str = "this is none of these";

/// Heights that the example's gate owns ahead of the chain.
const WINDOW: i64 = 20;

fn offered(pod: &Pod, activation: u128) -> Event {
    Event::Offered { pod: pod.clone().into(), activation: Activation(activation), hand_over: HandOver::Gate }
}

/// Tries a change of the record, and keeps nothing of it.
async fn change(client: &Client, stage: &Stage, spoil: impl FnOnce(&mut Value)) -> Result<Value, String> {
    let mut object = stage.identity().await;
    spoil(&mut object);
    send(client, "PUT", &format!("{}?dryRun=All", Stage::record_path()), "application/json", &object).await
}

async fn refused(client: &Client, stage: &Stage, title: &str, patch: Value, words: &str) {
    let spoil = |object: &mut Value| merge(&mut object["status"], &patch);
    let error = change(client, stage, spoil).await.expect_err(title);
    assert!(error.contains(words), "{title}: {error}");
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_gate_writes_what_gates_write_and_nothing_else() {
    let stage = Stage::new().await;
    let (a, b) = (stage.start("a").await, stage.start("b").await);
    let client = stage.client_of(&a).await;

    // Without a record nobody but the operator begins one.
    let record = Record::adopted(Epoch(0), Activation(1), Height(100));
    let begun = json!({"status": mainstay::api::SigningIdentityStatus::from(&record)});
    let error = change(&client, &stage, |object| merge(object, &begun)).await.unwrap_err();
    assert!(error.contains("`mainstay init` or `mainstay adopt`"), "{error}");
    stage.operator(|none| none.map_or(record, |_| panic!("there is a record"))).await;
    stage.step(offered(&a, 2)).await;

    let mut first = stage.gate(&a, 1).await;
    assert_eq!(first.turn(101).await.unwrap().claims, 1);
    assert_eq!(first.turn(101).await.unwrap().ceiling, Height(121));
    wrong_writes_of_the_holder_are_refused(&client, &stage).await;
    others_write_nothing(&stage, &a, &b).await;
    a_gates_account_may_do_nothing_else(&client).await;

    // The highest that a node can ask for without being taken for mad.
    let jump = u64::try_from(WINDOW * 50).unwrap();
    assert_eq!(first.turn(121 + jump).await.unwrap().ceiling, Height(121 + jump + 20));
    first.hears(&mainstay::failover::gate::Event::Stop);
    let lowered = first.turn(0).await.unwrap();
    assert_eq!((lowered.ceiling, lowered.lowered), (Height(100), true));
    refused(&client, &stage, "a raise after the farewell", json!({"ceiling": 120}), NONE_OF_THESE).await;

    // The next process of the same pod.
    let mut second = stage.gate(&a, 2).await;
    assert_eq!(second.turn(101).await.unwrap().claims, 2);
    assert_eq!(second.turn(101).await.unwrap().ceiling, Height(121));

    stage.step(Event::Wanted { epoch: Epoch(1) }).await;
    for (title, patch) in [
        ("a raise while the window is frozen", json!({"ceiling": 122})),
        ("a farewell while it is", json!({"ceiling": 110, "lowered": true})),
        ("a claim while it is", json!({"holder": {"bootId": "0".repeat(32)}, "claims": 3})),
    ] {
        refused(&client, &stage, title, patch, NONE_OF_THESE).await;
    }
    refused(&client, &stage, "Active once more", json!({"phase": "Active"}), UNTOUCHED).await;
    assert_eq!(second.turn(110).await.unwrap().sealed, Some(Height(100)));
    for (title, sealed) in [("another seal", json!(110)), ("a seal broken", Value::Null)] {
        refused(&client, &stage, title, json!({"sealed": sealed}), NONE_OF_THESE).await;
    }

    // The next epoch is the other's, until the chain punishes the key.
    let fenced = stage.step(Event::Found { proof: None, share: Share::Unknown, waited: 0 }).await;
    assert!(matches!(fenced.phase, Phase::Fenced(_)));
    let proof = json!({"phase": "Active", "proof": null, "holder": {"member": "a", "podUid": a.uid, "node": "n"}});
    refused(&client, &stage, "a place that nobody holds", proof, NOT_YOURS).await;
    stage.step(offered(&b, 3)).await;
    let mut third = stage.gate(&b, 3).await;
    third.turn(101).await.unwrap();
    third.turn(101).await.unwrap();
    refused(&client, &stage, "the former holder", json!({"ceiling": 130}), NOT_YOURS).await;
    stage.step(Event::Shut(Shut::Punished)).await;
    let theirs = stage.client_of(&b).await;
    refused(&theirs, &stage, "a raise of a punished key", json!({"ceiling": 130}), NONE_OF_THESE).await;
    let claim = json!({"holder": {"bootId": "0".repeat(32)}, "claims": 2});
    refused(&theirs, &stage, "a claim of a punished key", claim, NONE_OF_THESE).await;
    refused(&theirs, &stage, "a pardon", json!({"shut": null}), UNTOUCHED).await;
    assert_eq!(third.turn(110).await.unwrap().sealed, Some(Height(100)));

    // A person begins anew; and a gate that sees a foreign signature seals an epoch that nobody revokes.
    stage.step(Event::Adopted { above: Epoch(2), floor: Height(500), activation: Activation(4) }).await;
    stage.step(offered(&a, 5)).await;
    let mut fourth = stage.gate(&a, 4).await;
    fourth.turn(501).await.unwrap();
    others_shut_the_key_and_do_no_more(&stage, &a, &b).await;
    fourth.hears(&mainstay::failover::gate::Event::ForeignSignature);
    let shut = fourth.turn(501).await.unwrap();
    assert_eq!((shut.sealed, shut.shut), (Some(Height(500)), Some(Shut::Foreign)));
    let theirs = stage.client_of(&a).await;
    refused(&theirs, &stage, "a pardon of a foreign signature", json!({"shut": null}), UNTOUCHED).await;
}

/// Active, epoch 1 of a after an adoption, from 500.
async fn others_shut_the_key_and_do_no_more(stage: &Stage, a: &Pod, b: &Pod) {
    let (holder, standby) = (stage.client_of(a).await, stage.client_of(b).await);
    let shut = |object: &mut Value| object["status"]["shut"] = json!("Foreign");
    change(&standby, stage, shut).await.expect("whoever sees that somebody else has the key");
    change(&holder, stage, shut).await.expect("the holder too");
    let unbound = stage.account("val-a", None).await;
    let patch = json!({"shut": "Foreign"});
    refused(&unbound, stage, "no pod", patch.clone(), NOT_YOURS).await;
    refused(&stage.server.client, stage, "an administrator", patch, NOT_YOURS).await;
    for (title, patch) in [
        ("a punishment", json!({"shut": "Punished"})),
        ("a seal of another's", json!({"shut": "Foreign", "sealed": 500})),
        ("a ceiling of another's", json!({"shut": "Foreign", "ceiling": 520})),
        ("a claim on the way", json!({"shut": "Foreign", "holder": {"bootId": "0".repeat(32)}, "claims": 2})),
    ] {
        refused(&standby, stage, title, patch, NOT_YOURS).await;
    }
    refused(&holder, stage, "a raise on the way", json!({"shut": "Foreign", "ceiling": 520}), UNTOUCHED).await;
}

/// Active, epoch 1 of a, boot 1, from 100 to 121.
async fn wrong_writes_of_the_holder_are_refused(client: &Client, stage: &Stage) {
    let boot = "f".repeat(32);
    for (title, patch) in [
        ("a raise beyond every bound", json!({"ceiling": 121 + WINDOW * 51 + 1})),
        ("a ceiling that falls without a farewell", json!({"ceiling": 120})),
        ("a farewell below the floor", json!({"ceiling": 99, "lowered": true})),
        ("a farewell that raises", json!({"ceiling": 122, "lowered": true})),
        ("a seal below the floor", json!({"sealed": 99})),
        ("a seal above the ceiling", json!({"sealed": 122})),
        ("a seal that raises", json!({"sealed": 110, "ceiling": 122})),
        ("a claim that is not counted", json!({"holder": {"bootId": boot}})),
        ("a claim that counts twice", json!({"holder": {"bootId": boot}, "claims": 3})),
        ("a claim that raises", json!({"holder": {"bootId": boot}, "claims": 2, "ceiling": 122})),
        ("a claim that seals", json!({"holder": {"bootId": boot}, "claims": 2, "sealed": 110})),
        ("a count without a claim", json!({"claims": 2})),
        ("a claim of nobody", json!({"holder": {"bootId": null}, "claims": 2})),
        ("nothing at all", json!({})),
    ] {
        refused(client, stage, title, patch, NONE_OF_THESE).await;
    }
    for (title, patch) in [
        ("another epoch", json!({"epoch": 2})),
        ("another activation", json!({"activation": boot})),
        ("another adoption", json!({"adopted": 1})),
        ("a lower floor", json!({"floor": 99})),
        ("a punishment", json!({"shut": "Punished"})),
        ("its own end", json!({"phase": "Revoking"})),
        ("another member", json!({"holder": {"member": "b"}})),
        ("another pod", json!({"holder": {"podUid": "0d2d9ab5-9b4e-4a5f-8a57-4a1f7f1f7f10"}})),
        ("another node", json!({"holder": {"node": "n9"}})),
        ("another way", json!({"handover": "Launcher", "timing": {"hold": 1, "drift": 1, "margin": 1}})),
        ("a timing", json!({"timing": {"hold": 1, "drift": 1, "margin": 1}})),
        ("a lock", json!({"blocked": "Proof"})),
        ("a proof", json!({"proof": {"kind": "Asserted"}})),
        ("its own fence", json!({"phase": "Fenced", "holder": null, "proof": {"kind": "SignerRefuses"}})),
    ] {
        refused(client, stage, title, patch, UNTOUCHED).await;
    }
    let gone = change(client, stage, |object| drop(object.as_object_mut().unwrap().remove("status"))).await;
    let error = gone.expect_err("a record that goes");
    assert!(error.contains("never taken away"), "{error}");
}

/// What the holder may write, by anybody else.
async fn others_write_nothing(stage: &Stage, a: &Pod, b: &Pod) {
    let raise = || json!({"ceiling": 122});
    let admin = stage.server.client.clone();
    let unbound = stage.account("val-a", None).await;
    // The same account in a pod of another uid: the twin of a pod that was deleted by force.
    let mut twin = Stage::pod("a", "0d2d9ab5-9b4e-4a5f-8a57-4a1f7f1f7f10");
    twin["metadata"]["name"] = json!("val-a-twin");
    let twin = create(&admin, &twin).await;
    assert_ne!(twin["metadata"]["uid"], a.uid);
    let twin = stage.account("val-a", Some(("val-a-twin", twin["metadata"]["uid"].as_str().unwrap()))).await;
    let standby = stage.client_of(b).await;
    for (title, client) in
        [("an administrator", admin), ("no pod", unbound), ("a twin", twin), ("a standby", standby)]
    {
        refused(&client, stage, title, raise(), NOT_YOURS).await;
    }
    let holder = stage.client_of(a).await;
    change(&holder, stage, |object| object["status"]["ceiling"] = json!(122)).await.expect("the holder itself");
}

/// The rights that the example gives.
async fn a_gates_account_may_do_nothing_else(client: &Client) {
    let all = "/apis/mainstay.dev/v1alpha1/signingidentities";
    let own = format!("{all}/{KEY}");
    let orders = format!("/apis/mainstay.dev/v1alpha1/namespaces/{NAMESPACE}/signingorders");
    let order = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder",
        "metadata": {"name": "x", "namespace": NAMESPACE}, "spec": {"identity": KEY, "epoch": 1,
        "by": "system:serviceaccount:validator:val-a", "failover": {}}});
    get(client, &own).await.expect("its own identity");
    for (title, outcome) in [
        ("all identities", get(client, all).await),
        ("another one", get(client, &format!("{all}/demo-1.x")).await),
        ("its spec", send(client, "PATCH", &own, MERGE, &json!({"spec": {"window": 4}})).await),
        ("an end", send(client, "DELETE", &own, "application/json", &json!({})).await),
        ("orders", get(client, &orders).await),
        ("an order", try_to(client, &order).await),
        ("the key", get(client, &format!("/api/v1/namespaces/{NAMESPACE}/secrets/val-key")).await),
        ("pods", get(client, &format!("/api/v1/namespaces/{NAMESPACE}/pods")).await),
    ] {
        let error = outcome.expect_err(title);
        assert!(error.contains("cannot"), "{title}: {error}");
    }
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_refusal_reaches_the_gate_in_words() {
    let stage = Stage::new().await;
    let (a, b) = (stage.start("a").await, stage.start("b").await);
    stage.operator(|_| Record::adopted(Epoch(0), Activation(1), Height(100))).await;
    stage.step(offered(&a, 2)).await;
    // A gate in the pod of b that takes itself for the one of a, by a wrong environment.
    let mut wrong = stage.gate(&b, 1).await;
    wrong.gate.me.pod = a.into();
    let Err(Trouble::Forbidden(said)) = wrong.turn(101).await else { panic!("not refused") };
    assert!(said.contains(NOT_YOURS), "{said}");
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn orders_are_given_under_ones_own_name_and_by_those_who_may() {
    let stage = Stage::new().await;
    let admin = &stage.server.client;
    let own = stage.server.own_account();
    for object in people() {
        create(admin, &object).await;
    }
    let (ann, bob) = (stage.account("ann", None).await, stage.account("bob", None).await);
    let name = |person: &str| format!("system:serviceaccount:{NAMESPACE}:{person}");
    let order = |by: &str, what: Value| {
        let mut spec = json!({"identity": KEY, "epoch": 0, "by": by});
        merge(&mut spec, &what);
        json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder",
            "metadata": {"generateName": "val-", "namespace": NAMESPACE}, "spec": spec})
    };
    let kinds = [
        (json!({"init": {"assertion": "new"}}), "may not begin records of signing identities"),
        (json!({"adopt": {"floor": 7, "assertion": "stopped"}}), "may not begin records of signing identities"),
        (json!({"failover": {}}), "may not order failovers in namespace validator"),
        (json!({"release": {"podUid": "u", "assertion": "off"}}), "may not vouch that a signer has stopped"),
    ];
    for (what, words) in kinds {
        try_to(&ann, &order(&name("ann"), what.clone())).await.expect("who is on call");
        let error = try_to(&bob, &order(&name("bob"), what.clone())).await.expect_err("who is not");
        assert!(error.contains(words), "{what}: {error}");
        for by in [name("bob"), "ann".into(), "mainstay".into()] {
            let error = try_to(&ann, &order(&by, what.clone())).await.expect_err("another name");
            assert!(error.contains(&format!("write by: {}", name("ann"))), "{what}: {error}");
        }
        // The operator orders what a ladder wants; it begins nothing, and vouches for nobody.
        let outcome = try_to(&own, &order("mainstay", what.clone())).await;
        assert_eq!(outcome.is_ok(), what.get("failover").is_some(), "{what}: {outcome:?}");
    }
}

/// Mainstay gives the orders of a ladder under its own name: whoever writes the ladder is asked in its stead.
#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn who_may_not_order_failovers_has_none_ordered() {
    let stage = Stage::new().await;
    for object in people() {
        create(&stage.server.client, &object).await;
    }
    let (ann, bob, own) = (
        stage.account("ann", None).await,
        stage.account("bob", None).await,
        stage.account("operator", None).await,
    );
    let with = |object: Value, spec: Value| {
        let mut object = object;
        object["metadata"] = json!({"generateName": "val-", "namespace": NAMESPACE});
        merge(&mut object["spec"], &spec);
        object
    };
    let ladder =
        json!({"role": "Validator", "mode": "Enforce", "remediation": {"failover": {"group": "val"}, "page": {}}});
    let policy = with(refusals::policy(), ladder);
    let action = json!({"page": null, "failover": {"group": "val", "identity": KEY, "epoch": 4, "within": "2m"}});
    let by = |who: &str| with(refusals::remediation(), json!({"action": action, "requestedBy": who}));
    let dry = with(policy.clone(), json!({"mode": "DryRun"}));

    let refused = |outcome: Result<Value, String>| {
        let error = outcome.expect_err("who may not order");
        assert!(
            error.contains("may not: ask for a Role that allows the verb failover on failovergroups"),
            "{error}"
        );
    };
    while try_to(&bob, &policy).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (title, object) in [("a ladder", &policy), ("a remediation", &by("bob")), ("as Mainstay", &by("mainstay"))]
    {
        try_to(&ann, object).await.unwrap_or_else(|error| panic!("{title}: {error}"));
        refused(try_to(&bob, object).await);
    }
    try_to(&bob, &dry).await.expect("nothing comes of it");
    try_to(&own, &by("mainstay")).await.expect("what follows from a policy");
    refused(try_to(&own, &by("ann")).await);
}

/// Where no process of ours signs, a member's account writes nothing of the record.
#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn an_epoch_without_a_gate_is_written_by_nobody_else() {
    let stage = Stage::new().await;
    let a = stage.start("a").await;
    let client = stage.client_of(&a).await;
    stage.operator(|_| Record::adopted(Epoch(0), Activation(1), Height(100))).await;
    for (epoch, hand_over) in [(1, HandOver::Job), (3, HandOver::Label), (5, HandOver::Gate)] {
        let pod = a.clone().into();
        let record = stage.step(Event::Offered { pod, activation: Activation(2), hand_over }).await;
        assert_eq!(record.tenure.epoch, Epoch(epoch));
        let claim = json!({"holder": {"bootId": "0".repeat(32)}, "claims": 1});
        for (title, patch) in
            [("claim", claim), ("raise", json!({"ceiling": 1_000})), ("seal", json!({"sealed": 100}))]
        {
            let tried = change(&client, &stage, |object| merge(&mut object["status"], &patch)).await;
            assert_eq!(tried.is_ok(), hand_over == HandOver::Gate && title == "claim", "{title} {tried:?}");
        }
        let activation = Activation(40 + u128::from(epoch));
        stage.step(Event::Adopted { above: Epoch(epoch), floor: Height(100), activation }).await;
    }
}

/// Somebody on call, somebody who may only create orders, and what an operator may. All may have pods deleted.
fn people() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let bound = |person: &str, role: &str| {
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": person},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": person, "namespace": NAMESPACE}]})
    };
    let account = |person: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": person, "namespace": NAMESPACE}});
    let orders = json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": "orders"},
        "rules": [{"apiGroups": ["mainstay.dev"], "resources": ["signingorders"], "verbs": ["create"]}]});
    let role = |name: &str, rules: Value| json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let hands = role(
        "hands",
        json!([
            {"apiGroups": ["mainstay.dev"], "resources": ["nodehealthpolicies", "noderemediations"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
        ]),
    );
    let journal = role(
        "journal",
        json!([
            {"apiGroups": ["mainstay.dev"], "resources": ["noderemediations/status"], "verbs": ["update"]},
        ]),
    );
    // The switches of whoever is on call are a right of the namespace.
    let switches = json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
        "metadata": {"name": "ann", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "oncall"},
        "subjects": [{"kind": "ServiceAccount", "name": "ann", "namespace": NAMESPACE}]});
    let mut all = vec![orders, hands, journal, switches];
    for (person, also) in [("ann", "validator.oncall"), ("bob", "orders"), ("operator", "journal")] {
        let mut hands = bound(person, "hands");
        hands["metadata"]["name"] = json!(format!("{person}-hands"));
        all.extend([account(person), bound(person, also), hands]);
    }
    all
}
