//! The record of a signing identity: a live read, and a write with the version that was read. And the answer to an order.

use kube::{
    Api, Client, Resource,
    api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
    core::ApiResource,
};
use serde_json::json;

use super::{Failed, Outcome, Verb, outcome::bounded};
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
    /// What administrators wrote; else the field that this build cannot read, and why.
    pub spec: Result<SigningIdentitySpec, String>,
    /// The record; none until a person has begun one.
    pub record: Result<Option<Record>, Unreadable>,
}

impl Identity {
    /// The record, if there is one that can be read.
    #[must_use]
    pub fn readable(&self) -> Option<&Record> {
        self.record.as_ref().ok()?.as_ref()
    }
}

/// Reads an identity live; `None` if there is none of that name.
pub async fn read_identity(actuator: &Client, name: &str) -> Result<Option<Identity>, Failed> {
    // In two parts, and by hand: what one of them cannot be read for concerns the group that it names, and nobody else.
    let api: Api<DynamicObject> = Api::all_with(actuator.clone(), &ApiResource::erase::<SigningIdentity>(&()));
    match deadline(DEADLINE, api.get(name)).await {
        Ok(object) => Ok(Some(found(name, object))),
        Err(error) => match Failed::of("read a signing identity", Verb::Read, &error) {
            Failed { outcome: Outcome::Gone, .. } => Ok(None),
            failed => Err(failed),
        },
    }
}

/// Writes a record, if nobody has written since `read`; what is there then.
pub async fn write_record(actuator: &Client, read: &Identity, record: &Record) -> Result<Identity, Failed> {
    let api: Api<SigningIdentity> = Api::all(actuator.clone());
    let spec = read.spec.clone().map_err(|why| Failed {
        doing: "write the record of a signing identity",
        outcome: Outcome::Refused(bounded(&why)),
    })?;
    let mut object = SigningIdentity::new(&read.name, spec);
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
        spec: Ok(object.spec),
    }
}

