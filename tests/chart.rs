//! The Helm chart: what it grants, what it makes, and what it refuses.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]

#[path = "chart/grants.rs"]
mod grants;
#[path = "chart/objects.rs"]
mod objects;
#[path = "chart/policies.rs"]
mod policies;
#[path = "chart/render.rs"]
mod render;
#[path = "chart/rights.rs"]
mod rights;

use std::{collections::BTreeSet, fs};

use objects::{by_name, files, key, named, one, selects};
use render::{NAMESPACE, documents, manifests, profiles, template};
use serde_json::{Value, json};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/mainstay");
const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");

/// Our kinds and those of others that live outside namespaces.
const CLUSTER_SCOPED: [&str; 7] = [
    "networks",
    "networkledgers",
    "signingidentities",
    "nodes",
    "customresourcedefinitions",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
];

// ---- what needs no Helm

#[test]
fn the_chart_carries_the_definitions_of_the_repository() {
    let carried = files(&format!("{CHART}/files/crds"));
    assert!(!carried.is_empty());
    assert!(carried == files(CRDS), "charts/mainstay/files/crds is stale: `make crds`");
}

#[test]
fn the_chart_has_the_version_of_the_package() {
    let chart = &documents(&fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap())[0];
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let values = &documents(&fs::read_to_string(format!("{CHART}/values.yaml")).unwrap())[0];
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(format!("{CHART}/values.schema.json")).unwrap()).unwrap();
    let mut known: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert!(known.remove(&"global".to_owned()), "Helm adds `global` to a chart that is a dependency");
    assert_eq!(known, values.as_object().unwrap().keys().collect());
}

// ---- what runs

/// What a wrong value would cost is an operator that does not start.
#[test]
#[ignore = "needs helm"]
fn the_operator_understands_the_configuration_that_it_is_given() {
    for (profile, values) in profiles() {
        let all = manifests(&values);
        let texts: Vec<_> = all.iter().filter_map(|object| object["data"]["config.yaml"].as_str()).collect();
        assert_eq!(texts.len(), 1, "{profile}");
        let parsed = mainstay::config::Config::parse("config.yaml".as_ref(), texts[0]);
        parsed.unwrap_or_else(|error| panic!("{profile}: {error}"));
    }
}

