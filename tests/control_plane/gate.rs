//! Who may write the record of a signing identity, at a real API server: a gate what a gate does, from the pod that holds the
//! place; the operator the rest; nobody else anything. And orders are given under one's own name.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use kube::Client;
use mainstay::{
    effect::signing::{read_identity, write_record},
    failover::{Activation, Boot, Epoch, Event, HandOver, Height, Phase, Pod, Record, gate::Me, step},
    gate::{
        Arbiter, Counts, VoteRequest,
        desk::{Desk, lock},
        diary::Diary,
        follow::look,
        privval::{BlockId, PartSetHeader, Place, Step, Timestamp, Vote, canonical, message},
        registry::Identity,
        store::Slots,
    },
};
use serde_json::{Value, json};

use crate::{
    apiserver::ApiServer, online::definitions_are_taken_and_a_second_time_changes_nothing, render::manifests,
};

const NAME: &str = "hub-1.03a0e8054ca936d500c841d6b50f5b1637cd83c06882b6ae41941a5ea8ea3871";
const IDENTITIES: &str = "/apis/mainstay.dev/v1alpha1/signingidentities";

async fn send(client: &Client, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
    client.request::<Value>(request).await.map_err(|error| error.to_string())
}

async fn create(client: &Client, path: &str, object: &Value) -> Value {
    send(client, "POST", path, object).await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A pod of a member with a token that is bound to it: its uid, and a client.
async fn member(server: &ApiServer, name: &str) -> (String, Client) {
    let admin = &server.client;
    let core = "/api/v1/namespaces/default";
    create(admin, &format!("{core}/serviceaccounts"), &json!({"metadata": {"name": name}})).await;
    let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": "none", "serviceAccountName": name,
        "containers": [{"name": "gate", "image": "mainstay"}]}});
    let pod = create(admin, &format!("{core}/pods"), &pod).await;
    let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
    let wanted = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}}});
    let token = create(admin, &format!("{core}/serviceaccounts/{name}/token"), &wanted).await;
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gate"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    });
    create(admin, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await;
    (uid, server.client_of(token["status"]["token"].as_str().unwrap()))
}

/// One process of a member's gate, with the API server's registry under the member's own rights.
fn gate(member: &str, uid: &str, boot: u128) -> (Arc<Mutex<Desk<Slots>>>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pod = Pod { member: member.into(), uid: uid.into(), node: "none".into() };
    let me = Me { pod: Arc::new(pod), boot: Boot(boot) };
    let (slots, diary) = (Slots::open(folder.path()).unwrap(), Diary::open(folder.path()).unwrap());
    let desk = Desk::open(me, slots, diary, Counts::default(), || 0).unwrap();
    (Arc::new(Mutex::new(desk)), folder)
}

/// Its node asks for a vote at a height, whatever the answer.
fn asked(desk: &Arc<Mutex<Desk<Slots>>>, height: u64) {
    let hash = [1; 32];
    let vote = Vote {
        kind: message::PREVOTE,
        height: height.try_into().unwrap(),
        round: 0,
        block: BlockId { hash: &hash, parts: PartSetHeader { total: 1, hash: &hash } },
        time: Timestamp::new(1, 0).unwrap(),
        address: &[],
        index: 0,
        signature: &[],
        extension: &[],
        extension_signature: &[],
    };
    let sign_bytes = canonical::vote("hub-1", &vote);
    let place = Place { height, round: 0, step: Step::Prevote };
    Arc::clone(desk).vote(&VoteRequest { place, vote: &vote, sign_bytes: &sign_bytes });
}

async fn record(client: &Client) -> Record {
    read_identity(client, NAME).await.unwrap().unwrap().record.unwrap().unwrap()
}

async fn take(operator: &Client, event: Event) {
    let read = read_identity(operator, NAME).await.unwrap().unwrap();
    let (next, _) = step(read.record.as_ref().unwrap().as_ref().unwrap(), event);
    write_record(operator, &read, &next).await.unwrap();
}

