//! How often: budgets over sliding windows, of the policy, of each target and of the network; and storms.

use crate::{
    api::{ActionRecord, NetworkLedgerSpec},
    policy::{BudgetLimit, Policy},
    signal::Server,
};

use super::ledger::{HOUR, span};

/// Whose actions are counted.
#[derive(Clone, Copy, Debug)]
pub struct Spending<'a> {
    /// The record of what was done.
    pub ledger: &'a NetworkLedgerSpec,
    /// On whose behalf.
    pub policy: &'a Policy,
    /// The network's own budget.
    pub of_network: &'a [BudgetLimit],
    /// The slot.
    pub slot: &'a str,
    /// Whether steps are only written down; those count for themselves.
    pub simulated: bool,
}

/// A limit that is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// In one sentence.
    pub why: String,
    /// Until when; never, if nothing is allowed at all.
    pub until: Option<Server>,
}

/// What stands for a slot in the record of an action: FNV-1a with 64 bits, whose constants are public. Two slots that share
/// it share their limits, which makes those tighter.
#[must_use]
pub(super) fn stands_for(slot: &str) -> String {
    let hash = slot.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

impl Spending<'_> {
    /// The first budget that is used up, and when its oldest action leaves the window.
    #[must_use]
    pub fn used_up(&self, now: Server) -> Option<Reached> {
        // No limits at all are no licence: an empty budget is a budget of nothing.
        let nothing = [BudgetLimit { actions: 0, per: HOUR }];
        let limits = &self.policy.limits;
        let own = if limits.budget.is_empty() { &nothing[..] } else { &limits.budget };
        let of_policy = |action: &&ActionRecord| action.policy == self.policy.id.uid;
        let slot = stands_for(self.slot);
        let of_slot = |action: &&ActionRecord| of_policy(action) && action.slot == slot;
        let by_policy = own.iter().find_map(|limit| self.reached(*limit, now, of_policy, "the policy"));
        by_policy
            .or_else(|| {
                let mut of_target = limits.budget_per_target.iter();
                of_target.find_map(|limit| self.reached(*limit, now, of_slot, "this target"))
            })
            .or_else(|| {
                self.of_network.iter().find_map(|limit| self.reached(*limit, now, |_| true, "the network"))
            })
    }

    fn reached(
        &self,
        limit: BudgetLimit,
        now: Server,
        counts: impl Fn(&&ActionRecord) -> bool,
        whose: &str,
    ) -> Option<Reached> {
        let most = usize::try_from(limit.actions).unwrap_or(usize::MAX);
        let mut recent: Vec<i64> =
            self.recent(limit.per, now).filter(|action| counts(action)).map(|action| action.at).collect();
        if recent.len() < most {
            return None;
        }
        recent.sort_unstable();
        // When so many have left that one more fits.
        let leaves = if most == 0 { None } else { recent.get(recent.len() - most) };
        Some(Reached {
            why: format!("{whose} allows {} actions in {}, and they are used up", limit.actions, span(limit.per)),
            until: leaves.map(|at| Server(*at).plus(limit.per)),
        })
    }

    /// Whether so many targets had an action in so short a time that the next one must wait. Nothing but the actions
    /// themselves says so: whoever reads the ledger, after whatever crash, sees the same storm.
    #[must_use]
    pub fn storm(&self, now: Server) -> Option<Reached> {
        let storm = self.policy.limits.storm?;
        let most = usize::try_from(storm.targets).unwrap_or(usize::MAX);
        let mut actions: Vec<(i64, &str)> = self
            .recent(storm.per.saturating_add(storm.cooldown), now)
            .filter(|action| action.policy == self.policy.id.uid)
            .map(|action| (action.at, action.slot.as_str()))
            .collect();
        actions.sort_unstable();
        let broke = actions.iter().rev().find(|(at, _)| {
            let within =
                actions.iter().filter(|(other, _)| other <= at && Server(*at).since(Server(*other)) < storm.per);
            let mut slots: Vec<&str> = within.map(|(_, slot)| *slot).collect();
            slots.sort_unstable();
            slots.dedup();
            slots.len() >= most
        });
        let end = Server(broke?.0).plus(storm.cooldown);
        (end > now).then(|| Reached {
            why: format!(
                "{} targets were acted on within {}: that is one cause, and not so many",
                storm.targets,
                span(storm.per)
            ),
            until: Some(end),
        })
    }

    /// The actions of a window. One that holds a seat may be happening at this very moment, whenever it took that.
    fn recent(&self, per: u64, now: Server) -> impl Iterator<Item = &ActionRecord> {
        let (ledger, simulated) = (self.ledger, self.simulated);
        ledger.actions.iter().filter(move |action| {
            let seated = || ledger.seats.iter().any(|seat| seat.remediation.uid == action.remediation);
            action.simulated == simulated && (now.since(Server(action.at)) < per || seated())
        })
    }
}
