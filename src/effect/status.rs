//! Status: shows people what is going on, by server-side apply. Never read back for a decision.

use kube::{
    Client, Resource,
    api::{Patch, PatchParams},
    core::Request,
};
use serde::{Serialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{Failed, Outcome, Verb};
use crate::controller::clients::{DEADLINE, deadline};

/// Whose status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRef {
    /// Its namespace, if its kind has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its uid: an object that was made anew has a story of its own.
    pub uid: String,
}

/// Applies a status as `mainstay-<controller>`, unless the cache has just that. Returns whether it was written.
/// Everything in the status is ours, so the apply is forced; it never creates an object, because the uid is in it.
pub async fn apply<K, S>(
    actuator: &Client,
    controller: &str,
    object: &StatusRef,
    status: &S,
    cached: Option<&S>,
) -> Result<bool, Failed>
where
    K: Resource<DynamicType = ()>,
    S: Serialize + PartialEq + Sync,
{
    const DOING: &str = "apply a status";
    if cached == Some(status) {
        return Ok(false);
    }
    let StatusRef { namespace, name, uid } = object;
    let patch = Patch::Apply(without_nulls(json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": {"namespace": namespace, "name": name, "uid": uid},
        "status": status,
    })));
    let params = PatchParams::apply(&format!("mainstay-{controller}")).force().validation_strict();
    let request = Request::new(K::url_path(&(), namespace.as_deref()));
    let request = request.patch_subresource("status", name, &params, &patch);
    let request =
        request.map_err(|error| Failed { doing: DOING, outcome: Outcome::Refused(error.to_string()) })?;
    match deadline(DEADLINE, actuator.request::<IgnoredAny>(request)).await {
        Ok(_) => Ok(true),
        Err(error) => Err(Failed::of(DOING, Verb::Write, &error)),
    }
}

/// What is not there is left out: a schema refuses a null where it wants a number.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{Network, NetworkStatus},
        effect::fake::{Answer, Fake},
    };

    #[tokio::test]
    async fn it_is_forced_names_the_uid_and_is_written_only_when_new() {
        let (client, fake) = Fake::answering([Answer::json(200, json!({}))]);
        let object = StatusRef { namespace: None, name: "hub".into(), uid: "n1".into() };
        let status = NetworkStatus::default();
        let write = |cached| apply::<Network, _>(&client, "network", &object, &status, cached);
        assert_eq!(write(Some(&status)).await, Ok(false));
        assert_eq!(write(None).await, Ok(true));
        let [request] = fake.requests().try_into().unwrap();
        assert_eq!(request.line(), "PATCH /apis/mainstay.dev/v1alpha1/networks/hub/status");
        assert_eq!(request.query(), "force=true&fieldManager=mainstay-network&fieldValidation=Strict");
        assert_eq!(request.content_type, "application/apply-patch+yaml");
        assert_eq!(request.body["apiVersion"], "mainstay.dev/v1alpha1");
        assert_eq!(request.body["kind"], "Network");
        assert_eq!(request.body["metadata"], json!({"name": "hub", "uid": "n1"}));
    }

    #[tokio::test]
    async fn an_object_that_was_made_anew_is_left_alone() {
        let (client, _) = Fake::answering([Answer::status(409, "Conflict")]);
        let object = StatusRef { namespace: None, name: "hub".into(), uid: "n1".into() };
        let failed = apply::<Network, _>(&client, "network", &object, &NetworkStatus::default(), None).await;
        assert_eq!(failed.unwrap_err().outcome.label(), "moved");
    }
}
