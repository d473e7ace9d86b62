//! From what people wrote to what Mainstay runs. The API server refuses most of this already, but a stored object
//! may be older than a rule.

use std::collections::BTreeSet;

use crate::api::{
    Duration, Family, NodeHealthPolicy, PolicyRef, Threshold,
    policy::{Budget, Guard, HealthRule, Severity},
};
use crate::signal::{Signal, Unit};

use super::{
    BudgetLimit, Condition, Limits, Policy, Rule, Selector, Source, StormLimit, Trigger, Window, ladder::ladder,
    preset, selector::Term, sources,
};

/// What the kubelet says of every pod.
pub(super) const POD_SIGNALS: [Signal; 5] =
    [Signal::Ready, Signal::Restarts, Signal::WaitingReason, Signal::LastExit, Signal::FatalExit];

/// What is wrong with a policy, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {help}")]
pub struct Problem {
    /// Path of the field, such as `spec.rules[slow].above`.
    pub place: String,
    /// What to write instead.
    pub help: String,
}

impl Problem {
    pub(super) fn new(place: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place: place.into(), help: help.into() }
    }
}

/// Validates a policy against the family of its network and fills in every default.
pub fn validate(object: &NodeHealthPolicy, family: Family) -> Result<Policy, Problem> {
    let spec = &object.spec;
    let base = preset(family, spec.role);
    let sources = sources::compile(&spec.telemetry, base.sources, family, spec.role)?;
    let rules = rules(&spec.rules, base.rules.into_iter().map(|(rule, _)| rule).collect(), &sources)?;
    let ladder = ladder(spec.remediation.as_ref(), base.ladder, spec.role)?;
    let limits = limits(&spec.guard, base.limits)?;
    for source in &sources {
        if source.every + source.timeout > limits.evidence_max_age {
            return Err(Problem::new(
                format!("spec.telemetry[{}].every", source.name),
                format!(
                    "every and timeout together must not exceed guard.evidenceMaxAge ({} s), or no evidence would ever be fresh",
                    limits.evidence_max_age / 1000
                ),
            ));
        }
    }
    Ok(Policy {
        id: PolicyRef {
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
        },
        generation: object.metadata.generation.unwrap_or_default(),
        network: spec.network.clone(),
        joins: spec.joins.clone(),
        family,
        role: spec.role,
        mode: spec.mode,
        priority: spec.priority,
        selector: selector(object)?,
        sources,
        rules,
        ladder,
        limits,
        sinks: spec.notify.clone(),
    })
}

fn selector(object: &NodeHealthPolicy) -> Result<Selector, Problem> {
    const PLACE: &str = "spec.selector";
    let written = &object.spec.selector;
    let mut terms = Vec::new();
    for (key, value) in written.match_labels.iter().flatten() {
        terms.push(Term::In(key.clone(), BTreeSet::from([value.clone()])));
    }
    for expression in written.match_expressions.iter().flatten() {
        let key = expression.key.clone();
        let values: BTreeSet<String> = expression.values.iter().flatten().cloned().collect();
        terms.push(match (expression.operator.as_str(), values.is_empty()) {
            ("In", false) => Term::In(key, values),
            ("NotIn", false) => Term::NotIn(key, values),
            ("Exists", true) => Term::Exists(key),
            ("DoesNotExist", true) => Term::DoesNotExist(key),
            _ => {
                let help = "write In or NotIn with values, or Exists or DoesNotExist without";
                return Err(Problem::new(format!("{PLACE}.matchExpressions[{key}]"), help));
            }
        });
    }
    if !terms.iter().any(|term| matches!(term, Term::In(..) | Term::Exists(_))) {
        let help = "name at least one label that a pod must carry: an empty selector would mean every pod";
        return Err(Problem::new(PLACE, help));
    }
    Ok(Selector { terms })
}

/// Rules of the preset on what no source of the policy offers could never be judged, and are left out.
fn rules(written: &[HealthRule], mut rules: Vec<Rule>, sources: &[Source]) -> Result<Vec<Rule>, Problem> {
    let mut seen = BTreeSet::new();
    for rule in written {
        let place = format!("spec.rules[{}]", rule.name);
        if !seen.insert(&rule.name) {
            return Err(Problem::new(place, "two rules have this name: give each its own"));
        }
        let known = rules.iter().position(|known| known.name == rule.name);
        if rule.name.starts_with("preset/") && known.is_none() {
            return Err(Problem::new(place, "the preset of this family and role has no rule of this name"));
        }
        match (known, rule.disabled) {
            (Some(index), true) => drop(rules.remove(index)),
            (None, true) => {
                return Err(Problem::new(place, "disabled: true only removes rules named preset/NAME"));
            }
            (Some(index), false) => rules[index] = compile(rule, &place)?,
            (None, false) => rules.push(compile(rule, &place)?),
        }
    }
    rules.retain(|rule| seen.contains(&rule.name) || offered(rule.signal, sources));
    Ok(rules)
}

/// Whether a source of the policy, or the kubelet, can tell the signal.
fn offered(signal: Signal, sources: &[Source]) -> bool {
    let of = if signal.is_derived() { Signal::Head } else { signal };
    POD_SIGNALS.contains(&of) || sources.iter().any(|source| source.kind.signals().contains(&of))
}

