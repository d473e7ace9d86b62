//! What was tried on a slot in one incident, and what may be tried yet.

use super::{Step, ledger::LONGEST};
use crate::{
    api::SlotRecord,
    policy::{Ladder, RerouteStep},
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

/// How often a disruptive step was tried on a slot in one incident, and how often it may be.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    /// So often it was.
    pub done: i32,
    /// So often it may be.
    pub attempts: u32,
    /// Nothing more is tried in this incident, of any step.
    pub exhausted: bool,
    last_at: Server,
    cooldown: u64,
    backoff_factor: u32,
    backoff_max: u64,
}

impl Tries {
    /// Those of a restart, a job or a failover, if the ladder has it.
    #[must_use]
    pub fn of(step: Step, ladder: &Ladder, record: &SlotRecord) -> Option<Self> {
        let (done, attempts, cooldown, backoff_factor, backoff_max) = match step {
            Step::Restart => {
                let step = ladder.restart?;
                (record.restarts, step.attempts, step.cooldown, step.backoff_factor, step.backoff_max)
            }
            Step::Job => {
                let step = ladder.job.as_ref()?;
                (record.jobs, step.attempts, step.cooldown, step.backoff_factor, step.backoff_max)
            }
            Step::Failover => {
                let step = ladder.failover.as_ref()?;
                (record.failovers, step.attempts, step.cooldown, 1, step.cooldown)
            }
            Step::Reroute | Step::Rejoin | Step::Page => return None,
        };
        let (exhausted, last_at) = (record.exhausted, Server(record.last_at));
        Some(Self { done, attempts, exhausted, last_at, cooldown, backoff_factor, backoff_max })
    }

    /// Whether every one of this incident was tried, or nothing more is.
    #[must_use]
    pub fn used_up(&self) -> bool {
        self.exhausted || u32::try_from(self.done).is_ok_and(|done| done >= self.attempts)
    }

    /// Until when the slot rests after the last one: for cooldown · factor^(done − 1), at most the longest rest, and never for
    /// longer than a record counts.
    #[must_use]
    pub fn rests_until(&self) -> Option<Server> {
        let done = u32::try_from(self.done).ok().filter(|done| *done > 0)?;
        let factor = u64::from(self.backoff_factor).saturating_pow(done - 1);
        let longest = self.backoff_max.max(self.cooldown);
        Some(self.last_at.plus(self.cooldown.saturating_mul(factor).min(longest).min(LONGEST)))
    }
}

/// Whether the slot left its Services as often as it may in this incident.
#[must_use]
pub fn rerouted_enough(record: &SlotRecord, step: &RerouteStep) -> bool {
    u32::try_from(record.reroutes).is_ok_and(|reroutes| reroutes >= step.attempts)
}
