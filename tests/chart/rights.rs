//! What the chart grants: no more than the operator needs, in any profile.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    CLUSTER_SCOPED,
    grants::{Grant, grants},
    named,
    render::{NAMESPACE, manifests, profiles},
};

#[test]
#[ignore = "needs helm"]
fn nothing_is_granted_by_wildcard_and_nothing_that_leads_further() {
    for (profile, values) in profiles() {
        for grant in grants(&manifests(&values)) {
            let Grant { namespace: _, group, resource, subresource, verb, resource_name: _ } = &grant;
            for word in [group, resource, verb].into_iter().chain(subresource) {
                assert!(!word.contains('*'), "{profile}: {grant}");
            }
            assert!(!["secrets", "serviceaccounts"].contains(&resource.as_str()), "{profile}: {grant}");
            assert!(!group.contains("rbac") && !group.contains("authentication"), "{profile}: {grant}");
            assert!(
                !["exec", "attach", "portforward", "proxy", "ephemeralcontainers", "token"]
                    .contains(&subresource.as_deref().unwrap_or_default()),
                "{profile}: {grant}"
            );
            assert!(
                !["escalate", "bind", "impersonate", "deletecollection"].contains(&verb.as_str()),
                "{profile}: {grant}"
            );
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn a_namespaced_install_has_no_right_in_any_other_namespace() {
    let granted = grants(&manifests(&json!({"namespaces": ["cosmos", "osmosis"]})));
    for grant in &granted {
        match grant.namespace.as_deref() {
            // A namespace that goes away takes its role with it, and its journal must still be let go.
            None if grant.resource == "noderemediations" => {
                assert!(["get", "patch", "update"].contains(&grant.verb.as_str()), "{grant}");
            }
            None => assert!(CLUSTER_SCOPED.contains(&grant.resource.as_str()), "{grant}"),
            // The other replicas are pods, and only found.
            Some(NAMESPACE) if grant.resource == "pods" => assert_eq!(grant.verb, "list", "{grant}"),
            Some(NAMESPACE) => assert!(["leases", "configmaps"].contains(&grant.resource.as_str()), "{grant}"),
            Some(namespace) => assert!(["cosmos", "osmosis"].contains(&namespace), "{grant}"),
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn one_namespace_and_all_namespaces_mean_the_same_rights() {
    let on_targets = |values: Value, namespace: Option<&str>| -> BTreeSet<_> {
        grants(&manifests(&values))
            .into_iter()
            .filter(|grant| grant.namespace.as_deref() == namespace)
            .filter(|grant| !CLUSTER_SCOPED.contains(&grant.resource.as_str()))
            .map(|grant| Grant { namespace: None, ..grant })
            .collect()
    };
    let everywhere = on_targets(json!({}), None);
    assert!(!everywhere.is_empty());
    let namespaced = json!({"namespaces": ["cosmos", "osmosis"]});
    assert_eq!(everywhere, on_targets(namespaced.clone(), Some("cosmos")));
    assert_eq!(everywhere, on_targets(namespaced, Some("osmosis")));
}

#[test]
#[ignore = "needs helm"]
fn jobs_are_created_only_where_that_was_asked_for() {
    let on_batch = |values: Value| -> Vec<String> {
        grants(&manifests(&values))
            .iter()
            .filter(|grant| grant.group == "batch")
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(on_batch(json!({})), Vec::<String>::new());
    let enabled = on_batch(json!({"jobs": {"enabled": true}, "namespaces": ["cosmos"]}));
    assert_eq!(
        enabled,
        [
            "cosmos: get cronjobs.batch",
            "cosmos: create jobs.batch",
            "cosmos: get jobs.batch",
            "cosmos: list jobs.batch"
        ],
        "none is ever changed or deleted"
    );
}

#[test]
#[ignore = "needs helm"]
fn the_status_of_pods_is_written_only_where_that_was_asked_for_and_only_under_guard() {
    let rendered = |values: &Value| {
        let all = manifests(values);
        let mut on_status = Vec::new();
        for grant in grants(&all) {
            if (grant.resource.as_str(), grant.subresource.as_deref()) == ("pods", Some("status")) {
                on_status.push(grant.to_string());
            }
        }
        let policy = named(&all, "ValidatingAdmissionPolicy", "mainstay-system.mainstay-rotation");
        let spec = policy["spec"].clone();
        (on_status, spec["matchConstraints"]["resourceRules"][0]["resources"].clone(), spec["validations"].clone())
    };
    let (rights, guarded, validations) = rendered(&json!({"namespaces": ["cosmos"]}));
    assert_eq!((rights, guarded), (Vec::new(), json!(["pods"])));
    assert_eq!(validations.as_array().unwrap().len(), 1);

    let (rights, guarded, validations) =
        rendered(&json!({"namespaces": ["cosmos"], "rotation": {"readinessGate": true}}));
    assert_eq!(rights, ["cosmos: patch pods/status"], "no more of it than that");
    assert_eq!(guarded, json!(["pods", "pods/status"]));
    assert_eq!(
        validations[1]["message"],
        "Mainstay changes nothing of a pod's status but its condition mainstay.dev/in-rotation"
    );
}

#[test]
#[ignore = "needs helm"]
fn records_are_written_only_where_that_was_asked_for() {
    let on_signers = |values: Value| -> Vec<String> {
        let ours = |grant: &Grant| grant.resource.starts_with("signing") || grant.resource == "failovergroups";
        grants(&manifests(&values)).iter().filter(|grant| ours(grant)).map(ToString::to_string).collect()
    };
    assert_eq!(on_signers(json!({})), Vec::<String>::new());
    let enabled = on_signers(json!({"failover": {"enabled": true}, "namespaces": ["cosmos"]}));
    assert_eq!(
        enabled,
        [
            "*: get signingidentities.mainstay.dev",
            "*: list signingidentities.mainstay.dev",
            "*: watch signingidentities.mainstay.dev",
            "*: update signingidentities.mainstay.dev/status",
            "cosmos: get failovergroups.mainstay.dev",
            "cosmos: list failovergroups.mainstay.dev",
            "cosmos: watch failovergroups.mainstay.dev",
            "cosmos: patch failovergroups.mainstay.dev/status",
            "cosmos: create signingorders.mainstay.dev",
            "cosmos: get signingorders.mainstay.dev",
            "cosmos: list signingorders.mainstay.dev",
            "cosmos: watch signingorders.mainstay.dev",
            "cosmos: patch signingorders.mainstay.dev/status",
        ],
        "no spec is ever changed, and nothing deleted"
    );
}

/// The whole list, so that a right that is added shows up in review.
#[test]
#[ignore = "needs helm"]
fn these_are_all_the_rights_there_are() {
    let lines: Vec<_> = grants(&manifests(&json!({}))).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