fn compile(rule: &HealthRule, place: &str) -> Result<Rule, Problem> {
    let refuse = |field: &str, help: &str| Err(Problem::new(format!("{place}{field}"), help));
    let Some(signal) = rule.signal.as_ref().and_then(|name| Signal::named(&name.0)) else {
        return refuse(".signal", "name the signal that is judged, such as head_lag or custom/mine");
    };
    let hash = matches!(signal, Signal::BlockHash | Signal::AppHash);
    let conditions = (&rule.above, &rule.below, &rule.stalled, &rule.diverged, &rule.absent);
    let condition = match conditions {
        (Some(above), None, None, None, None) if !hash => Condition::Above(threshold(above, signal, place)?),
        (None, Some(below), None, None, None) if !hash => Condition::Below(threshold(below, signal, place)?),
        (None, None, Some(_), None, None) if signal == Signal::Head => Condition::Stalled,
        (None, None, Some(_), None, None) => return refuse(".stalled", "stalled judges the signal head"),
        (None, None, None, Some(_), None) if !hash => {
            return refuse(".diverged", "diverged compares block_hash or app_hash with the network's");
        }
        (None, None, None, Some(_), None) if rule.severity == Severity::Critical => {
            return refuse(".severity", "diverged needs Quarantine or Warning: no restart mends it");
        }
        (None, None, None, Some(_), None) => Condition::Diverged,
        (None, None, None, None, Some(_)) if rule.severity == Severity::Warning => Condition::Absent,
        (None, None, None, None, Some(_)) => {
            return refuse(".severity", "absent needs Warning: what is not known is never a reason to act");
        }
        _ if hash => return refuse("", "hashes are only compared: write diverged: {}"),
        _ => return refuse("", "exactly one of above, below, stalled, diverged and absent"),
    };
    let trigger = match (rule.hold, &rule.breaching) {
        (Some(_), Some(_)) => return refuse("", "for or breaching, not both"),
        (hold, None) => Trigger::For(hold.map_or(0, Duration::as_millis)),
        (None, Some(breaching)) => match (u32::try_from(breaching.samples), u32::try_from(breaching.of)) {
            (Ok(samples @ 1..), Ok(of @ 1..=64)) if samples <= of => Trigger::Samples { samples, of },
            _ => return refuse(".breaching", "1 <= samples <= of <= 64"),
        },
    };
    let clear = rule.clear.clone().unwrap_or_default();
    let clear_at = match (condition, &clear.below, &clear.above) {
        (_, None, None) => None,
        (Condition::Above(above), Some(below), None) => {
            Some(threshold(below, signal, place)?).filter(|below| *below <= above)
        }
        (Condition::Below(below), None, Some(above)) => {
            Some(threshold(above, signal, place)?).filter(|above| *above >= below)
        }
        _ => return refuse(".clear", "below goes with above, and above with below"),
    };
    if clear_at.is_none() && (clear.below.is_some() || clear.above.is_some()) {
        return refuse(".clear", "inverted hysteresis: it must be easier to stay than to become unhealthy");
    }
    Ok(Rule {
        name: rule.name.clone(),
        signal,
        condition,
        trigger,
        clear_at,
        clear_for: clear.hold.map_or(0, Duration::as_millis),
        severity: rule.severity,
    })
}

fn threshold(written: &Threshold, signal: Signal, place: &str) -> Result<i64, Problem> {
    if written.is_time() && !matches!(signal.unit(), Unit::Seconds | Unit::Number) {
        let help = format!("{} is not a time: write a plain number", signal.name());
        return Err(Problem::new(place, help));
    }
    Ok(written.micros())
}

fn limits(written: &Guard, base: Limits) -> Result<Limits, Problem> {
    let budget = match &written.budget {
        None => base.budget,
        Some(budgets) => self::budget(budgets, "spec.guard.budget.actions")?,
    };
    let windows = written.windows.iter().enumerate();
    let windows = windows.map(|(index, window)| Window::of(window, &format!("spec.guard.windows[{index}]")));
    let budget_per_target = match &written.budget_per_target {
        None => base.budget_per_target,
        Some(budgets) => self::budget(budgets, "spec.guard.budgetPerTarget.actions")?,
    };
    let storm = match &written.storm {
        None => base.storm,
        Some(storm) => Some(StormLimit {
            targets: count(Some(storm.targets), 0, 2, "spec.guard.storm.targets")?,
            per: storm.per.as_millis(),
            cooldown: storm.cooldown.as_millis(),
        }),
    };
    Ok(Limits {
        budget_per_target,
        storm,
        windows: windows.collect::<Result<_, _>>()?,
        min_healthy: written.min_healthy.unwrap_or(base.min_healthy),
        max_concurrent: count(written.max_concurrent, base.max_concurrent, 0, "spec.guard.maxConcurrent")?,
        new_incident_after: written.new_incident_after.map_or(base.new_incident_after, Duration::as_millis),
        progress_within: written
            .progress
            .as_ref()
            .map_or(base.progress_within, |progress| progress.within.as_millis()),
        budget,
        warm_up: written.warm_up.map_or(base.warm_up, Duration::as_millis),
        evidence_max_age: written.evidence_max_age.map_or(base.evidence_max_age, Duration::as_millis),
        pause: written.pause.clone(),
        approvals: count(
            written.approvals.as_ref().map(|approvals| approvals.required),
            base.approvals,
            1,
            "spec.guard.approvals.required",
        )?,
    })
}

fn budget(written: &[Budget], place: &str) -> Result<Vec<BudgetLimit>, Problem> {
    let limit = |budget: &Budget| {
        Ok(BudgetLimit { actions: count(Some(budget.actions), 0, 0, place)?, per: budget.per.as_millis() })
    };
    written.iter().map(limit).collect()
}

/// A count as written, or the preset's.
pub(super) fn count(written: Option<i32>, base: u32, least: u32, place: &str) -> Result<u32, Problem> {
    written.map_or(Ok(base), |number| {
        u32::try_from(number)
            .ok()
            .filter(|number| *number >= least)
            .ok_or_else(|| Problem::new(place, format!("write a whole number of at least {least}")))
    })
}
