//! What was tried on a slot in one incident, and what may be tried yet.

use super::ledger::LONGEST;
use crate::{
    api::SlotRecord,
    policy::{FailoverStep, JobStep, RerouteStep, RestartStep},
    signal::Server,
};

/// Begins a new incident: everything may be tried again. Attempt numbers go on rising.
pub fn begin_incident(record: &mut SlotRecord) {
    record.restarts = 0;
    record.reroutes = 0;
    record.jobs = 0;
    record.failovers = 0;
    record.paged = false;
    record.exhausted = false;
}

/// The record as it counts now: a new incident begins after a health that was long enough and younger than the last
/// step, or when there was no step for so long that nothing rests on the record any more.
#[must_use]
pub fn in_this_incident(mut record: SlotRecord, long_health: Option<Server>, now: Server) -> SlotRecord {
    let last = Server(record.last_at);
    if long_health.is_some_and(|since| since > last) || now.since(last) >= LONGEST {
        begin_incident(&mut record);
    }
    record
}

/// Whether every restart of this incident was tried.
#[must_use]
pub fn used_up(record: &SlotRecord, step: &RestartStep) -> bool {
    record.exhausted || u32::try_from(record.restarts).is_ok_and(|restarts| restarts >= step.attempts)
}

/// Whether every job of this incident was tried, or nothing more is.
#[must_use]
pub fn jobs_used_up(record: &SlotRecord, step: &JobStep) -> bool {
    record.exhausted || u32::try_from(record.jobs).is_ok_and(|jobs| jobs >= step.attempts)
}

/// Whether every failover of this incident was tried, or nothing more is.
#[must_use]
pub fn failovers_used_up(record: &SlotRecord, step: &FailoverStep) -> bool {
    record.exhausted || u32::try_from(record.failovers).is_ok_and(|failovers| failovers >= step.attempts)
}

/// Whether the slot left its Services as often as it may in this incident.
#[must_use]
pub fn rerouted_enough(record: &SlotRecord, step: &RerouteStep) -> bool {
    u32::try_from(record.reroutes).is_ok_and(|reroutes| reroutes >= step.attempts)
}

/// Until when a slot rests after its last restart.
#[must_use]
pub fn rests_until(record: &SlotRecord, step: &RestartStep) -> Option<Server> {
    let rest = rest(record.restarts, step.cooldown, step.backoff_factor, step.backoff_max)?;
    Some(Server(record.last_at).plus(rest))
}

/// Until when a slot rests after its last job.
#[must_use]
pub fn job_rests_until(record: &SlotRecord, step: &JobStep) -> Option<Server> {
    let rest = rest(record.jobs, step.cooldown, step.backoff_factor, step.backoff_max)?;
    Some(Server(record.last_at).plus(rest))
}

/// Until when a slot rests after its last failover.
#[must_use]
pub fn failover_rests_until(record: &SlotRecord, step: &FailoverStep) -> Option<Server> {
    let rest = rest(record.failovers, step.cooldown, 1, step.cooldown)?;
    Some(Server(record.last_at).plus(rest))
}

/// How long a rest is: cooldown · factor^(done − 1), at most `max`, and never for longer than a record counts.
fn rest(done: i32, cooldown: u64, factor: u32, max: u64) -> Option<u64> {
    let done = u32::try_from(done).ok().filter(|done| *done > 0)?;
    let factor = u64::from(factor).saturating_pow(done - 1);
    Some(cooldown.saturating_mul(factor).min(max.max(cooldown)).min(LONGEST))
}
