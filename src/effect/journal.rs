//! Journal: writes remediations down, before anything is done and whenever something was.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::params::Preconditions,
};
use serde_json::json;

use super::{Failed, Outcome, Verb};
use crate::{
    api::{FINALIZER, NodeRemediation, NodeRemediationStatus},
    controller::clients::{CallError, DEADLINE, deadline},
};

/// Who writes, for the API server's bookkeeping.
const MANAGER: &str = "mainstay-remediation";

/// What came of creating a remediation.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// It is new.
    New(NodeRemediation),
    /// One of that name was there already, as it is now: another operator's, or our own before a crash or a lost
    /// answer.
    Exists(NodeRemediation),
}

/// Creates a remediation under its deterministic name and holds on to it by a finalizer. After an unknown outcome the
/// same call tells whether it was carried out.
pub async fn create(actuator: &Client, object: &NodeRemediation) -> Result<Created, Failed> {
    const DOING: &str = "create a remediation";
    let (api, name) = (api(actuator, object), object.name_any());
    let mut object = object.clone();
    object.metadata.finalizers = Some(vec![FINALIZER.into()]);
    match deadline(DEADLINE, api.create(&post(), &object)).await {
        Ok(created) => Ok(Created::New(created)),
        Err(CallError::Kube(kube::Error::Api(status))) if status.is_already_exists() => {
            let found = deadline(DEADLINE, api.get(&name)).await;
            found.map(Created::Exists).map_err(|error| Failed::of(DOING, Verb::Read, &error))
        }
        Err(error) => Err(Failed::of(DOING, Verb::Write, &error)),
    }
}

/// Reads a remediation live; `None` if it does not exist.
pub async fn get(actuator: &Client, namespace: &str, name: &str) -> Result<Option<NodeRemediation>, Failed> {
    let api: Api<NodeRemediation> = Api::namespaced(actuator.clone(), namespace);
    match deadline(DEADLINE, api.get(name)).await {
        Ok(object) => Ok(Some(object)),
        Err(error) => match Failed::of("read a remediation", Verb::Read, &error) {
            Failed { outcome: Outcome::Gone, .. } => Ok(None),
            failed => Err(failed),
        },
    }
}

/// Writes the status of a remediation if nobody has changed it since `object` was read, and returns it as it is now.
/// Somebody else's change is `Moved`.
pub async fn write_status(
    actuator: &Client,
    object: &NodeRemediation,
    status: NodeRemediationStatus,
) -> Result<NodeRemediation, Failed> {
    let mut next = object.clone();
    next.status = Some(status);
    let (api, name) = (api(actuator, object), object.name_any());
    let written = deadline(DEADLINE, api.replace_status(&name, &post(), &next)).await;
    written.map_err(|error| Failed::of("write the status of a remediation", Verb::Write, &error))
}

/// Holds on to a remediation that somebody else has created, if nobody has changed it since it was read.
pub async fn hold(actuator: &Client, object: &NodeRemediation) -> Result<NodeRemediation, Failed> {
    let metadata = &object.metadata;
    let held: Vec<_> = metadata.finalizers.iter().flatten().map(String::as_str).chain([FINALIZER]).collect();
    let patch = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": held,
    }});
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let (api, name) = (api(actuator, object), object.name_any());
    let held = deadline(DEADLINE, api.patch(&name, &params, &Patch::Merge(&patch))).await;
    held.map_err(|error| Failed::of("hold a remediation", Verb::Write, &error))
}

/// Lets a remediation go: takes our finalizer off, if nobody has changed the object since it was read. One that does
/// not exist any more has been let go.
pub async fn let_go(actuator: &Client, object: &NodeRemediation) -> Result<(), Failed> {
    let_go_unread(actuator, &object.metadata).await
}

/// The same of one of which nothing but the metadata can be read.
pub async fn let_go_unread(actuator: &Client, metadata: &ObjectMeta) -> Result<(), Failed> {
    if !holds(metadata) {
        return Ok(());
    }
    let others: Vec<_> = metadata.finalizers.iter().flatten().filter(|other| *other != FINALIZER).collect();
    // uid and resourceVersion in a merge patch are preconditions: 409 if they are not what the object has.
    let patch = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": others,
    }});
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let api: Api<NodeRemediation> = Api::namespaced(actuator.clone(), &namespace);
    let name = metadata.name.clone().unwrap_or_default();
    let answer = deadline(DEADLINE, api.patch_metadata(&name, &params, &Patch::Merge(&patch))).await;
    gone_is_done(answer.map(|_| ()), "let a remediation go", Verb::Write)
}

/// Whether our finalizer is on a remediation.
#[must_use]
pub fn is_held(object: &NodeRemediation) -> bool {
    holds(&object.metadata)
}