fn found(name: &str, mut object: DynamicObject) -> Identity {
    let mut part = |name: &str| object.data.get_mut(name).map(serde_json::Value::take).unwrap_or_default();
    let (spec, status) = (part("spec"), part("status"));
    let spec = serde_path_to_error::deserialize(spec);
    let status: Result<Option<SigningIdentityStatus>, _> = serde_path_to_error::deserialize(status);
    let record = match status {
        Ok(status) => status.as_ref().map(Record::try_from).transpose(),
        Err(why) => {
            let (field, why) = (why.path().to_string().into(), bounded(&why.inner().to_string()));
            // The words of serde. The API server keeps no field that its definition does not know.
            let later = why.starts_with("unknown field") || why.starts_with("unknown variant");
            Err(Unreadable { field, why: why.into(), later })
        }
    };
    Identity {
        name: name.to_owned(),
        uid: object.metadata.uid.unwrap_or_default(),
        version: object.metadata.resource_version.unwrap_or_default(),
        record,
        spec: spec.map_err(|why| bounded(&format!("spec.{}: {}", why.path(), why.inner()))),
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

/// Answers an order, if nobody has since it was read: of two operators one has the last word, and it stays the last. What is
/// there then.
pub async fn answer_order(
    actuator: &Client,
    order: &SigningOrder,
    says: &SigningOrderStatus,
) -> Result<SigningOrder, Failed> {
    let ObjectMeta { namespace, name, uid, resource_version, .. } = &order.metadata;
    let (namespace, name) = (namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default());
    let api: Api<SigningOrder> = Api::namespaced(actuator.clone(), namespace);
    let patch = Patch::Apply(json!({
        "apiVersion": SigningOrder::api_version(&()), "kind": SigningOrder::kind(&()),
        "metadata": {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": resource_version},
        "status": says,
    }));
    let params = PatchParams::apply("mainstay-failover").force().validation_strict();
    let answered = deadline(DEADLINE, api.patch_status(name, &params, &patch)).await;
    answered.map_err(|error| Failed::of("answer a signing order", Verb::Write, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{OrderOutcome, SigningOrderSpec, SwitchOrder},
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

    /// Each part says by itself why it cannot be read: the other one, and every other identity, goes on.
    #[tokio::test]
    async fn what_cannot_be_read_is_told_with_its_place() {
        let record = Record::adopted(Epoch(1), Activation(2), Height(3));
        let (mut wide, mut odd) = (object("7", Some(&record)), object("7", Some(&record)));
        wide["spec"]["window"] = json!("many");
        odd["status"]["phase"] = json!("Sometimes");
        let (client, fake) = Fake::answering([Answer::json(200, wide), Answer::json(200, odd)]);
        let wide = read_identity(&client, "hub.k").await.unwrap().unwrap();
        assert!(wide.spec.as_ref().unwrap_err().starts_with("spec.window: "), "{wide:?}");
        assert_eq!(wide.readable(), Some(&record));
        let refused = write_record(&client, &wide, &record).await.unwrap_err().outcome;
        assert!(matches!(refused, Outcome::Refused(_)) && fake.requests().len() == 1);
        let odd = read_identity(&client, "hub.k").await.unwrap().unwrap();
        assert_eq!(odd.spec.unwrap().window, 20);
        assert!(odd.record.unwrap_err().to_string().starts_with("status.phase: "));
    }

    /// A hand leaves damage, and a later version what this one has no word for.
    #[tokio::test]
    async fn what_this_version_has_no_word_for_may_be_a_later_ones() {
        type Spoil = fn(&mut serde_json::Value);
        let spoils: [(Spoil, bool); 5] = [
            (|status| status["shared"] = json!(true), true),
            (|status| status["phase"] = json!("Sometimes"), true),
            (|status| status["phase"] = json!(7), false),
            (|status| status["floor"] = json!(-1), false),
            (|status| drop(status.as_object_mut().unwrap().remove("proof")), false),
        ];
        for (spoil, later) in spoils {
            let mut object = object("7", Some(&Record::adopted(Epoch(1), Activation(2), Height(3))));
            spoil(&mut object["status"]);
            let (client, _) = Fake::answering([Answer::json(200, object.clone())]);
            let why = read_identity(&client, "hub.k").await.unwrap().unwrap().record.unwrap_err();
            assert_eq!(why.later, later, "{object}: {why}");
        }
    }

    #[tokio::test]
    async fn who_came_later_is_told_so() {
        let record = Record::adopted(Epoch(1), Activation(2), Height(3));
        let (client, _) = Fake::answering([Answer::json(200, object("7", None)), Answer::status(409, "Conflict")]);
        let read = read_identity(&client, "hub.k").await.unwrap().unwrap();
        assert_eq!(write_record(&client, &read, &record).await.unwrap_err().outcome.label(), "moved");
    }

    /// Else an operator that was away for a moment would open an order again that another has carried out.
    #[tokio::test]
    async fn an_order_is_answered_as_it_was_read() {
        let spec = SigningOrderSpec {
            identity: "hub.k".into(),
            epoch: 4,
            by: "ann".into(),
            init: None,
            adopt: None,
            failover: Some(SwitchOrder { to: None, reason: String::new() }),
            release: None,
        };
        let mut order = SigningOrder::new("x", spec);
        order.metadata.namespace = Some("cosmos".into());
        order.metadata.uid = Some("o1".into());
        order.metadata.resource_version = Some("7".into());
        let later = json!({"metadata": {"name": "x", "resourceVersion": "8"}, "spec": order.spec});
        let (client, fake) = Fake::answering([Answer::json(200, later), Answer::status(409, "Conflict")]);
        let says = SigningOrderStatus { outcome: Some(OrderOutcome::Done), ..SigningOrderStatus::default() };
        let answered = answer_order(&client, &order, &says).await.unwrap();
        assert_eq!(answered.metadata.resource_version.as_deref(), Some("8"));
        let [request] = fake.requests().try_into().unwrap();
        assert_eq!(request.line(), "PATCH /apis/mainstay.dev/v1alpha1/namespaces/cosmos/signingorders/x/status");
        let metadata = &request.body["metadata"];
        assert_eq!((&metadata["resourceVersion"], &metadata["uid"]), (&json!("7"), &json!("o1")));
        assert_eq!(answer_order(&client, &order, &says).await.unwrap_err().outcome.label(), "moved");
    }
}
