//! Approvals: what people have said about a remediation, and whether the cluster holds them to their own names.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{Api, Client, api::ListParams};

use super::{Failed, Verb};
use crate::{
    api::RemediationApproval,
    controller::clients::{CallError, DEADLINE, deadline},
    plan::Given,
    signal::Server,
};

/// More approvals of one remediation are not looked at: five are the most that a policy may ask for.
const MOST: u32 = 100;

/// Who has approved the remediation of this uid, live.
pub async fn given(actuator: &Client, namespace: &str, remediation: &str) -> Result<Vec<Given>, Failed> {
    let api: Api<RemediationApproval> = Api::namespaced(actuator.clone(), namespace);
    let of = ListParams::default().fields(&format!("spec.remediation.uid={remediation}")).limit(MOST);
    let found = deadline(DEADLINE, api.list(&of)).await;
    let found = found.map_err(|error| Failed::of("read the approvals", Verb::Read, &error))?;
    let given = found.items.into_iter().filter(|approval| approval.spec.remediation.uid == remediation);
    let given = given.filter_map(|approval| {
        let at = Server(approval.metadata.creation_timestamp.as_ref()?.0.as_millisecond());
        Some(Given { approver: approval.spec.approver, at })
    });
    Ok(given.collect())
}

/// Whether the `ValidatingAdmissionPolicy` of this name is there, refuses what it cannot judge, and is bound so that it
/// denies. What cannot be read is not there.
pub async fn guarded(client: &Client, name: &str) -> bool {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let read = async {
        let policy = deadline(DEADLINE, policies.get(name)).await?;
        let binding = deadline(DEADLINE, bindings.get(name)).await?;
        Ok::<_, CallError>((policy.spec, binding.spec))
    };
    let Ok((Some(policy), binding)) = read.await else { return false };
    let denies = binding.validation_actions.iter().any(|action| action == "Deny");
    let fails = policy.failure_policy.as_deref() == Some("Fail");
    let judges = policy.validations.is_some_and(|validations| !validations.is_empty());
    fails && judges && denies && binding.policy_name == name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::effect::fake::{Answer, Fake};

    #[tokio::test]
    async fn approvals_of_one_remediation_are_asked_for() {
        let of = |uid: &str, by: &str| {
            json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "RemediationApproval",
                "metadata": {"name": by, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"approver": by, "remediation": {"name": "full-1-abc", "uid": uid}}})
        };
        let list = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "RemediationApprovalList", "metadata": {},
            "items": [of("r1", "ann"), of("r2", "ben")]});
        let (client, fake) = Fake::answering([Answer::json(200, list)]);
        let at = Server(1_767_225_600_000);
        assert_eq!(given(&client, "cosmos", "r1").await, Ok(vec![Given { approver: "ann".into(), at }]));
        let request = &fake.requests()[0];
        assert_eq!(request.line(), "GET /apis/mainstay.dev/v1alpha1/namespaces/cosmos/remediationapprovals");
        assert!(request.query().contains("fieldSelector=spec.remediation.uid%3Dr1"), "{}", request.query());
    }

    #[tokio::test]
    async fn only_a_policy_that_refuses_guards_them() {
        let policy = |fails: &str| {
            let spec = json!({"failurePolicy": fails, "validations": [{"expression": "true"}]});
            Answer::json(200, json!({"metadata": {"name": "a"}, "spec": spec}))
        };
        let binding = |action: &str, of: &str| {
            let spec = json!({"policyName": of, "validationActions": [action]});
            Answer::json(200, json!({"metadata": {"name": "a"}, "spec": spec}))
        };
        let table = [
            (vec![policy("Fail"), binding("Deny", "a")], true),
            (vec![policy("Ignore"), binding("Deny", "a")], false),
            (vec![policy("Fail"), binding("Warn", "a")], false),
            (vec![policy("Fail"), binding("Deny", "b")], false),
            (vec![policy("Fail"), Answer::status(404, "NotFound")], false),
            (vec![Answer::status(403, "Forbidden")], false),
        ];
        for (answers, expected) in table {
            let (client, _) = Fake::answering(answers);
            assert_eq!(guarded(&client, "a").await, expected);
        }
    }
}
