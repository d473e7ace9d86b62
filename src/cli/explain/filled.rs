//! The same policy with every value written out: itself a valid policy.

use serde_json::{Value, json};

use super::words::{duration, threshold};
use crate::{
    api::{GROUP, NodeHealthPolicy, VERSION, policy::Guard},
    policy::{
        BudgetLimit, Condition, FailoverStep, JobStep, Limits, Pick, Policy, RerouteStep, RestartStep, Rule,
        Source, SourceKind, StormLimit, Trigger, preset,
    },
};

/// The object, with its spec filled in.
pub fn object(object: &NodeHealthPolicy, policy: &Policy) -> Value {
    let Policy {
        id,
        generation: _,
        network,
        joins,
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
    let disabled = preset(*family, *role).rules.into_iter().map(|(rule, _)| rule).filter(|of| {
        let written = object.spec.rules.iter().any(|rule| rule.name == of.name && rule.disabled);
        written && rules.iter().all(|rule| rule.name != of.name)
    });
    let disabled = disabled.map(|of| json!({"name": of.name, "disabled": true}));
    let mut remediation = json!({});
    if let Some(step) = &ladder.reroute {
        remediation["reroute"] = reroute(step);
    }
    if let Some(step) = &ladder.restart {
        remediation["restart"] = restart(step);
    }
    if let Some(step) = &ladder.job {
        remediation["job"] = job(step);
    }
    if let Some(step) = &ladder.failover {
        remediation["failover"] = failover(step);
    }
    if ladder.page {
        remediation["page"] = json!({});
    }
    let mut metadata = json!({"name": id.name});
    if !id.namespace.is_empty() {
        metadata["namespace"] = json!(id.namespace);
    }
    let mut spec = json!({
            "network": network,
            "role": role,
            "selector": object.spec.selector,
            "mode": mode,
            "priority": priority,
            "telemetry": sources.iter().map(source).collect::<Vec<_>>(),
            "rules": rules.iter().map(rule).chain(disabled).collect::<Vec<_>>(),
            "remediation": remediation,
            "guard": guard(limits, &object.spec.guard),
            "notify": sinks,
    });
    if !joins.is_empty() {
        spec["joins"] = json!(joins);
    }
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "NodeHealthPolicy",
        "metadata": metadata,
        "spec": spec,
    })
}

fn source(source: &Source) -> Value {
    let Source { name, kind, every, timeout } = source;
    let mut signals = Vec::new();
    let body = match kind {
        SourceKind::CometBft { port, rest: None }
        | SourceKind::Execution(port)
        | SourceKind::Consensus(port)
        | SourceKind::Substrate(port)
        | SourceKind::Solana { port, vote_account: None }
        | SourceKind::Web3Signer(port)
        | SourceKind::Hermes(port)
        | SourceKind::Chainlink(port) => json!({"port": port}),
        SourceKind::CometBft { port, rest } => json!({"port": port, "rest": rest}),
        SourceKind::Solana { port, vote_account } => json!({"port": port, "voteAccount": vote_account}),
        SourceKind::Feed { contract, heartbeat } => {
            json!({"contract": contract, "heartbeat": duration(*heartbeat)})
        }
        SourceKind::Wallet { address, denom, decimals } => {
            let mut wallet = json!({"address": address, "decimals": decimals});
            if !denom.is_empty() {
                wallet["denom"] = json!(denom);
            }
            wallet
        }
        SourceKind::Scrape { port, path, reads, picks } => {
            signals = picks.iter().map(|of| pick(of, "metric")).collect();
            let mut scrape = json!({"port": port, "path": path});
            if let Some(reads) = reads {
                scrape["reads"] = json!(reads);
            }
            scrape
        }
        SourceKind::HttpJson { port, path, picks } => {
            signals = picks.iter().map(|of| pick(of, "pointer")).collect();
            json!({"port": port, "path": path})
        }
        SourceKind::Prometheus { query, target_label, signal } => {
            signals = vec![json!({"signal": signal})];
            json!({"query": query, "targetLabel": target_label})
        }
    };
    let mut source = json!({"name": name, "every": duration(*every), "timeout": duration(*timeout)});
    source[kind.name()] = body;
    if !signals.is_empty() {
        source["signals"] = json!(signals);
    }
    source
}

fn pick(pick: &Pick, place: &str) -> Value {
    let Pick { signal, at, labels, combine } = pick;
    let mut value = json!({"signal": signal, place: at});
    if !labels.is_empty() {
        value["labels"] = labels.iter().map(|(name, is)| (name.clone(), json!(is))).collect();
    }
    if let Some(combine) = combine {
        value["combine"] = json!(combine);
    }
    value
}

fn rule(rule: &Rule) -> Value {
    let Rule { name, signal, condition, trigger, clear_at, clear_for, severity } = rule;
    let mut value = json!({"name": name, "signal": signal.name(), "severity": severity});
    let mut clear = json!({});
    match condition {
        Condition::Above(at) => value["above"] = threshold(*at),
        Condition::Below(at) => value["below"] = threshold(*at),
        Condition::Stalled => value["stalled"] = json!({}),
        Condition::Diverged => value["diverged"] = json!({}),
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

fn reroute(step: &RerouteStep) -> Value {
    let RerouteStep { within, attempts, stay, quarantine_the_last } = step;
    let mut value = json!({"within": duration(*within), "attempts": attempts, "stay": duration(*stay)});
    if *quarantine_the_last {
        value["quarantineTheLast"] = json!(true);
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

fn job(step: &JobStep) -> Value {
    let JobStep { cron_job, within, attempts, cooldown, backoff_factor, backoff_max } = step;
    json!({
        "cronJob": cron_job,
        "within": duration(*within),
        "attempts": attempts,
        "cooldown": duration(*cooldown),
        "backoff": {"factor": backoff_factor, "max": duration(*backoff_max)},
    })
}

fn failover(step: &FailoverStep) -> Value {
    let FailoverStep { group, within, attempts, cooldown } = step;
    json!({"group": group, "within": duration(*within), "attempts": attempts, "cooldown": duration(*cooldown)})
}

fn guard(limits: &Limits, written: &Guard) -> Value {
    let Limits {
        min_healthy,
        max_concurrent,
        new_incident_after,
        progress_within,
        budget,
        budget_per_target,
        storm,
        windows: _,
        warm_up,
        evidence_max_age,
        pause,
        approvals,
    } = limits;
    let limits = |of: &[BudgetLimit]| -> Vec<Value> {
        of.iter().map(|limit| json!({"actions": limit.actions, "per": duration(limit.per)})).collect()
    };
    let mut value = json!({
        "minHealthy": min_healthy,
        "maxConcurrent": max_concurrent,
        "newIncidentAfter": duration(*new_incident_after),
        "progress": {"within": duration(*progress_within)},
        "budget": limits(budget),
        "warmUp": duration(*warm_up),
        "evidenceMaxAge": duration(*evidence_max_age),
        "pause": pause,
    });
    if !budget_per_target.is_empty() {
        value["budgetPerTarget"] = json!(limits(budget_per_target));
    }
    if let Some(StormLimit { targets, per, cooldown }) = storm {
        value["storm"] = json!({"targets": targets, "per": duration(*per), "cooldown": duration(*cooldown)});
    }
    if written.approvals.is_some() {
        value["approvals"] = json!({"required": approvals});
    }
    if !written.windows.is_empty() {
        value["windows"] = json!(written.windows);
    }
    value
}
