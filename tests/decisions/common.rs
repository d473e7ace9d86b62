//! A policy to decide by, and dice that always fall alike.

use crate::dice::Dice;

use mainstay::{
    api::{
        Family, PolicyRef, RemediationRef,
        policy::{Mode, Role},
    },
    policy::{BudgetLimit, Policy, preset},
};

pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;
pub const US: &str = "mainstay/mainstay";

pub fn policy(uid: &str, max_concurrent: u32, budget: &[(u32, u64)]) -> Policy {
    let preset = preset(Family::CometBFT, Role::FullNode);
    let mut policy = Policy {
        id: PolicyRef { namespace: "cosmos".into(), name: uid.into(), uid: uid.into() },
        generation: 1,
        network: "hub".into(),
        joins: Vec::new(),
        family: Family::CometBFT,
        role: Role::FullNode,
        mode: Mode::Enforce,
        priority: 0,
        selector: serde_json::from_str(r#"{"terms": []}"#).expect("a selector"),
        sources: preset.sources,
        rules: preset.rules.into_iter().map(|(rule, _)| rule).collect(),
        ladder: preset.ladder,
        limits: preset.limits,
        sinks: Vec::new(),
    };
    policy.limits.storm = None;
    policy.limits.max_concurrent = max_concurrent;
    policy.limits.budget =
        budget.iter().map(|(actions, per)| BudgetLimit { actions: *actions, per: *per }).collect();
    policy
}

pub fn remediation(uid: &str) -> RemediationRef {
    RemediationRef { namespace: "cosmos".into(), name: uid.into(), uid: uid.into() }
}

impl Dice {
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }
}
