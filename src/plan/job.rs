//! The guards of a job of the owner's.

use crate::api::policy::Role;

use super::{CronJobFacts, Facts, guard::Held};

/// The `CronJob` is there, waits to be asked, and is one that we may run; and the target does not sign. A person may ask
/// for another than the ladder's.
pub(super) fn runnable(facts: &Facts<'_>) -> Option<Held> {
    if matches!(facts.policy.role, Role::Validator | Role::Signer) {
        return Held::because("it signs: a job could bring back an older signing state, and that signs twice");
    }
    let name = facts.policy.ladder.job.as_ref().map_or("that was asked for", |job| &job.cron_job);
    Held::because(facts.live.cron_job.trouble(name)?)
}

impl CronJobFacts {
    /// Why a `CronJob` of this name cannot be run now.
    #[must_use]
    pub fn trouble(&self, name: &str) -> Option<String> {
        Some(match self {
            Self::Unread | Self::Ready(_) => return None,
            Self::Absent => format!("there is no CronJob {name} in this namespace"),
            Self::Forbidden => {
                format!("Mainstay may not run CronJob {name}: install the chart with jobs.enabled=true")
            }
            Self::RunsByItself => {
                format!(
                    "CronJob {name} is not suspended: what runs by itself is none of ours; write suspend: true"
                )
            }
            Self::Busy => format!("a job of CronJob {name} is running already"),
        })
    }
}