#[test]
#[ignore = "needs helm"]
fn every_pod_is_as_restricted_as_pod_security_knows() {
    for (profile, values) in profiles() {
        let all = manifests(&values);
        for kind in ["Deployment", "Job"] {
            let pod = &one(&all, kind)["spec"]["template"]["spec"];
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{profile}: {kind}");
            assert_eq!(security["runAsUser"], 65532, "{profile}: {kind}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{profile}: {kind}");
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod[field].is_null(), "{profile}: {kind}: {field}");
            }
            for container in pod["containers"].as_array().unwrap() {
                assert_eq!(
                    container["securityContext"],
                    json!({
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    }),
                    "{profile}: {kind}"
                );
                assert_eq!(container["resources"]["limits"]["memory"], "256Mi", "{profile}: {kind}");
            }
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn the_operator_is_told_who_it_is_and_where_to_look() {
    let args = |values: &Value, kind| {
        one(&manifests(values), kind)["spec"]["template"]["spec"]["containers"][0]["args"].clone()
    };
    let run = ["run", "--config", "/etc/mainstay/config.yaml"];
    assert_eq!(args(&json!({}), "Deployment"), json!(run));
    assert_eq!(args(&json!({}), "Job"), json!(["retire"]));
    let namespaced = json!({"namespaces": ["cosmos", "osmosis"]});
    let flag = ["--namespaces", "cosmos,osmosis"];
    assert_eq!(args(&namespaced, "Deployment"), json!([&run[..], &flag[..]].concat()));
    assert_eq!(args(&namespaced, "Job"), json!([&["retire"][..], &flag[..]].concat()));

    let all = manifests(&json!({}));
    for kind in ["Deployment", "Job"] {
        let env = &one(&all, kind)["spec"]["template"]["spec"]["containers"][0]["env"];
        let installation =
            env.as_array().unwrap().iter().find(|one| one["name"] == "MAINSTAY_INSTALLATION").unwrap();
        assert_eq!(installation["value"], format!("{NAMESPACE}/mainstay"), "{kind}");
    }
}

#[test]
#[ignore = "needs helm"]
fn no_service_or_budget_counts_the_pod_of_the_retire_job() {
    for (profile, values) in profiles() {
        let all = manifests(&values);
        let labels = |kind: &str| one(&all, kind)["spec"]["template"]["metadata"]["labels"].clone();
        for selector in [
            &one(&all, "Deployment")["spec"]["selector"]["matchLabels"],
            &one(&all, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            &one(&all, "Service")["spec"]["selector"],
        ] {
            assert!(selects(selector, &labels("Deployment")), "{profile}: {selector}");
            assert!(!selects(selector, &labels("Job")), "{profile}: {selector}");
        }
        let policy = &one(&all, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"];
        assert!(selects(policy, &labels("Deployment")) && selects(policy, &labels("Job")), "{profile}");
    }
}

#[test]
#[ignore = "needs helm"]
fn a_single_replica_does_not_block_a_drain() {
    let all = manifests(&json!({"replicas": 1}));
    assert!(all.iter().all(|object| object["kind"] != "PodDisruptionBudget"));
}

#[test]
#[ignore = "needs helm"]
fn the_configuration_arrives_as_it_was_written_and_a_change_rolls_the_pods() {
    let rendered = |values: &Value| {
        let all = manifests(values);
        let file = named(&all, "ConfigMap", "mainstay-config")["data"]["config.yaml"].as_str().unwrap().to_owned();
        let checksum =
            one(&all, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"].clone();
        (documents(&file).remove(0), checksum)
    };
    let (config, before) = rendered(&json!({}));
    assert_eq!(config, json!({"sinks": {}}));
    let sinks = json!({"oncall": {"webhook": {"url": "https://pager.example.org/a?b=c#d: e"}}});
    let (config, after) = rendered(&json!({"config": {"sinks": sinks}}));
    assert_eq!(config["sinks"], sinks);
    assert_ne!(before, after);
}

// ---- what an upgrade or an uninstall must not break

#[test]
#[ignore = "needs helm"]
fn an_upgrade_leaves_a_live_stop_in_place() {
    for (profile, values) in profiles() {
        let all = manifests(&values);
        let stop = named(&all, "ConfigMap", "mainstay-stop");
        assert!(stop["metadata"].get("annotations").is_none(), "{profile}: {stop}");
    }
}

#[test]
#[ignore = "needs helm"]
fn definitions_are_upgraded_with_the_chart_and_survive_it() {
    let all = manifests(&json!({}));
    let rendered = all.into_iter().filter(|object| object["kind"] == "CustomResourceDefinition").map(|mut crd| {
        let annotations = crd["metadata"]["annotations"].as_object_mut().expect("annotations");
        assert_eq!(annotations.remove("helm.sh/resource-policy"), Some(json!("keep")));
        crd
    });
    let written = files(CRDS).into_values().flat_map(|file| documents(&file));
    assert_eq!(by_name(rendered), by_name(written));

    let without = manifests(&json!({"crds": {"install": false}}));
    assert!(without.iter().all(|object| object["kind"] != "CustomResourceDefinition"));
}

#[test]
#[ignore = "needs helm"]
fn retirement_comes_before_anything_is_deleted() {
    let job = one(&manifests(&json!({})), "Job");
    assert_eq!(job["metadata"]["annotations"]["helm.sh/hook"], "pre-delete");
    assert_eq!(
        job["metadata"]["annotations"]["helm.sh/hook-delete-policy"],
        "before-hook-creation,hook-succeeded"
    );
    assert_eq!(job["spec"]["backoffLimit"], 1);
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 120);
    let without = manifests(&json!({"retireOnUninstall": false}));
    assert!(without.iter().all(|object| object["kind"] != "Job"));
}

#[test]
#[ignore = "needs helm"]
fn two_releases_share_nothing_but_the_definitions() {
    let keys = |release: &str, namespace: &str, values: &Value| -> BTreeSet<_> {
        template(release, namespace, values).unwrap().iter().map(key).collect()
    };
    // Both watch the same namespace, which is the closest they can come.
    let first = json!({"namespaces": ["cosmos"], "flowSchema": {"enabled": true}});
    let second = json!({"namespaces": ["cosmos"], "flowSchema": {"enabled": true}, "crds": {"install": false}});
    let of_first = keys("mainstay", "one", &first);
    for (release, namespace) in [("mainstay", "two"), ("other", "one"), ("one", "mainstay")] {
        let shared: Vec<_> = of_first.intersection(&keys(release, namespace, &second)).cloned().collect();
        assert_eq!(shared, [], "{namespace}/{release}");
    }
}

#[test]
#[ignore = "needs helm"]
fn names_stay_within_their_limits() {
    // As long as Helm and Kubernetes allow.
    let release = format!("a.{}", "b".repeat(51));
    let namespace = "n".repeat(63);
    let all = template(&release, &namespace, &json!({"flowSchema": {"enabled": true}})).unwrap();
    for object in &all {
        let name = object["metadata"]["name"].as_str().unwrap();
        let limit = if object["metadata"]["namespace"].is_null() { 253 } else { 63 };
        assert!(name.len() <= limit, "{}: {name}", object["kind"]);
        for (label, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
            assert!(value.as_str().unwrap().len() <= 63, "{name}: {label}: {value}");
        }
    }
    let twin = template(&format!("a.{}c", "b".repeat(50)), &namespace, &json!({})).unwrap();
    assert_ne!(one(&all, "Deployment")["metadata"]["name"], one(&twin, "Deployment")["metadata"]["name"]);
}

#[test]
#[ignore = "needs helm"]
fn every_object_says_what_it_belongs_to() {
    for (profile, values) in profiles() {
        for object in manifests(&values).iter().filter(|object| object["kind"] != "CustomResourceDefinition") {
            let labels = &object["metadata"]["labels"];
            for (label, value) in [
                ("app.kubernetes.io/name", "mainstay"),
                ("app.kubernetes.io/instance", "mainstay"),
                ("app.kubernetes.io/part-of", "mainstay"),
                ("app.kubernetes.io/managed-by", "Helm"),
                ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
            ] {
                assert_eq!(labels[label], value, "{profile}: {:?}", key(object));
            }
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn whoever_lets_mainstay_delete_pods_may_delete_them() {
    let all = manifests(&json!({"namespaces": ["cosmos"]}));
    let policy = &one(&all, "ValidatingAdmissionPolicy")["spec"];
    assert_eq!(policy["failurePolicy"], "Fail");
    assert_eq!(
        policy["validations"][0]["expression"],
        "authorizer.group('').resource('pods').namespace(request.namespace).check('delete').allowed()"
    );
    let binding = one(&all, "ValidatingAdmissionPolicyBinding");
    assert_eq!(binding["spec"]["policyName"], one(&all, "ValidatingAdmissionPolicy")["metadata"]["name"]);
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
    let selector = &binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(selector["values"], json!(["cosmos"]));
}

/// Without it the operator takes no approval: it must be the one that the operator knows, and bound.
#[test]
#[ignore = "needs helm"]
fn the_only_way_in_is_the_health_and_metrics_port() {
    for (profile, values) in profiles() {
        let policy = one(&manifests(&values), "NetworkPolicy");
        assert_eq!(
            policy["spec"]["ingress"],
            json!([{"ports": [{"protocol": "TCP", "port": "http"}]}]),
            "{profile}"
        );
        for rule in policy["spec"]["egress"].as_array().unwrap() {
            assert!(rule.get("to").is_some() || rule.get("ports").is_some(), "{profile}: anywhere: {rule}");
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn replicas_find_and_reach_each_other() {
    for (profile, values) in profiles() {
        let all = manifests(&values);
        let pod = &one(&all, "Deployment")["spec"]["template"];
        // By these labels, on this port, and each knows which pod it is.
        for (label, value) in [("name", "mainstay"), ("instance", "mainstay"), ("component", "operator")] {
            assert_eq!(pod["metadata"]["labels"][format!("app.kubernetes.io/{label}")], value, "{profile}");
        }
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["ports"], json!([{"name": "http", "containerPort": 8080}]), "{profile}");
        let own = json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        assert!(container["env"].as_array().unwrap().contains(&own), "{profile}");
        let policy = one(&all, "NetworkPolicy");
        let way = policy["spec"]["egress"].as_array().unwrap().iter().any(|rule| {
            rule["ports"] == json!([{"protocol": "TCP", "port": 8080}])
                && rule["to"].as_array().is_some_and(|to| {
                    matches!(to.as_slice(), [to] if to.as_object().unwrap().keys().eq(["podSelector"])
                        && selects(&to["podSelector"]["matchLabels"], &pod["metadata"]["labels"]))
                })
        });
        assert!(way, "{profile}: {}", policy["spec"]["egress"]);
    }
}

#[test]
#[ignore = "needs helm"]
fn a_value_that_means_nothing_is_refused() {
    for (values, word) in [
        (json!({"replica": 3}), "replica"),
        (json!({"replicas": 6}), "replicas"),
        (json!({"image": {"digest": "latest"}}), "digest"),
        (json!({"crds": {"enabled": false}}), "enabled"),
        (json!({"namespaces": "cosmos"}), "namespaces"),
        (json!({"namespaces": ["*"]}), "namespaces"),
        (json!({"config": {"sink": {}}}), "sink"),
        (json!({"config": {"heartbeat": {"every": 60, "sinks": ["oncall"]}}}), "every"),
        (json!({"config": {"heartbeat": {"every": "60s", "sinks": []}}}), "sinks"),
        (json!({"networkPolicy": {"egressPorts": [0]}}), "egressPorts"),
        (json!({"failover": {"enable": true}}), "enable"),
        (json!({"failover": true}), "failover"),
        (json!({"rotation": {"readinessGates": true}}), "readinessGates"),
        (json!({"rotation": {"readinessGate": "yes"}}), "readinessGate"),
    ] {
        let error = template("mainstay", NAMESPACE, &values).expect_err(&values.to_string());
        assert!(error.contains(word), "{values}: {error}");
    }
}
