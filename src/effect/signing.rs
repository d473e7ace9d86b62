//! The record of a signing identity: a live read, and a write with the version that was read. And the answer to an order.

use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use super::{Failed, Outcome, Verb, status};
use crate::{
    api::{SigningIdentity, SigningIdentitySpec, SigningIdentityStatus, SigningOrder, SigningOrderStatus},
    controller::clients::{DEADLINE, deadline},
    failover::{Record, Unreadable},
};

/// An identity as it was read.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    version: String,
    /// What administrators wrote.
    pub spec: SigningIdentitySpec,
    /// The record; none until a person has begun one.
    pub record: Result<Option<Record>, Unreadable>,
}

/// Reads an identity live; `None` if there is none of that name.
pub async fn read_identity(actuator: &Client, name: &str) -> Result<Option<Identity>, Failed> {
    let api: Api<SigningIdentity> = Api::all(actuator.clone());
    match deadline(DEADLINE, api.get(name)).await {
        Ok(object) => Ok(Some(identity(name, object))),
        Err(error) => match Failed::of("read a signing identity", Verb::Read, &error) {
            Failed { outcome: Outcome::Gone, .. } => Ok(None),
            failed => Err(failed),
        },
    }
}

/// Writes a record, if nobody has written since `read`; what is there then.
pub async fn write_record(actuator: &Client, read: &Identity, record: &Record) -> Result<Identity, Failed> {
    let api: Api<SigningIdentity> = Api::all(actuator.clone());
    let mut object = SigningIdentity::new(&read.name, read.spec.clone());
    object.metadata = ObjectMeta {
        name: Some(read.name.clone()),
        uid: Some(read.uid.clone()),
        resource_version: Some(read.version.clone()),
        ..ObjectMeta::default()
    };
    object.status = Some(SigningIdentityStatus::from(record));
    let params = PostParams { field_manager: Some("mainstay-failover".into()), ..PostParams::default() };
    let written = deadline(DEADLINE, api.replace_status(&read.name, &params, &object)).await;
    let written =
        written.map_err(|error| Failed::of("write the record of a signing identity", Verb::Write, &error));
    Ok(identity(&read.name, written?))
}

fn identity(name: &str, object: SigningIdentity) -> Identity {
    Identity {
        name: name.to_owned(),
        uid: object.metadata.uid.unwrap_or_default(),
        version: object.metadata.resource_version.unwrap_or_default(),
        record: object.status.as_ref().map(Record::try_from).transpose(),
        spec: object.spec,
    }
}

/// Reads an order live; `None` if it is gone. What a cache has of it may be from before it was answered.
pub async fn read_order(actuator: &Client, namespace: &str, name: &str) -> Result<Option<SigningOrder>, Failed> {
    let api: Api<SigningOrder> = Api::namespaced(actuator.clone(), namespace);
    match deadline(DEADLINE, api.get(name)).await {
        Ok(order) => Ok(Some(order)),
        Err(error) => match Failed::of("read a signing order", Verb::Read, &error) {
            Failed { outcome: Outcome::Gone, .. } => Ok(None),
            failed => Err(failed),
        },
    }
}

/// Answers an order, unless that is what it says already.
pub async fn answer_order(
    actuator: &Client,
    order: &SigningOrder,
    says: &SigningOrderStatus,
) -> Result<(), Failed> {
    let of = status::StatusRef {
        namespace: order.metadata.namespace.clone(),
        name: order.metadata.name.clone().unwrap_or_default(),
        uid: order.metadata.uid.clone().unwrap_or_default(),
    };
    let cached = order.status.as_ref();
    status::apply::<SigningOrder, _>(actuator, "failover", &of, says, cached).await.map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        effect::fake::{Answer, Fake},
        failover::{Activation, Epoch, Height},
    };

    fn object(version: &str, record: Option<&Record>) -> serde_json::Value {
        json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity",
            "metadata": {"name": "hub.k", "uid": "i1", "resourceVersion": version},
            "spec": {"network": "hub", "namespace": "cosmos", "group": "val", "window": 20},
            "status": record.map(SigningIdentityStatus::from),
        })
    }

    #[tokio::test]
    async fn a_record_is_written_with_the_version_that_was_read() {
        let record = Record::adopted(Epoch(1), Activation(2), Height(3));
        let (client, fake) =
            Fake::answering([Answer::json(200, object("7", None)), Answer::json(200, object("8", Some(&record)))]);
        let read = read_identity(&client, "hub.k").await.unwrap().unwrap();
        assert_eq!(read.record, Ok(None));
        let written = write_record(&client, &read, &record).await.unwrap();
        assert_eq!(written.record, Ok(Some(record)));
        let [_, request] = fake.requests().try_into().unwrap();
        assert_eq!(request.line(), "PUT /apis/mainstay.dev/v1alpha1/signingidentities/hub.k/status");
        assert_eq!(
            (&request.body["metadata"]["resourceVersion"], &request.body["metadata"]["uid"]),
            (&json!("7"), &json!("i1"))
        );
        assert_eq!(request.body["status"]["epoch"], 1);
    }

    #[tokio::test]
    async fn who_came_later_is_told_so() {
        let record = Record::adopted(Epoch(1), Activation(2), Height(3));
        let (client, _) = Fake::answering([Answer::json(200, object("7", None)), Answer::status(409, "Conflict")]);
        let read = read_identity(&client, "hub.k").await.unwrap().unwrap();
        assert_eq!(write_record(&client, &read, &record).await.unwrap_err().outcome.label(), "moved");
    }
}
