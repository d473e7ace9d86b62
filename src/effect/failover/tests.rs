use serde_json::{Value, json};

use super::*;
use crate::{
    api::{Duration, SigningIdentityStatus},
    effect::fake::{Answer, Fake},
    failover::{Activation, Boot, Epoch, Height, Holder, Pod, Shut},
    plan::GroupFacts::{Absent, Forbidden, Foreign, Moving, NoRecord, NoStandby, NotHolder, Ready},
};

const IDENTITY: &str = "hub-1.k";

fn action() -> FailoverAction {
    FailoverAction {
        group: "hub".into(),
        identity: IDENTITY.into(),
        epoch: 4,
        within: Duration::from_millis(120_000),
    }
}

const OF: GroupRef<'static> = GroupRef { name: "hub", network: "cosmoshub", pod: "u1", order: "val-a-0-abc" };

fn given<'a>(action: &'a FailoverAction, rules: &'a [String]) -> Given<'a> {
    Given {
        namespace: "cosmos",
        name: "val-a-0-abc",
        remediation: "r1",
        action,
        pod: "val-a-0",
        rules,
        requested_by: MAINSTAY,
    }
}

fn group(members: &[&str]) -> Answer {
    let members: Vec<_> =
        members.iter().map(|name| json!({"name": name, "statefulSet": format!("val-{name}")})).collect();
    Answer::json(
        200,
        json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "FailoverGroup",
            "metadata": {"name": "hub", "namespace": "cosmos"},
            "spec": {"network": "cosmoshub", "identity": IDENTITY, "members": members, "handover": {"gate": {}},
                "automatic": true}}),
    )
}

/// Epoch 4 of `a`, whose pod is `u1`.
fn record() -> Record {
    let pod = Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() };
    let holder = Holder { pod: pod.into(), boot: Some(Boot(1)) };
    let (ceiling, claims) = (Height(120), 1);
    let adopted = Record::adopted(Epoch(4), Activation(1), Height(100));
    Record { adopted: Epoch(3), phase: Phase::Active(holder), ceiling, claims, ..adopted }
}

fn blocked() -> Record {
    let Phase::Active(holder) = record().phase else { panic!("it is active") };
    Record { phase: Phase::Revoking { holder, blocked: Some(Missing::ChainNeedsUs) }, ..record() }
}

fn identity_of(group: &str, record: Option<&Record>) -> Answer {
    Answer::json(
        200,
        json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity",
            "metadata": {"name": IDENTITY, "uid": "i1", "resourceVersion": "7"},
            "spec": {"network": "cosmoshub", "namespace": "cosmos", "group": group, "window": 20},
            "status": record.map(SigningIdentityStatus::from)}),
    )
}

fn identity(record: &Record) -> Answer {
    identity_of("hub", Some(record))
}

fn stored(name: &str, status: &Value) -> Value {
    let action = action();
    let mut order = serde_json::to_value(order(&given(&action, &["preset/silent".into()]))).unwrap();
    order["metadata"]["name"] = json!(name);
    order["status"] = status.clone();
    order
}

fn orders(items: &[Value]) -> Answer {
    Answer::json(
        200,
        json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrderList", "metadata": {}, "items": items}),
    )
}

fn refused(code: u16, reason: &str) -> Answer {
    Answer::status(code, reason)
}

#[tokio::test]
async fn a_group_is_what_its_record_says() {
    let both = || group(&["a", "b"]);
    let found = || Ready { identity: IDENTITY.into(), epoch: 4, automatic: true };
    let fenced = Record { phase: Phase::Fenced(crate::failover::Proof::SignerRefuses), ..record() };
    let other = {
        let pod = Pod { member: "b".into(), uid: "u2".into(), node: "n2".into() };
        Record { phase: Phase::Active(Holder { pod: pod.into(), boot: None }), ..record() }
    };
    let (open, done) = (json!({}), json!({"outcome": "Done"}));
    let table = [
        (vec![both(), identity(&record()), orders(&[])], found()),
        (
            vec![both(), identity(&record()), orders(&[stored("old", &done), stored("val-a-0-abc", &open)])],
            found(),
        ),
        (
            vec![both(), identity(&record()), orders(&[stored("x", &json!({"outcome": "Accepted"}))])],
            Moving("SigningOrder x of mainstay is not over".into()),
        ),
        (vec![refused(404, "NotFound")], Absent),
        (vec![refused(403, "Forbidden")], Forbidden),
        (vec![both(), refused(403, "Forbidden")], Forbidden),
        (vec![both(), identity(&record()), refused(403, "Forbidden")], Forbidden),
        (vec![both(), refused(404, "NotFound")], Foreign("there is no SigningIdentity hub-1.k".into())),
        (
            vec![both(), identity_of("other", Some(&record()))],
            Foreign("SigningIdentity hub-1.k is for cosmos/other".into()),
        ),
        (vec![both(), identity_of("hub", None)], NoRecord),
        (
            vec![both(), identity(&Record { shut: Some(Shut::Foreign), ..record() })],
            GroupFacts::Shut(Shut::Foreign.because().into()),
        ),
        (vec![both(), identity(&other)], NotHolder("b".into())),
        (vec![group(&["a"]), identity(&record())], NoStandby),
        (vec![both(), identity(&fenced)], Moving("epoch 4 is over, and nobody has begun the next".into())),
        (
            vec![both(), identity(&blocked())],
            Moving("epoch 4 is being taken from a: blocked: no block passes its ceiling without this key".into()),
        ),
    ];
    for (answers, expected) in table {
        let (client, _) = Fake::answering(answers);
        assert_eq!(read_group(&client, "cosmos", OF).await, Ok(expected));
    }
    let elsewhere = GroupRef { network: "osmosis", ..OF };
    let (client, _) = Fake::answering([both(), identity(&record())]);
    assert!(matches!(read_group(&client, "cosmos", elsewhere).await, Ok(Foreign(_))));
    let (client, _) = Fake::answering([both(), refused(500, "InternalError")]);
    assert!(read_group(&client, "cosmos", OF).await.is_err());
}

