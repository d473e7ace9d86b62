//! Gate: sets the condition behind a pod's readiness gate. Nothing else of a pod's status is ever written.
//!
//! By a strategic merge patch, in which conditions are told apart by their type: any other patch would have to send, and
//! could overwrite, what the kubelet says.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Resource,
    api::{ListParams, Patch, PatchParams},
    core::{ObjectList, Request},
};
use serde_json::json;

use super::{
    Outcome, RotationOrder, Verb,
    read::{ReadError, read_pod},
    rotate::MANAGER,
};
use crate::{
    api::IN_ROTATION,
    controller::clients::{DEADLINE, deadline},
    plan::{Place, Switch},
    signal::Server,
    world::{PodView, readiness},
};

/// Pods per page. A pod may have tens of kilobytes, and all of a page are in memory at once.
const PAGE: u32 = 200;

/// Opens or shuts the gate, once, if the pod is still what it was. Place, policy and time are one write.
pub(super) async fn turn(actuator: &Client, order: &RotationOrder) -> Outcome {
    let (status, reason) = if order.serves { ("True", readiness::IN) } else { ("False", readiness::OUT) };
    let at = Timestamp::from_millisecond(order.now.0).unwrap_or(Timestamp::UNIX_EPOCH);
    let patch = json!({
        // In a patch these two are preconditions: another version is a conflict, and no object changes its uid.
        "metadata": {"uid": order.uid, "resourceVersion": order.resource_version},
        "status": {"conditions": [{
            "type": IN_ROTATION,
            "status": status,
            "reason": reason,
            "message": readiness::told(&order.policy, order.now),
            "lastTransitionTime": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }]},
    });
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let request = Request::new(Pod::url_path(&(), Some(&order.namespace)));
    let request = match request.patch_subresource("status", &order.pod, &params, &Patch::Strategic(&patch)) {
        Ok(request) => request,
        Err(error) => return Outcome::of(Verb::Write, &kube::Error::BuildRequest(error).into()),
    };
    match deadline(DEADLINE, actuator.request::<PodView>(request)).await {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::of(Verb::Write, &error),
    }
}

/// Opens the gate of a pod about which nobody has decided. `None` if a live look says that there is nothing to open, or
/// that the pod is not ours to touch.
pub async fn open_gate(
    actuator: &Client,
    namespace: &str,
    pod: &str,
    now: Server,
    protected: &(dyn Fn(&PodView) -> bool + Sync),
) -> Result<Option<Outcome>, ReadError> {
    let Some(pod) = read_pod(actuator, namespace, pod).await? else { return Ok(None) };
    if !pod.waits_at_its_gate() || protected(&pod) {
        return Ok(None);
    }
    let order = RotationOrder {
        namespace: pod.namespace,
        pod: pod.name,
        uid: pod.uid,
        resource_version: pod.resource_version,
        switch: Switch::Gate,
        serves: true,
        policy: String::new(),
        now,
    };
    Ok(Some(turn(actuator, &order).await))
}

