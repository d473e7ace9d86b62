//! The same policy with every value written out: itself a valid policy.

use serde_json::{Value, json};

use super::words::{duration, threshold};
use crate::{
    api::{GROUP, NodeHealthPolicy, VERSION},
    policy::{Condition, Limits, Policy, RestartStep, Rule, Source, SourceKind, Trigger, preset},
};

/// The object, with its spec filled in.
pub fn object(object: &NodeHealthPolicy, policy: &Policy) -> Value {
    let Policy {
        id,
        generation: _,
        network,
        family,
        role,
        mode,
        priority,
        selector: _,
        sources,
        rules,
        ladder,
        limits,
        sinks,
    } = policy;
    let disabled =
        preset(*family, *role).rules.into_iter().filter(|of| rules.iter().all(|rule| rule.name != of.name));
    let disabled = disabled.map(|of| json!({"name": of.name, "disabled": true}));
    let mut remediation = json!({});
    if let Some(step) = &ladder.restart {
        remediation["restart"] = restart(step);
    }
    if ladder.page {
        remediation["page"] = json!({});
    }
    let mut metadata = json!({"name": id.name});
    if !id.namespace.is_empty() {
        metadata["namespace"] = json!(id.namespace);
    }
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "NodeHealthPolicy",
        "metadata": metadata,
        "spec": {
            "network": network,
            "role": role,
            "selector": object.spec.selector,
            "mode": mode,
            "priority": priority,
            "telemetry": sources.iter().map(source).collect::<Vec<_>>(),
            "rules": rules.iter().map(rule).chain(disabled).collect::<Vec<_>>(),
            "remediation": remediation,
            "guard": guard(limits),
            "notify": sinks,
        },
    })
}

fn source(source: &Source) -> Value {
    let Source { name, kind: SourceKind::CometBft(port), every, timeout } = source;
    json!({"name": name, "cometbft": {"port": port}, "every": duration(*every), "timeout": duration(*timeout)})
}

fn rule(rule: &Rule) -> Value {
    let Rule { name, signal, condition, trigger, clear_at, clear_for, severity } = rule;
    let mut value = json!({"name": name, "signal": signal.name(), "severity": severity});
    let mut clear = json!({});
    match condition {
        Condition::Above(at) => value["above"] = threshold(*at),
        Condition::Below(at) => value["below"] = threshold(*at),
        Condition::Stalled => value["stalled"] = json!({}),
        Condition::Absent => value["absent"] = json!({}),
    }
    match (condition, clear_at) {
        (Condition::Above(_), Some(at)) => clear["below"] = threshold(*at),
        (Condition::Below(_), Some(at)) => clear["above"] = threshold(*at),
        _ => {}
    }
    match trigger {
        Trigger::For(0) => {}
        Trigger::For(hold) => value["for"] = json!(duration(*hold)),
        Trigger::Samples { samples, of } => value["breaching"] = json!({"samples": samples, "of": of}),
    }
    if *clear_for > 0 {
        clear["for"] = json!(duration(*clear_for));
    }
    if clear != json!({}) {
        value["clear"] = clear;
    }
    value
}

fn restart(step: &RestartStep) -> Value {
    let RestartStep { method: _, within, attempts, cooldown, backoff_factor, backoff_max } = step;
    json!({
        "within": duration(*within),
        "attempts": attempts,
        "cooldown": duration(*cooldown),
        "backoff": {"factor": backoff_factor, "max": duration(*backoff_max)},
    })
}

fn guard(limits: &Limits) -> Value {
    let Limits {
        min_healthy,
        max_concurrent,
        new_incident_after,
        progress_within,
        budget,
        warm_up,
        evidence_max_age,
        pause,
    } = limits;
    let budget = budget.iter().map(|limit| json!({"actions": limit.actions, "per": duration(limit.per)}));
    json!({
        "minHealthy": min_healthy,
        "maxConcurrent": max_concurrent,
        "newIncidentAfter": duration(*new_incident_after),
        "progress": {"within": duration(*progress_within)},
        "budget": budget.collect::<Vec<_>>(),
        "warmUp": duration(*warm_up),
        "evidenceMaxAge": duration(*evidence_max_age),
        "pause": pause,
    })
}
