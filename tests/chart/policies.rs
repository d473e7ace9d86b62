//! Whom the admission policies hold to what.

use serde_json::{Value, json};

use crate::{
    objects::{named, text},
    render::manifests,
};

#[test]
#[ignore = "needs helm"]
fn approvers_are_held_to_their_own_names() {
    let name = "mainstay-system.mainstay-approval";
    let all = manifests(&json!({"namespaces": ["cosmos"]}));
    let policy = named(&all, "ValidatingAdmissionPolicy", name);
    let schema = &policy["metadata"]["annotations"][mainstay::api::SCHEMA_ANNOTATION];
    assert_eq!(*schema, json!(mainstay::api::SCHEMA.to_string()));
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    assert!(policy["spec"]["matchConditions"].is_null(), "it looks at every request");
    let binding = named(&all, "ValidatingAdmissionPolicyBinding", name);
    assert_eq!(binding["spec"]["policyName"], name);
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
    let none = manifests(&json!({"admission": {"enabled": false}}));
    assert!(none.iter().all(|object| object["kind"] != "ValidatingAdmissionPolicy"));
}

#[test]
#[ignore = "needs helm"]
fn what_may_create_jobs_is_held_to_those_of_cron_jobs() {
    let name = "mainstay-system.mainstay-jobs";
    let all = manifests(&json!({"jobs": {"enabled": true}}));
    assert_eq!(named(&all, "ValidatingAdmissionPolicy", name)["spec"]["failurePolicy"], "Fail");
    let binding = named(&all, "ValidatingAdmissionPolicyBinding", name);
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
    assert!(manifests(&json!({})).iter().all(|object| object["metadata"]["name"] != name));
}

/// Two installations must not hold each other's gates and operators to their own names.
#[test]
#[ignore = "needs helm"]
fn whoever_signs_is_held_to_it_in_these_namespaces_only() {
    let names = ["signing", "orders", "identities", "signers", "handover", "endpoints", "clients"]
        .map(|what| format!("mainstay-system.mainstay-{what}"));
    let all = manifests(&json!({"failover": {"enabled": true}, "namespaces": ["cosmos", "osmosis"]}));
    for name in &names {
        assert_eq!(named(&all, "ValidatingAdmissionPolicy", name)["spec"]["failurePolicy"], "Fail", "{name}");
        let binding = named(&all, "ValidatingAdmissionPolicyBinding", name);
        assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]), "{name}");
        let is_namespaced = !name.ends_with("-signing") && !name.ends_with("-identities");
        let values = &binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0]["values"];
        assert_eq!(*values, if is_namespaced { json!(["cosmos", "osmosis"]) } else { Value::Null }, "{name}");
    }
    let conditions = |all: &[Value]| {
        let conditions = named(all, "ValidatingAdmissionPolicy", &names[0])["spec"]["matchConditions"].clone();
        let conditions = conditions.as_array().unwrap().iter().map(|one| text(&one["expression"]));
        conditions.collect::<Vec<_>>()
    };
    let (own, of) = (
        "request.userInfo.username != 'system:serviceaccount:mainstay-system:mainstay'",
        "object.spec.namespace in ['cosmos', 'osmosis']",
    );
    assert_eq!(conditions(&all), [own, of]);
    assert_eq!(conditions(&manifests(&json!({"failover": {"enabled": true}}))), [own]);
    for values in [json!({}), json!({"failover": {"enabled": true}, "admission": {"enabled": false}})] {
        let all = manifests(&values);
        assert!(all.iter().all(|object| !names.contains(&text(&object["metadata"]["name"]))), "{values}");
    }
}