/// Whether our finalizer is on a remediation with this metadata.
#[must_use]
pub fn holds(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// Deletes a remediation that nobody needs any more, if it is still what it was when that was decided.
pub async fn delete(actuator: &Client, object: &NodeRemediation) -> Result<(), Failed> {
    let preconditions = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
    let params = DeleteParams::default().preconditions(preconditions);
    let answer = deadline(DEADLINE, api(actuator, object).delete(&object.name_any(), &params)).await;
    gone_is_done(answer.map(|_| ()), "delete a remediation", Verb::Delete)
}

fn gone_is_done(answer: Result<(), CallError>, doing: &'static str, verb: Verb) -> Result<(), Failed> {
    match answer.map_err(|error| Failed::of(doing, verb, &error)) {
        Err(Failed { outcome: Outcome::Gone, .. }) => Ok(()),
        other => other,
    }
}

fn api(actuator: &Client, object: &NodeRemediation) -> Api<NodeRemediation> {
    Api::namespaced(actuator.clone(), &object.namespace().unwrap_or_default())
}

fn post() -> PostParams {
    PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        api::Phase,
        effect::fake::{Answer, Fake},
    };

    fn stored() -> Value {
        json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeRemediation",
            "metadata": {"namespace": "cosmos", "name": "val-0-abc", "uid": "r1", "resourceVersion": "7",
                "finalizers": ["mainstay.dev/remediation", "example.org/other"]},
            "spec": {
                "network": "hub", "attempt": 1, "action": {"page": {}},
                "policy": {"name": "hub", "uid": "p", "generation": 1},
                "target": {"slot": "val-0", "pod": "val-0", "uid": "u1"},
            },
        })
    }

    fn remediation() -> NodeRemediation {
        serde_json::from_value(stored()).unwrap()
    }

    #[tokio::test]
    async fn a_new_remediation_is_held() {
        let (client, fake) = Fake::answering([Answer::json(201, stored())]);
        let mut object = remediation();
        object.metadata.finalizers = None;
        assert_eq!(create(&client, &object).await, Ok(Created::New(remediation())));
        let request = &fake.requests()[0];
        assert_eq!(request.line(), "POST /apis/mainstay.dev/v1alpha1/namespaces/cosmos/noderemediations");
        assert_eq!(request.query(), "fieldManager=mainstay-remediation");
        assert_eq!(request.body["metadata"]["finalizers"], json!([FINALIZER]));
    }

    #[tokio::test]
    async fn one_that_exists_is_read() {
        let (client, fake) = Fake::answering([Answer::status(409, "AlreadyExists"), Answer::json(200, stored())]);
        assert_eq!(create(&client, &remediation()).await, Ok(Created::Exists(remediation())));
        assert!(fake.requests()[1].line().starts_with("GET "));
        let (client, _) = Fake::answering([Answer::status(409, "AlreadyExists"), Answer::status(404, "NotFound")]);
        assert_eq!(create(&client, &remediation()).await.unwrap_err().outcome, Outcome::Gone);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unclear_creation_is_told_as_one() {
        for answer in [Answer::Hang, Answer::Reset, Answer::status(503, "ServiceUnavailable")] {
            let (client, fake) = Fake::answering([answer]);
            assert_eq!(create(&client, &remediation()).await.unwrap_err().outcome.label(), "unknown");
            assert_eq!(fake.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_status_is_written_on_the_version_that_was_read() {
        let (client, fake) = Fake::answering([Answer::json(200, stored()), Answer::status(409, "Conflict")]);
        let status = NodeRemediationStatus { phase: Phase::Acting, ..NodeRemediationStatus::default() };
        write_status(&client, &remediation(), status.clone()).await.unwrap();
        let request = &fake.requests()[0];
        let path = "/apis/mainstay.dev/v1alpha1/namespaces/cosmos/noderemediations/val-0-abc/status";
        assert_eq!(request.line(), format!("PUT {path}"));
        assert_eq!(request.body["metadata"]["resourceVersion"], "7");
        assert_eq!(request.body["status"]["phase"], "Acting");
        let failed = write_status(&client, &remediation(), status).await.unwrap_err();
        assert_eq!(failed.outcome.label(), "moved");
    }

    #[tokio::test]
    async fn what_a_person_wrote_is_held_beside_what_others_hold() {
        let (client, fake) = Fake::answering([Answer::json(200, stored())]);
        let mut object = remediation();
        object.metadata.finalizers = Some(vec!["example.org/other".into()]);
        assert_eq!(hold(&client, &object).await, Ok(remediation()));
        let expected =
            json!({"uid": "r1", "resourceVersion": "7", "finalizers": ["example.org/other", FINALIZER]});
        assert_eq!(fake.requests()[0].body["metadata"], expected);
    }

    #[tokio::test]
    async fn only_our_own_finalizer_is_taken_off() {
        let meta = json!({"metadata": {"name": "val-0-abc"}});
        let (client, fake) = Fake::answering([Answer::json(200, meta), Answer::status(404, "NotFound")]);
        let_go(&client, &remediation()).await.unwrap();
        let expected = json!({"uid": "r1", "resourceVersion": "7", "finalizers": ["example.org/other"]});
        assert_eq!(fake.requests()[0].body["metadata"], expected);
        assert_eq!(fake.requests()[0].content_type, "application/merge-patch+json");
        let_go(&client, &remediation()).await.unwrap();
        let mut free = remediation();
        free.metadata.finalizers = None;
        let_go(&client, &free).await.unwrap();
        assert_eq!(fake.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_deletion_is_of_that_very_object() {
        let gone = Answer::status(404, "NotFound");
        let (client, fake) = Fake::answering([Answer::json(200, stored()), gone, Answer::status(409, "Conflict")]);
        delete(&client, &remediation()).await.unwrap();
        delete(&client, &remediation()).await.unwrap();
        assert_eq!(delete(&client, &remediation()).await.unwrap_err().outcome.label(), "moved");
        assert_eq!(fake.requests()[0].body, json!({"preconditions": {"uid": "r1", "resourceVersion": "7"}}));
    }

    #[tokio::test]
    async fn one_that_is_gone_is_read_as_none() {
        let (client, _) = Fake::answering([
            Answer::json(200, stored()),
            Answer::status(404, "NotFound"),
            Answer::status(500, "InternalError"),
        ]);
        assert_eq!(get(&client, "cosmos", "val-0-abc").await, Ok(Some(remediation())));
        assert_eq!(get(&client, "cosmos", "val-0-abc").await, Ok(None));
        let failed = get(&client, "cosmos", "val-0-abc").await.unwrap_err();
        assert_eq!(
            failed.to_string(),
            "failed to read a remediation: nobody knows whether it was carried out: 500: message of 500"
        );
    }
}
