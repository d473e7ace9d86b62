//! C07: two versions side by side. The record is written whole, so a field that one of them does not know is a reason to write
//! nothing: it may be what forbids a signature.

use std::time::Duration;

use mainstay::{
    effect::signing::{read_identity, write_record},
    failover::{Activation, Epoch, Event, HandOver, Height, Record},
    gate::registry::{Identity, Registry, Trouble},
};
use serde_json::{Value, json};

use crate::stage::{JSON, KEY, MERGE, Stage, get, send};

/// A later version's definition, in which anything may stand in the record.
async fn widen(stage: &Stage) {
    let admin = &stage.server.client;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/signingidentities.mainstay.dev";
    let mut object = get(admin, path).await.unwrap();
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    let loose = json!({"type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true});
    *object.pointer_mut(status).unwrap() = loose;
    send(admin, "PUT", path, JSON, &object).await.unwrap();
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn what_a_later_version_wrote_is_taken_away_by_no_earlier_one() {
    let stage = Stage::new().await;
    stage.grant().await;
    let own = stage.server.own_account();
    let a = stage.start("a").await;
    stage.operator(|_| Record::adopted(Epoch(0), Activation(1), Height(100))).await;
    let pod = a.clone().into();
    stage.step(Event::Offered { pod, activation: Activation(2), hand_over: HandOver::Gate }).await;
    let mut gate = stage.gate(&a, 7).await;
    gate.turn(101).await.unwrap();
    let (mine, theirs) = (Identity::new(stage.client_of(&a).await, KEY), read_identity(&own, KEY).await.unwrap());
    let seen = mine.read().await.unwrap();
    let record = seen.record.clone().unwrap();
    widen(&stage).await;

    let path = Stage::record_path();
    for (field, later) in [("foreign", json!(true)), ("holder", json!({"zone": "z"}))] {
        let mut tries = 300;
        let there = |object: &Value| object["status"].pointer(&pointer(field)).is_some();
        // The definition takes effect by and by.
        while !there(&send(&own, "PATCH", &path, MERGE, &json!({"status": {field: later}})).await.unwrap()) {
            tries -= 1;
            assert!(tries > 0, "{field} is pruned");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Whoever has read before is late, and whoever reads now has nothing that it could write back.
        assert!(matches!(mine.write(&seen, &record).await, Err(Trouble::Conflict)));
        assert!(write_record(&own, theirs.as_ref().unwrap(), &record).await.is_err());
        let error = mine.read().await.unwrap_err();
        assert!(matches!(&error, Trouble::Newer(why) if why.contains("unknown field")), "{error}");
        assert!(matches!(gate.turn(101).await, Err(Trouble::Newer(_))));
        assert!(read_identity(&own, KEY).await.unwrap().unwrap().record.is_err());
        let now = stage.identity().await;
        assert!(there(&now), "{now}");
        let gone = if field == "holder" { json!({"zone": null}) } else { Value::Null };
        send(&own, "PATCH", &path, MERGE, &json!({"status": {field: gone}})).await.unwrap();
        assert_eq!(mine.read().await.unwrap().record, Some(record.clone()), "{field}");
    }
}

fn pointer(field: &str) -> String {
    if field == "holder" { "/holder/zone".into() } else { format!("/{field}") }
}
