//! A policy to decide by, and dice that always fall alike.

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

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `sides`.
    pub fn below(&mut self, sides: usize) -> usize {
        let sides = u64::try_from(sides).expect("few sides");
        usize::try_from(self.roll() % sides).expect("few sides")
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