async fn install(server: &ApiServer) {
    definitions_are_taken_and_a_second_time_changes_nothing(&server.client).await;
    for object in manifests(&json!({"failover": {"enabled": true}})) {
        let kind = object["kind"].as_str().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let ours = ["-signing", "-orders", "-identities"].iter().any(|end| name.ends_with(end));
        if kind.starts_with("ValidatingAdmissionPolicy") && ours {
            let plural = if kind.ends_with("Binding") { "policybindings" } else { "policies" };
            let path = format!("/apis/admissionregistration.k8s.io/v1/validatingadmission{plural}");
            create(&server.client, &path, &object).await;
        }
    }
    let role = json!({"metadata": {"name": "gate"}, "rules": [
        {"apiGroups": ["mainstay.dev"], "resources": ["signingidentities"], "resourceNames": [NAME], "verbs": ["get"]},
        {"apiGroups": ["mainstay.dev"], "resources": ["signingidentities/status"], "resourceNames": [NAME],
         "verbs": ["update"]},
    ]});
    create(&server.client, "/apis/rbac.authorization.k8s.io/v1/clusterroles", &role).await;
    // The policies take effect by and by.
    let nameless = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity", "metadata": {"name": "x"},
        "spec": {"network": "hub", "namespace": "default", "group": "val"}});
    let begun = Instant::now();
    loop {
        match send(&server.client, "POST", &format!("{IDENTITIES}?dryRun=All"), &nameless).await {
            Err(error) if error.contains("CHAIN_ID.PUBLIC_KEY") => break,
            _ => assert!(begun.elapsed() < Duration::from_secs(30), "the policies never took effect"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let identity = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity", "metadata": {"name": NAME},
        "spec": {"network": "hub", "namespace": "default", "group": "val", "window": 20}});
    create(&server.client, IDENTITIES, &identity).await;
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_gate_writes_what_a_gate_does_and_from_the_pod_that_holds_the_place() {
    let server = ApiServer::start().await;
    install(&server).await;
    let operator = server.own_account();
    let (uid, own) = member(&server, "a").await;
    let (other_uid, other) = member(&server, "b").await;

    let first = Record::adopted(Epoch(0), Activation(1), Height(100));
    let read = read_identity(&operator, NAME).await.unwrap().unwrap();
    write_record(&server.client, &read, &first).await.expect_err("an administrator begins no record by hand");
    write_record(&operator, &read, &first).await.expect("the operator does");
    let pod = Pod { member: "a".into(), uid: uid.clone(), node: "none".into() };
    take(&operator, Event::Offered { pod: Arc::new(pod), activation: Activation(2), hand_over: HandOver::Gate })
        .await;

    // The real gate, with a member's real rights: it claims and raises, ahead of what its node asks for.
    let (desk, _kept) = gate("a", &uid, 7);
    asked(&desk, 101);
    look(&desk, &Identity::new(own.clone(), NAME)).await.expect("a claim and a raise");
    let held = record(&operator).await;
    assert_eq!((held.claims, held.ceiling), (1, Height(121)));

    // Another member's gate, and whoever else has rights on the status.
    let object = send(&own, "GET", &format!("{IDENTITIES}/{NAME}"), &Value::Null).await.unwrap();
    let write = async |client: &Client, change: &Value| {
        let mut next = object.clone();
        for (field, value) in change.as_object().unwrap() {
            next["status"][field] = value.clone();
        }
        send(client, "PUT", &format!("{IDENTITIES}/{NAME}/status?dryRun=All"), &next).await
    };
    let holder = |field: &str, value: &str| {
        let mut holder = object["status"]["holder"].clone();
        holder[field] = value.into();
        json!({"holder": holder})
    };
    let raise = json!({"ceiling": 140});
    write(&own, &raise).await.expect("a raise");
    for client in [&other, &server.client] {
        let error = write(client, &raise).await.expect_err("not the holder's");
        assert!(error.contains("does not hold this place"), "{error}");
    }
    for (what, change, words) in [
        ("the floor", json!({"floor": 90}), "nothing of a record"),
        ("the epoch", json!({"epoch": 2}), "nothing of a record"),
        ("the activation", json!({"activation": "0".repeat(32)}), "nothing of a record"),
        ("the phase", json!({"phase": "Revoking"}), "nothing of a record"),
        ("a punishment", json!({"shut": "Punished"}), "nothing of a record"),
        ("another pod", holder("podUid", &other_uid), "nothing of a record"),
        ("another member", holder("member", "b"), "nothing of a record"),
        ("a jump", json!({"ceiling": 121 + 20 * 51 + 1}), "none of"),
        ("a ceiling that falls", json!({"ceiling": 110}), "none of"),
        ("a seal below the floor", json!({"sealed": 99}), "none of"),
        ("a seal above the ceiling", json!({"sealed": 122}), "none of"),
        ("a claim of the same process", json!({"claims": 2}), "none of"),
        ("no change", json!({}), "none of"),
    ] {
        let error = write(&own, &change).await.expect_err(what);
        assert!(error.contains(words), "{what}: {error}");
    }
    write(&own, &json!({"lowered": true, "ceiling": 105})).await.expect("the rest of the window is given back");
    let mut claim = holder("bootId", &"1".repeat(32));
    claim["claims"] = 2.into();
    write(&own, &claim).await.expect("the next process claims");
    claim["ceiling"] = 140.into();
    write(&own, &claim).await.expect_err("a claim that raises");

    // Revoked: the gate seals, and after that nothing of its epoch is written any more.
    take(&operator, Event::Wanted { epoch: Epoch(1) }).await;
    look(&desk, &Identity::new(own.clone(), NAME)).await.expect("a seal");
    assert!(lock(&desk).is_idle(), "it holds nothing any more");
    let sealed = record(&operator).await;
    assert_eq!(sealed.sealed, Some(Height(100)));
    assert!(matches!(sealed.phase, Phase::Revoking { .. }));
    let object = send(&own, "GET", &format!("{IDENTITIES}/{NAME}"), &Value::Null).await.unwrap();
    let mut again = object.clone();
    again["status"]["sealed"] = 119.into();
    let error =
        send(&own, "PUT", &format!("{IDENTITIES}/{NAME}/status"), &again).await.expect_err("a second seal");
    assert!(error.contains("none of"), "{error}");
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn an_order_has_its_authors_name_and_needs_a_right_of_its_own() {
    const ORDERS: &str = "/apis/mainstay.dev/v1alpha1/namespaces/default/signingorders";
    let server = ApiServer::start().await;
    install(&server).await;
    let (_, somebody) = member(&server, "a").await;
    let admin = &server.client;
    let role = json!({"metadata": {"name": "orders", "namespace": "default"}, "rules": [
        {"apiGroups": ["mainstay.dev"], "resources": ["signingorders"], "verbs": ["create"]}]});
    create(admin, "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", &role).await;
    let binding = json!({"metadata": {"name": "orders", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "orders"},
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "default"}]});
    create(admin, "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", &binding).await;
    let own = "system:serviceaccount:default:a";
    let order = |by: &str, what: &str, with: Value| {
        json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder", "metadata": {"generateName": "x-"},
            "spec": {"identity": NAME, "epoch": 1, "by": by, what: with}})
    };
    let word = json!({"assertion": "it is so"});
    let (adopt, release) =
        (json!({"floor": 5, "assertion": "it is so"}), json!({"podUid": "u1", "assertion": "it is so"}));
    let path = format!("{ORDERS}?dryRun=All");
    let give = async |client: &Client, order: &Value| send(client, "POST", &path, order).await;
    for (what, with) in [("init", &word), ("adopt", &adopt), ("failover", &json!({})), ("release", &release)] {
        give(admin, &order("admin", what, with.clone())).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let error = give(admin, &order("somebody", what, with.clone())).await.expect_err(what);
        assert!(error.contains("write by: admin"), "{what}: {error}");
        let error = give(&somebody, &order(own, what, with.clone())).await.expect_err(what);
        assert!(error.contains("may not"), "{what}: {error}");
    }
    // The operator orders failovers, and vouches for nothing.
    let operator = server.own_account();
    give(&operator, &order("mainstay", "failover", json!({}))).await.expect("a ladder's order");
    give(&operator, &order("mainstay", "release", release)).await.expect_err("nobody's word");
    let mut both = order("admin", "failover", json!({}));
    both["spec"]["init"] = word;
    let error = give(admin, &both).await.expect_err("two at once");
    assert!(error.contains("exactly one of"), "{error}");
}
