//! What a policy says when its author says nothing: one preset per family and role. Every number has its origin beside
//! it, which `mainstay explain` shows.

mod nodes;
mod others;
mod pieces;

use super::{Ladder, Limits, Rule, Source};
use crate::api::{Family, policy::Role};

/// The preset of one family and role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What is asked.
    pub sources: Vec<Source>,
    /// When a target is not healthy, named `preset/NAME`, and where the numbers come from.
    pub rules: Vec<(Rule, &'static str)>,
    /// What may be done.
    pub ladder: Ladder,
    /// What holds Mainstay back.
    pub limits: Limits,
    /// A pod should have at least so long to end (seconds), or a restart does harm.
    pub least_grace: u64,
}

/// The preset of a family and role.
#[must_use]
pub fn preset(family: Family, role: Role) -> Preset {
    match role {
        Role::FullNode | Role::Sentry | Role::Validator => nodes::preset(family, role),
        Role::Signer => others::signer(family),
        Role::Relayer => others::relayer(family),
        Role::Oracle => others::oracle(family),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::policy::{PRESET_RULES, Severity};

    const FAMILIES: [Family; 6] = [
        Family::CometBFT,
        Family::EthereumExecution,
        Family::EthereumConsensus,
        Family::Substrate,
        Family::Solana,
        Family::Other,
    ];
    const ROLES: [Role; 6] =
        [Role::FullNode, Role::Sentry, Role::Validator, Role::Signer, Role::Relayer, Role::Oracle];

    fn all() -> impl Iterator<Item = (Family, Role, Preset)> {
        FAMILIES.into_iter().flat_map(|family| ROLES.map(|role| (family, role, preset(family, role))))
    }

    #[test]
    fn the_definitions_know_every_rule_of_every_preset() {
        let mut unused: Vec<_> = PRESET_RULES.iter().map(|name| format!("preset/{name}")).collect();
        for (family, role, preset) in all() {
            for (rule, origin) in &preset.rules {
                let known = rule.name.strip_prefix("preset/").is_some_and(|name| PRESET_RULES.contains(&name));
                assert!(known, "{family:?} {role:?}: {}", rule.name);
                assert!(!origin.is_empty(), "{}", rule.name);
                unused.retain(|name| *name != rule.name);
            }
        }
        assert!(unused.is_empty(), "in no preset: {unused:?}");
    }

    #[test]
    fn whoever_signs_is_never_restarted_twice_and_only_one_at_a_time() {
        for (family, role, preset) in all().filter(|(_, role, _)| matches!(role, Role::Validator | Role::Signer)) {
            let restart = preset.ladder.restart.expect("a step");
            assert_eq!((restart.attempts, preset.limits.max_concurrent), (1, 1), "{family:?} {role:?}");
        }
    }

    // W14: two relayers at work send everything twice. Mainstay never starts one: it removes one at a time, and the workload
    // makes it anew.
    #[test]
    fn of_relayers_one_is_made_anew_at_a_time() {
        for (family, role, preset) in all().filter(|(_, role, _)| *role == Role::Relayer) {
            let restart = preset.ladder.restart.expect("a step");
            assert_eq!(restart.method, crate::api::RestartMethod::Eviction, "{family:?} {role:?}");
            assert_eq!((preset.limits.max_concurrent, preset.ladder.job), (1, None), "{family:?} {role:?}");
        }
    }

    #[test]
    fn the_evidence_of_every_preset_is_fresh_enough() {
        for (family, role, preset) in all() {
            for source in &preset.sources {
                let fresh = source.every + source.timeout <= preset.limits.evidence_max_age;
                assert!(fresh, "{family:?} {role:?}: {}", source.name);
            }
            let critical = preset.rules.iter().filter(|(rule, _)| rule.severity == Severity::Critical);
            for (rule, _) in critical {
                let offered = preset.sources.iter().any(|source| source.kind.signals().contains(&rule.signal));
                let derived = rule.signal.is_derived();
                // A feed is named by the policy; a preset without a source says nothing until one is.
                let later = rule.name == "preset/overdue" || preset.sources.is_empty();
                assert!(offered || derived || later, "{family:?} {role:?}: {}", rule.name);
            }
        }
    }
}