/// The pods of a namespace (all, if none is named) whose gate Mainstay has shut. No selector finds them: every pod is looked
/// at, one page after the other.
pub(super) async fn shut(client: &Client, namespace: Option<&str>) -> Result<Vec<PodView>, kube::Error> {
    let request = Request::new(Pod::url_path(&(), namespace));
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = request.list(&params).map_err(kube::Error::BuildRequest)?;
        // Not `Client::request`: it would log a whole list that it cannot read.
        let page = match client.request_text(page).await {
            // The same as for everything else in a namespace that took its role with it.
            Err(kube::Error::Api(status)) if status.code == 403 && namespace.is_some() => return Ok(found),
            page => page?,
        };
        let page: ObjectList<PodView> = serde_json::from_str(&page).map_err(kube::Error::SerdeError)?;
        found.extend(page.items.into_iter().filter(|pod| {
            let rotation = pod.rotation(Server(0));
            let ours = rotation.switch == Switch::Gate && !rotation.by.is_empty();
            ours && rotation.place == Place::Out && !pod.terminating
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::effect::{
        bring_all_back,
        fake::{Answer, Fake},
        rotate,
    };

    fn order(serves: bool) -> RotationOrder {
        RotationOrder {
            namespace: "cosmos".into(),
            pod: "full-1".into(),
            uid: "u1".into(),
            resource_version: "41".into(),
            switch: Switch::Gate,
            serves,
            policy: "p1".into(),
            now: Server(1_800_000_000_123),
        }
    }

    /// A pod with the gate, and with this condition behind it.
    fn pod(name: &str, condition: Option<[&str; 3]>) -> Value {
        let conditions: Vec<_> = condition
            .iter()
            .map(|[status, reason, message]| {
                json!({"type": IN_ROTATION, "status": status, "reason": reason, "message": message})
            })
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "cosmos", "name": name, "uid": "u1", "resourceVersion": "41"},
            "spec": {"readinessGates": [{"conditionType": IN_ROTATION}]},
            "status": {"conditions": conditions},
        })
    }

    const SHUT: [&str; 3] = ["False", readiness::OUT, "turned by policy p1 at 5"];

    #[tokio::test]
    async fn only_the_condition_of_that_very_pod_is_written_and_says_everything_at_once() {
        let answers = [Answer::json(200, pod("full-1", Some(SHUT))), Answer::status(409, "Conflict")];
        let (client, fake) = Fake::answering(answers);
        assert_eq!(rotate(&client, &order(false)).await, Outcome::Done);
        assert_eq!(rotate(&client, &order(true)).await.label(), "moved");
        let requests = fake.requests();
        assert_eq!(requests[0].line(), "PATCH /api/v1/namespaces/cosmos/pods/full-1/status");
        assert_eq!(requests[0].content_type, "application/strategic-merge-patch+json");
        let at = "2027-01-15T08:00:00Z";
        assert_eq!(
            requests[0].body,
            json!({"metadata": {"uid": "u1", "resourceVersion": "41"}, "status": {"conditions": [{
                "type": "mainstay.dev/in-rotation", "status": "False", "reason": "OutOfRotation",
                "message": "turned by policy p1 at 1800000000123", "lastTransitionTime": at,
            }]}})
        );
        let back = &requests[1].body["status"]["conditions"][0];
        assert_eq!((&back["status"], &back["reason"]), (&json!("True"), &json!("InRotation")));
    }

    #[tokio::test]
    async fn a_gate_is_opened_when_a_live_look_says_that_nobody_has_decided() {
        let read = |condition| Answer::json(200, pod("full-1", condition));
        let open = ["True", readiness::IN, ""];
        let (client, fake) = Fake::answering([read(None), read(Some(open))]);
        let done = open_gate(&client, "cosmos", "full-1", Server(5), &|_| false).await.unwrap();
        assert_eq!(done, Some(Outcome::Done));
        let requests = fake.requests();
        assert_eq!(requests[0].line(), "GET /api/v1/namespaces/cosmos/pods/full-1");
        let written = &requests[1].body;
        assert_eq!(written["metadata"], json!({"uid": "u1", "resourceVersion": "41"}));
        let condition = &written["status"]["conditions"][0];
        assert_eq!(
            (&condition["status"], &condition["message"]),
            (&json!("True"), &json!("nobody has taken it out"))
        );

        for (condition, protected) in [(Some(SHUT), false), (Some(open), false), (None, true)] {
            let (client, fake) = Fake::answering([read(condition)]);
            let left = open_gate(&client, "cosmos", "full-1", Server(5), &|_| protected).await.unwrap();
            assert_eq!((left, fake.requests().len()), (None, 1), "{condition:?}");
        }
        let (client, _) = Fake::answering([Answer::status(404, "NotFound")]);
        assert_eq!(open_gate(&client, "cosmos", "full-1", Server(5), &|_| false).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_be_written_or_is_not_answered_is_told_as_such() {
        for (answer, label) in [(Answer::status(403, "Forbidden"), "refused"), (Answer::Hang, "unknown")] {
            let (client, _) = Fake::answering([Answer::json(200, pod("full-1", None)), answer]);
            let told = open_gate(&client, "cosmos", "full-1", Server(5), &|_| false).await.unwrap();
            assert_eq!(told.unwrap().label(), label);
        }
        let (client, _) = Fake::answering([Answer::Reset]);
        assert!(open_gate(&client, "cosmos", "full-1", Server(5), &|_| false).await.is_err());
    }

    #[tokio::test]
    async fn at_the_end_every_gate_that_we_shut_is_opened_page_by_page() {
        let list = |next: &str, items: &[Value]| {
            let body =
                json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": next}, "items": items});
            Answer::json(200, body)
        };
        let none = || {
            Answer::json(
                200,
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
            "metadata": {}, "items": []}),
            )
        };
        let theirs = pod("full-0", Some(["False", "Maintenance", "turned by policy p1 at 5"]));
        let open = pod("full-2", Some(["True", readiness::IN, "turned by policy p1 at 5"]));
        let (client, fake) = Fake::answering([
            none(),
            list("more", &[theirs, pod("full-1", Some(SHUT))]),
            list("", &[open]),
            Answer::json(200, pod("full-1", None)),
        ]);
        let back = bring_all_back(&client, &["cosmos".into()], Server(7)).await.unwrap();
        assert_eq!((back, fake.requests().len()), (1, 4), "what somebody else shut stays");
        let requests = fake.requests();
        assert!(requests[2].query().contains("continue=more"), "{}", requests[2].query());
        assert_eq!(requests[3].line(), "PATCH /api/v1/namespaces/cosmos/pods/full-1/status");
        let condition = &requests[3].body["status"]["conditions"][0];
        assert_eq!(
            (&condition["status"], &condition["message"]),
            (&json!("True"), &json!("turned by policy p1 at 7"))
        );
    }
}
