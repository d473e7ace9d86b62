//! What the end-to-end scenarios' operators asked for, held against what the chart grants them. Runs after them, on the
//! audit log that they have left: a right that nobody used is one too many.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use grants::{Grant, grants};

#[path = "chart/grants.rs"]
mod grants;
#[expect(dead_code, reason = "the chart's own tests use the rest of it")]
#[path = "chart/render.rs"]
mod render;
#[expect(dead_code, reason = "the scenarios use the rest of it")]
#[path = "e2e/rig.rs"]
mod rig;

/// Rights that no scenario can use, and why they are needed all the same.
const RARE: [(&str, &str); 5] = [
    (
        "watched: delete noderemediations.mainstay.dev",
        "a journal entry is forgotten when it is seven days old and ten younger ones of its slot are there",
    ),
    (
        "watched: get leases.coordination.k8s.io",
        "whether the kubelet lives that says that a launcher's pod has ended",
    ),
    // The audit log does not say which of two rights a request was granted by.
    ("*: get noderemediations.mainstay.dev", "a namespace that goes away takes its role with it"),
    ("*: patch noderemediations.mainstay.dev", "the same: its journal must be let go"),
    ("*: update noderemediations.mainstay.dev/status", "the same: and ended before"),
];

/// Names that scenarios differ in do not matter: the namespace of the operator, also where it is part of a name, and those
/// that it looks after.
fn in_general(grant: Grant) -> Grant {
    let namespace = grant.namespace.map(|namespace| {
        // One scenario has a second lease in a namespace beside the operator's.
        let own = namespace == render::NAMESPACE || namespace.contains("-system");
        if own { "own" } else { "watched" }.to_owned()
    });
    Grant { namespace, resource_name: grant.resource_name.map(own_name), ..grant }
}

/// What a release has outside of its namespace begins with the name of that, up to the first dot.
fn own_name(name: String) -> String {
    match name.split_once('.') {
        Some((namespace, rest)) if namespace.ends_with("-system") => format!("own.{rest}"),
        _ => name,
    }
}

/// The right that a request needs, in general; `None` for requests that every account may make.
fn needed(line: &Value, granted: &BTreeSet<Grant>) -> Option<Grant> {
    let object = &line["objectRef"];
    let text = |field: &str| object[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    // A request for a namespace is written down as one in that namespace, and is granted above all of them.
    let namespace = text("namespace").filter(|_| object["resource"] != "namespaces");
    let mut grant = in_general(Grant {
        namespace,
        group: text("apiGroup").unwrap_or_default(),
        resource: text("resource")?,
        subresource: text("subresource"),
        verb: line["verb"].as_str()?.to_owned(),
        resource_name: None,
    });
    if grant.group.contains("authorization") || grant.group.contains("authentication") {
        return None;
    }
    let named = Grant { resource_name: text("name").map(own_name), ..grant.clone() };
    if granted.contains(&named) {
        grant = named;
    }
    Some(grant)
}

#[test]
#[ignore = "reads what the scenarios left: make e2e"]
fn every_right_is_used_and_none_is_missing() {
    // What one scenario or another has its chart do beside the default.
    let values = json!({"namespaces": ["watched"], "jobs": {"enabled": true}, "rotation": {"readinessGate": true},
        "failover": {"enabled": true}});
    let granted: BTreeSet<Grant> = grants(&render::manifests(&values)).into_iter().map(in_general).collect();
    let lines = rig::audit("e2e-");
    assert!(lines.len() > 100, "no scenario has run: {} lines", lines.len());
    let used: BTreeSet<Grant> = lines.iter().filter_map(|line| needed(line, &granted)).collect();
    let missing: Vec<_> = used.difference(&granted).map(ToString::to_string).collect();
    assert_eq!(missing, Vec::<String>::new(), "asked for, and not granted");
    let unused: BTreeSet<_> = granted.difference(&used).map(ToString::to_string).collect();
    let rare: BTreeSet<_> = RARE.iter().map(|(right, _)| (*right).to_owned()).collect();
    assert_eq!(unused, rare, "granted, and never asked for");
}
