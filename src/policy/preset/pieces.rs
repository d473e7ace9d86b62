//! What presets are made of.

use crate::{
    api::{
        HealthyShare, RestartMethod,
        policy::{Exporter, PortName, Severity},
    },
    policy::{
        BudgetLimit, Condition, Ladder, Limits, RerouteStep, RestartStep, Rule, Source, SourceKind, StormLimit,
        Trigger,
    },
    signal::Signal,
};

pub(super) const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
/// Millionths, in which thresholds are kept.
pub(super) const ONE: i64 = 1_000_000;

/// A source at a port, asked every 5 s for at most 2 s.
pub(super) fn source(name: &str, kind: SourceKind) -> Source {
    Source { name: name.into(), kind, every: 5 * SECOND, timeout: 2 * SECOND }
}

pub(super) fn scrape(port: u16, path: &str, reads: Exporter) -> Source {
    let kind = SourceKind::Scrape {
        port: PortName::Number(port),
        path: path.into(),
        reads: Some(reads),
        picks: Vec::new(),
    };
    source("metrics", kind)
}

/// A critical rule that clears after 10 s.
pub(super) fn rule(name: &str, signal: Signal, condition: Condition, hold: u64) -> Rule {
    Rule {
        name: format!("preset/{name}"),
        signal,
        condition,
        trigger: Trigger::For(hold),
        clear_at: None,
        clear_for: 10 * SECOND,
        severity: Severity::Critical,
    }
}

impl Rule {
    /// It is over at this number.
    pub(super) fn clear(self, at: i64) -> Self {
        Self { clear_at: Some(at), ..self }
    }

    pub(super) fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    pub(super) fn quarantine(self) -> Self {
        Self { severity: Severity::Quarantine, ..self }
    }
}

/// For what stands behind a Service with others of its kind.
pub(super) const REROUTE: RerouteStep =
    RerouteStep { within: MINUTE, attempts: 3, stay: 30 * SECOND, quarantine_the_last: false };

/// How bold a preset is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boldness {
    pub method: RestartMethod,
    pub attempts: u32,
    pub cooldown: u64,
    pub hourly: u32,
    pub daily: u32,
    pub warm_up: u64,
}

impl Boldness {
    /// For what may be restarted without fear.
    pub const PLAIN: Self = Self {
        method: RestartMethod::Eviction,
        attempts: 2,
        cooldown: 15 * MINUTE,
        hourly: 3,
        daily: 6,
        warm_up: 5 * MINUTE,
    };
    /// For what signs. Its disruption budget is often zero, and it must not wait behind one.
    pub const SIGNS: Self = Self {
        method: RestartMethod::Delete,
        attempts: 1,
        cooldown: 30 * MINUTE,
        hourly: 1,
        daily: 3,
        warm_up: 5 * MINUTE,
    };

    pub fn ladder(self) -> Ladder {
        let restart = RestartStep {
            method: self.method,
            within: 10 * MINUTE,
            attempts: self.attempts,
            cooldown: self.cooldown,
            backoff_factor: 2,
            backoff_max: 4 * HOUR,
        };
        Ladder { reroute: None, restart: Some(restart), job: None, failover: None, page: true }
    }

    pub fn limits(self) -> Limits {
        Limits {
            min_healthy: HealthyShare::Percent(51),
            max_concurrent: 1,
            new_incident_after: HOUR,
            progress_within: 20 * MINUTE,
            budget: vec![
                BudgetLimit { actions: self.hourly, per: HOUR },
                BudgetLimit { actions: self.daily, per: 24 * HOUR },
            ],
            budget_per_target: Vec::new(),
            storm: Some(StormLimit { targets: 3, per: 10 * MINUTE, cooldown: 30 * MINUTE }),
            windows: Vec::new(),
            warm_up: self.warm_up,
            evidence_max_age: 30 * SECOND,
            pause: Vec::new(),
            approvals: 1,
        }
    }
}
