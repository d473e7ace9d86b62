//! What a policy says when its author says nothing: one preset per family and role.
//!
//! Sources of the numbers: stall and silence 3 min (tenderduty's "node down", PANIC's warning); lag 10 and 30 blocks
//! (common `CometBFT` alert rules); peers below 3 (substrate and proxyd), below 2 behind sentries (PANIC's
//! validator threshold); rests of 15 min growing to 4 h and 3 actions an hour so that a restart can never become
//! the sustaining cause.

use crate::api::{
    Family, HealthyShare, RestartMethod,
    policy::{PortName, Role, Severity},
};
use crate::signal::Signal;

use super::{BudgetLimit, Condition, Ladder, Limits, RestartStep, Rule, Source, SourceKind, Trigger};

/// Name of the preset's source.
pub const PRESET_SOURCE: &str = "rpc";

/// The preset of one family and role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What is asked.
    pub sources: Vec<Source>,
    /// When a target is not healthy; named `preset/NAME`.
    pub rules: Vec<Rule>,
    /// What may be done.
    pub ladder: Ladder,
    /// What holds Mainstay back.
    pub limits: Limits,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The preset of a family and role.
#[must_use]
pub fn preset(family: Family, role: Role) -> Preset {
    match family {
        Family::CometBFT => cometbft(role),
    }
}

fn cometbft(role: Role) -> Preset {
    let signs = role == Role::Validator;
    let fewest_peers = if signs { 2 } else { 3 };
    let restart = RestartStep {
        // A validator's disruption budget is often zero, and it must not wait behind one.
        method: if signs { RestartMethod::Delete } else { RestartMethod::Eviction },
        within: 10 * MINUTE,
        attempts: if signs { 1 } else { 2 },
        cooldown: if signs { 30 * MINUTE } else { 15 * MINUTE },
        backoff_factor: 2,
        backoff_max: 4 * HOUR,
    };
    let (hourly, daily) = if signs { (1, 3) } else { (3, 6) };
    Preset {
        sources: vec![Source {
            name: PRESET_SOURCE.into(),
            kind: SourceKind::CometBft(PortName::Number(26657)),
            every: 5 * SECOND,
            timeout: 2 * SECOND,
        }],
        rules: vec![
            rule("preset/silent", Signal::Reachable, Condition::Below(1_000_000), 3 * MINUTE, Severity::Critical),
            rule("preset/stalled", Signal::Head, Condition::Stalled, 3 * MINUTE, Severity::Critical),
            Rule {
                clear_at: Some(10_000_000),
                ..rule(
                    "preset/behind",
                    Signal::HeadLag,
                    Condition::Above(30_000_000),
                    3 * MINUTE,
                    Severity::Critical,
                )
            },
            Rule {
                clear_at: Some(3_000_000),
                ..rule("preset/lagging", Signal::HeadLag, Condition::Above(10_000_000), MINUTE, Severity::Warning)
            },
            rule(
                "preset/lonely",
                Signal::Peers,
                Condition::Below(fewest_peers * 1_000_000),
                3 * MINUTE,
                Severity::Warning,
            ),
        ],
        ladder: Ladder { restart: Some(restart), page: true },
        limits: Limits {
            min_healthy: HealthyShare::Percent(51),
            max_concurrent: 1,
            new_incident_after: HOUR,
            progress_within: 20 * MINUTE,
            budget: vec![
                BudgetLimit { actions: hourly, per: HOUR },
                BudgetLimit { actions: daily, per: 24 * HOUR },
            ],
            warm_up: 5 * MINUTE,
            evidence_max_age: 30 * SECOND,
            pause: Vec::new(),
        },
    }
}

fn rule(name: &str, signal: Signal, condition: Condition, hold: u64, severity: Severity) -> Rule {
    Rule {
        name: name.into(),
        signal,
        condition,
        trigger: Trigger::For(hold),
        clear_at: None,
        clear_for: 10 * SECOND,
        severity,
    }
}
