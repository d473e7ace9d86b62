//! The guards of a job of the owner's.

use crate::api::policy::Role;

use super::{
    CronJobFacts, Facts,
    guard::Held,
    guards::held_until,
    ladder::{current_record, only_written_down},
    ledger,
};

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

pub(super) fn exhausted(facts: &Facts<'_>) -> Option<Held> {
    let step = facts.policy.ladder.job.as_ref()?;
    let record = current_record(facts);
    if !ledger::jobs_used_up(&record, step) {
        return None;
    }
    let why = if record.exhausted {
        "the last step could not be verified: a person must look".into()
    } else {
        format!("{} of {} jobs were tried in this incident", record.jobs, step.attempts)
    };
    Held::because(why)
}

pub(super) fn cooldown(facts: &Facts<'_>) -> Option<Held> {
    let step = facts.policy.ladder.job.as_ref()?;
    if let Some(held) = only_written_down(facts) {
        return Some(held);
    }
    let record = current_record(facts);
    let end = ledger::job_rests_until(&record, step)?;
    held_until(facts, end, |left| format!("resting after job {} of {}: {left} s left", record.jobs, step.attempts))
}
