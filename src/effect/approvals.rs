//! Approvals: what people have said about a remediation, and whether the cluster holds them to their own names.

use k8s_openapi::{
    api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{Api, Client, api::ListParams};

use super::{Failed, Verb};
use crate::{
    api::{RemediationApproval, SCHEMA, SCHEMA_ANNOTATION},
    controller::clients::{DEADLINE, deadline},
    plan::Given,
    signal::Server,
};

/// More approvals of one remediation are not looked at: five are the most that a policy may ask for.
const MOST: u32 = 500;

/// What people have said about the remediation of this name and uid, live. A word counts from when the cluster holds
/// everybody to their own name: where it does not, and for what was said before, there is none.
pub async fn given(
    actuator: &Client,
    guard: &str,
    namespace: &str,
    (name, uid): (&str, &str),
) -> Result<Vec<Given>, Failed> {
    const DOING: &str = "read the approvals";
    let api: Api<RemediationApproval> = Api::namespaced(actuator.clone(), namespace);
    let of = ListParams::default().fields(&format!("spec.remediation.uid={uid}")).limit(MOST);
    let found = deadline(DEADLINE, api.list(&of)).await;
    let found = found.map_err(|error| Failed::of(DOING, Verb::Read, &error))?;
    if found.items.is_empty() {
        return Ok(Vec::new());
    }
    let Some(since) = guarded(actuator, guard).await else { return Ok(Vec::new()) };
    // The right to approve may be given for one name: it must not be spent on another.
    let meant = |approval: &RemediationApproval| {
        approval.spec.remediation.uid == uid && approval.spec.remediation.name == name
    };
    let given = found.items.into_iter().filter(meant).filter_map(|approval| {
        let at = Server(approval.metadata.creation_timestamp.as_ref()?.0.as_millisecond());
        (at >= since).then_some(Given { approver: approval.spec.approver, at, yes: !approval.spec.reject })
    });
    Ok(given.collect())
}

/// Since when the `ValidatingAdmissionPolicy` of this name is there, is the one that the chart writes, refuses what it
/// cannot judge, and is bound so that it denies. What cannot be read is not there.
pub async fn guarded(client: &Client, name: &str) -> Option<Server> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let policy = deadline(DEADLINE, policies.get(name)).await.ok()?;
    let binding = deadline(DEADLINE, bindings.get(name)).await.ok()?;
    let since = |time: &Option<Time>| time.as_ref().map(|time| Server(time.0.as_millisecond()));
    let (first, second) =
        (since(&policy.metadata.creation_timestamp)?, since(&binding.metadata.creation_timestamp)?);
    let version = policy.metadata.annotations.as_ref().and_then(|all| all.get(SCHEMA_ANNOTATION));
    let known = version.and_then(|version| version.parse::<u32>().ok()).is_some_and(|version| version >= SCHEMA);
    let spec = policy.spec?;
    let fails = spec.failure_policy.as_deref() == Some("Fail");
    let judges = spec.validations.is_some_and(|validations| !validations.is_empty());
    // One with conditions of its own looks at some requests only.
    let always = spec.match_conditions.is_none_or(|conditions| conditions.is_empty());
    let denies = binding.spec.validation_actions.iter().any(|action| action == "Deny");
    let bound = binding.spec.policy_name == name;
    (known && fails && judges && always && denies && bound).then(|| first.max(second))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    const GUARD: &str = "a";

    fn policy(fails: &str, version: &str) -> Answer {
        let spec = json!({"failurePolicy": fails, "validations": [{"expression": "true"}]});
        let meta = json!({"name": GUARD, "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {SCHEMA_ANNOTATION: version}});
        Answer::json(200, json!({"metadata": meta, "spec": spec}))
    }

    fn binding(action: &str, of: &str) -> Answer {
        let spec = json!({"policyName": of, "validationActions": [action]});
        let meta = json!({"name": GUARD, "creationTimestamp": "2026-01-01T00:00:10Z"});
        Answer::json(200, json!({"metadata": meta, "spec": spec}))
    }

    fn now() -> String {
        SCHEMA.to_string()
    }

    #[tokio::test]
    async fn words_about_one_remediation_are_asked_for() {
        let of = |(name, uid): (&str, &str), by: &str, at: &str, reject: bool| {
            json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "RemediationApproval",
                "metadata": {"name": by, "creationTimestamp": at},
                "spec": {"approver": by, "reject": reject, "remediation": {"name": name, "uid": uid}}})
        };
        let (mine, late) = (("full-1-abc", "r1"), "2026-01-01T00:01:00Z");
        let list = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "RemediationApprovalList", "metadata": {},
        "items": [
            of(mine, "ann", late, false),
            of(mine, "no", late, true),
            of(mine, "before it was guarded", "2026-01-01T00:00:09Z", false),
            of(("full-1-abc", "r2"), "another uid", late, false),
            of(("other", "r1"), "another name", late, false),
        ]});
        let answers = [Answer::json(200, list.clone()), policy("Fail", &now()), binding("Deny", GUARD)];
        let (client, fake) = Fake::answering(answers);
        let at = Server(1_767_225_660_000);
        let word = |approver: &str, yes| Given { approver: approver.into(), at, yes };
        assert_eq!(given(&client, GUARD, "cosmos", mine).await, Ok(vec![word("ann", true), word("no", false)]));
        let request = &fake.requests()[0];
        assert_eq!(request.line(), "GET /apis/mainstay.dev/v1alpha1/namespaces/cosmos/remediationapprovals");
        assert!(request.query().contains("fieldSelector=spec.remediation.uid%3Dr1"), "{}", request.query());
        let (client, _) = Fake::answering([Answer::json(200, list), Answer::status(404, "NotFound")]);
        assert_eq!(given(&client, GUARD, "cosmos", mine).await, Ok(Vec::new()), "nobody is held to a name");
    }

    #[tokio::test]
    async fn only_a_policy_that_refuses_guards_them() {
        let since = Some(Server(1_767_225_610_000));
        let table = [
            (vec![policy("Fail", &now()), binding("Deny", GUARD)], since),
            (vec![policy("Fail", "1"), binding("Deny", GUARD)], None),
            (vec![policy("Ignore", &now()), binding("Deny", GUARD)], None),
            (vec![policy("Fail", &now()), binding("Warn", GUARD)], None),
            (vec![policy("Fail", &now()), binding("Deny", "b")], None),
            (vec![policy("Fail", &now()), Answer::status(404, "NotFound")], None),
            (vec![Answer::status(403, "Forbidden")], None),
        ];
        for (answers, expected) in table {
            let (client, _) = Fake::answering(answers);
            assert_eq!(guarded(&client, GUARD).await, expected);
        }
    }
}