/// Every step of the ladder looks at the group: what cannot be read must not keep a pod from being restarted.
#[tokio::test]
async fn one_that_cannot_be_read_says_so_and_stops_nothing_else() {
    let broken = || Answer::json(200, json!({"metadata": {"name": "hub"}, "spec": {"network": 7}}));
    let both = || group(&["a", "b"]);
    let odd = || orders(&[json!({"metadata": {"name": "x"}, "spec": {"identity": IDENTITY}})]);
    for answers in [vec![broken()], vec![both(), identity(&record()), odd()]] {
        let (client, _) = Fake::answering(answers);
        let found = read_group(&client, "cosmos", OF).await;
        assert!(matches!(&found, Ok(Foreign(why)) if why.contains("cannot be read")), "{found:?}");
    }
}

#[tokio::test]
async fn an_order_says_what_it_is_about_and_goes_with_its_journal() {
    let (client, fake) = Fake::answering([Answer::json(201, stored("val-a-0-abc", &json!({})))]);
    let action = action();
    assert_eq!(order_failover(&client, &given(&action, &["preset/silent".into()])).await, Outcome::Done);
    let [request] = fake.requests().try_into().unwrap();
    assert_eq!(request.line(), "POST /apis/mainstay.dev/v1alpha1/namespaces/cosmos/signingorders");
    let spec = json!({"identity": IDENTITY, "epoch": 4, "by": "mainstay",
        "failover": {"reason": "val-a-0 is unwell: preset/silent"}});
    assert_eq!(request.body["spec"], spec);
    let owner = json!([{"apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeRemediation", "name": "val-a-0-abc",
        "uid": "r1"}]);
    assert_eq!(request.body["metadata"]["ownerReferences"], owner);
}

#[tokio::test(start_paused = true)]
async fn it_is_given_once_however_often_it_is_asked_for() {
    let exists = || refused(409, "AlreadyExists");
    let own = || Answer::json(200, stored("val-a-0-abc", &json!({})));
    let another = |change: fn(&mut Value)| {
        let mut order = stored("val-a-0-abc", &json!({}));
        change(&mut order);
        Answer::json(200, order)
    };
    let table = [
        (vec![exists(), own()], "done"),
        (vec![exists(), another(|order| order["spec"]["epoch"] = json!(3))], "refused"),
        (vec![exists(), another(|order| order["metadata"]["ownerReferences"][0]["uid"] = json!("r2"))], "refused"),
        (vec![exists(), refused(404, "NotFound")], "unknown"),
        (vec![refused(403, "Forbidden")], "refused"),
        (vec![Answer::Reset], "unknown"),
    ];
    for (answers, label) in table {
        let (client, _) = Fake::answering(answers);
        let action = action();
        assert_eq!(order_failover(&client, &given(&action, &["preset/silent".into()])).await.label(), label);
    }
}

#[tokio::test]
async fn an_order_is_read_to_its_end() {
    let read = |status: &Value| Answer::json(200, stored("val-a-0-abc", status));
    let accepted = || read(&json!({"outcome": "Accepted", "member": "b"}));
    let waits =
        "b is to go on; epoch 4 is being taken from a: blocked: no block passes its ceiling without this key";
    let table = [
        (vec![read(&json!({"outcome": "Done", "member": "b"}))], OrderState::Done("b".into())),
        (
            vec![read(&json!({"outcome": "Refused", "reason": "nobody is fit"}))],
            OrderState::Refused("nobody is fit".into()),
        ),
        (vec![accepted(), identity(&blocked())], OrderState::Open(waits.into())),
        (vec![refused(404, "NotFound")], OrderState::Absent),
    ];
    let action = action();
    for (answers, expected) in table {
        let (client, _) = Fake::answering(answers);
        assert_eq!(read_order(&client, &given(&action, &["preset/silent".into()])).await, Ok(expected));
    }
    let (client, _) = Fake::answering([read(&json!({}))]);
    let other = Given { remediation: "r2", ..given(&action, &[]) };
    assert_eq!(read_order(&client, &other).await, Ok(OrderState::Absent), "it is not its own");
}
