//! The ladder: which step is next. Its order is fixed, gentlest first.

use serde::Serialize;

use crate::api::SlotRecord;

use super::{Facts, ledger};

/// One rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Let the pod be made anew by its workload.
    Restart,
    /// Call a person.
    Page,
}

impl Step {
    /// Its name in manifests and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Page => "page",
        }
    }
}

/// What was tried on this slot in this incident: the ledger's record, or a fresh one after long health.
#[must_use]
pub fn current_record(facts: &Facts<'_>) -> SlotRecord {
    let record = ledger::record(facts.ledger, &facts.policy.id.uid, &facts.target.slot, facts.simulated());
    let long_health = facts.target.long_health(facts.policy, facts.now);
    ledger::in_this_incident(record, long_health, facts.now.server)
}

/// The next step, or `None` when nothing is left to try in this incident.
#[must_use]
pub fn next_step(facts: &Facts<'_>) -> Option<Step> {
    let record = current_record(facts);
    // What no restart mends must not be made worse by one: a person decides.
    let restart = facts.policy.ladder.restart.filter(|_| !facts.target.verdict.quarantined());
    if restart.is_some_and(|step| !ledger::used_up(&record, &step)) {
        Some(Step::Restart)
    } else if facts.policy.ladder.page && !record.paged {
        Some(Step::Page)
    } else {
        None
    }
}
