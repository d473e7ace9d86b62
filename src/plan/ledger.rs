//! The ledger: seats, recent actions and attempts of one network, as pure functions over the record.
//!
//! Each function takes the record as read and returns what is to be written; the write is a compare-and-swap, so
//! whoever loses it reads again and decides again. All are idempotent by the remediation's uid: after an unknown
//! outcome the same call is simply made once more.

use crate::{
    api::{ActionRecord, LedgerSeat, NetworkLedgerSpec, RemediationRef, SeatStep, SlotRecord},
    policy::{BudgetLimit, Policy, RerouteStep},
    signal::Server,
};

pub use super::incident::{Tries, begin_incident, in_this_incident, rerouted_enough};
pub use super::seats::{doubtful, expected, rotation_refused, seat_refused};
use super::{
    Guard, Step,
    budget::{Spending, stands_for},
    ownership,
    room::forget,
};

/// Services that a seat names at most, as the schema has them.
const MOST_SERVICES: usize = 16;
pub(super) const HOUR: u64 = 3_600_000;
/// The longest budget window there may be (milliseconds), and the longest that an incident or a rest may last
/// without a step. Whatever is older limits nothing any more.
pub const LONGEST: u64 = 168 * HOUR;

/// What a remediation asks the ledger for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Who asks: `namespace/name` of the installation.
    pub installation: &'a str,
    /// On behalf of which policy.
    pub policy: &'a Policy,
    /// Disruptive actions at once on the network.
    pub network_max: u32,
    /// The network's own budget.
    pub network_budget: &'a [BudgetLimit],
    /// For which remediation.
    pub remediation: RemediationRef,
    /// On which slot.
    pub slot: &'a str,
    /// Number of the attempt.
    pub attempt: i32,
    /// For which step.
    pub step: Step,
    /// The Services whose endpoints change, for a change of rotation.
    pub services: Vec<String>,
    /// Whether the step is only written down.
    pub simulated: bool,
    /// When the slot's last health began, if it lasted long enough to end an incident.
    pub long_health: Option<Server>,
    /// When it should be over.
    pub deadline: Server,
    /// Now, by the API server's clock.
    pub now: Server,
}

/// What a remediation may have taken from the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim<'a> {
    /// Uid of the remediation.
    pub remediation: &'a str,
    /// Uid of the policy.
    pub policy: &'a str,
    /// The slot.
    pub slot: &'a str,
    /// Number of the attempt.
    pub attempt: i32,
    /// The step.
    pub step: Step,
    /// When the act was accepted, as far as the journal knows.
    pub acted_at: Option<Server>,
}

/// The seat was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// Which guard holds.
    pub guard: Guard,
    /// In one sentence.
    pub why: String,
}

/// Takes a seat, the budget and the attempt in one write. A restart and a change of rotation get a seat; a page and a
/// simulated step are only recorded.
pub fn take(ledger: &NetworkLedgerSpec, ask: &Ask<'_>) -> Result<NetworkLedgerSpec, Refused> {
    if let Some(mine) = ledger.actions.iter().find(|action| action.remediation == ask.remediation.uid) {
        if mine.simulated == ask.simulated {
            return Ok(ledger.clone());
        }
        // A simulated step is no seat, and a seat that is held is no simulation: it begins anew in the mode of now.
        let why = "the mode changed after this step was recorded";
        return Err(Refused { guard: Guard::Mode, why: why.into() });
    }
    if ledger.seats.iter().any(|seat| seat.remediation.uid == ask.remediation.uid) && !ask.simulated {
        return Ok(ledger.clone());
    }
    let claimed = ownership::claim(ledger, ask.installation, ask.now);
    let mut next = claimed.map_err(|why| Refused { guard: Guard::Conflict, why })?;
    let before = record(ledger, &ask.policy.id.uid, ask.slot, ask.simulated);
    let previous_at = before.last_at;
    let mut record = in_this_incident(before, ask.long_health, ask.now);
    let refused = match ask.step {
        Step::Restart | Step::Job | Step::Failover => disruption_refused(ledger, ask, &record),
        Step::Reroute | Step::Rejoin => turn_refused(ledger, ask, &record),
        Step::Page => page_refused(ask, &record),
    };
    if let Some(refused) = refused {
        return Err(refused);
    }

    // The same step written down twice counts once.
    let again = ask.simulated && record.attempt == ask.attempt;
    record.attempt = record.attempt.max(ask.attempt);
    let mut seat = |step| {
        if !ask.simulated {
            next.seats.push(LedgerSeat {
                slot: ask.slot.to_owned(),
                remediation: ask.remediation.clone(),
                policy: ask.policy.id.clone(),
                since: ask.now.0,
                deadline: ask.deadline.0,
                previous_at,
                step,
                services: ask.services.iter().take(MOST_SERVICES).cloned().collect(),
            });
        }
    };
    match ask.step {
        Step::Reroute => {
            record.reroutes += i32::from(!again);
            record.last_at = ask.now.0;
            seat(SeatStep::Reroute);
        }
        // It ends what the step before began, and counts for nothing.
        Step::Rejoin => seat(SeatStep::Rejoin),
        Step::Restart | Step::Job | Step::Failover => {
            *tried(&mut record, ask.step) += 1;
            ask.step.seat().map(seat);
            record.last_at = ask.now.0;
            next.actions.push(ActionRecord {
                policy: ask.policy.id.uid.clone(),
                remediation: ask.remediation.uid.clone(),
                slot: stands_for(ask.slot),
                at: ask.now.0,
                simulated: ask.simulated,
            });
        }
        Step::Page => {
            record.last_at = ask.now.0;
            record.paged = true;
        }
    }
    put_record(&mut next, record);
    if forget(&mut next, ask) {
        Ok(next)
    } else {
        // To forget what a limit rests on would loosen that limit.
        let why = "the ledger of the network is full of what limits rest on";
        Err(Refused { guard: Guard::LedgerFull, why: why.into() })
    }
}

fn disruption_refused(ledger: &NetworkLedgerSpec, ask: &Ask<'_>, record: &SlotRecord) -> Option<Refused> {
    let refuse = |guard, why: String| Some(Refused { guard, why });
    if let Some(tries) = Tries::of(ask.step, &ask.policy.ladder, record) {
        let step = ask.step.name();
        if tries.used_up() {
            return refuse(Guard::Exhausted, format!("every {step} of this incident was tried"));
        }
        if tries.rests_until().is_some_and(|end| end > ask.now) {
            return refuse(Guard::Cooldown, format!("the slot rests after its last {step}"));
        }
    }
    let spending = Spending {
        ledger,
        policy: ask.policy,
        of_network: ask.network_budget,
        slot: ask.slot,
        simulated: ask.simulated,
    };
    if let Some(spent) = spending.used_up(ask.now) {
        return refuse(Guard::Budget, spent.why);
    }
    if let Some(storm) = spending.storm(ask.now) {
        return refuse(Guard::Storm, storm.why);
    }
    if ask.simulated {
        return None;
    }
    seat_refused(ledger, ask.policy, ask.network_max, ask.slot)
        .map(|why| Refused { guard: Guard::MaxConcurrent, why })
}

/// Nobody is disturbed by a change of rotation: it counts against no budget. It is bounded in an incident, and in each
/// Service there is one at a time.
fn turn_refused(ledger: &NetworkLedgerSpec, ask: &Ask<'_>, record: &SlotRecord) -> Option<Refused> {
    let spent = |step: RerouteStep| rerouted_enough(record, &step) && record.attempt != ask.attempt;
    if ask.step == Step::Reroute && ask.policy.ladder.reroute.is_some_and(spent) {
        let why = "it left its Services as often as it may in this incident".into();
        return Some(Refused { guard: Guard::Exhausted, why });
    }
    if ask.simulated {
        return None;
    }
    rotation_refused(ledger, ask.policy, ask.slot, &ask.services)
        .map(|why| Refused { guard: Guard::MaxConcurrent, why })
}

/// One page in one incident; the same one may ask again after an answer that was lost.
fn page_refused(ask: &Ask<'_>, record: &SlotRecord) -> Option<Refused> {
    let by_another = record.paged && record.attempt != ask.attempt;
    by_another.then(|| Refused { guard: Guard::Exhausted, why: "a person was told in this incident".into() })
}

/// Gives back what a remediation took. Without `acted` nothing was done: budget and attempt, or the page, are given
/// back too. `exhausted` ends the trying in this incident.
///
/// What was done counts from when it was done, which may be later than the seat: windows and rests would be too short else.
///
/// The number of the attempt is not given back: it is part of a name that exists. Nor is an incident that long health
/// has ended.
#[must_use]
pub fn release(ledger: &NetworkLedgerSpec, claim: &Claim<'_>, acted: bool, exhausted: bool) -> NetworkLedgerSpec {
    let mut next = ledger.clone();
    let seat = next.seats.iter().position(|seat| seat.remediation.uid == claim.remediation);
    let seat = seat.map(|index| next.seats.remove(index));
    let action = next.actions.iter().position(|action| action.remediation == claim.remediation);
    let of_slot = |record: &&mut SlotRecord, simulated: bool| {
        record.policy == claim.policy && record.slot == claim.slot && record.simulated == simulated
    };
    if let Some(seat) = seat {
        if let Some(record) = next.slots.iter_mut().find(|record| of_slot(record, false)) {
            if !acted {
                match seat.step {
                    SeatStep::Restart => record.restarts = (record.restarts - 1).max(0),
                    SeatStep::Job => record.jobs = (record.jobs - 1).max(0),
                    SeatStep::Failover => record.failovers = (record.failovers - 1).max(0),
                    SeatStep::Reroute => record.reroutes = (record.reroutes - 1).max(0),
                    SeatStep::Rejoin => {}
                }
                if seat.step != SeatStep::Rejoin {
                    record.last_at = seat.previous_at;
                }
            }
            if let Some(at) = claim.acted_at.filter(|_| acted && seat.step.disrupts()) {
                record.last_at = record.last_at.max(at.0);
            }
            record.exhausted |= exhausted;
        }
        if let (Some(at), Some(index)) = (claim.acted_at.filter(|_| acted), action) {
            next.actions[index].at = next.actions[index].at.max(at.0);
        }
        if !acted && let Some(index) = action {
            next.actions.remove(index);
        }
    } else if acted {
        // Spent, and nothing is held.
    } else if let Some(index) = action.filter(|index| next.actions[*index].simulated) {
        next.actions.remove(index);
        // When the slot acted before is not known any more: the simulated rest stays as long as it is.
        if let Some(record) = next.slots.iter_mut().find(|record| of_slot(record, true)) {
            let tried = tried(record, claim.step);
            *tried = (*tried - 1).max(0);
        }
    } else if claim.step == Step::Page {
        // The number tells this page from a later one, which is not to be taken back.
        let mine = |record: &SlotRecord| {
            record.policy == claim.policy && record.slot == claim.slot && record.attempt == claim.attempt
        };
        next.slots.iter_mut().filter(|record| mine(record)).for_each(|record| record.paged = false);
    }
    next
}

/// How often a step that counts against budgets was tried.
const fn tried(record: &mut SlotRecord, step: Step) -> &mut i32 {
    match step {
        Step::Job => &mut record.jobs,
        Step::Failover => &mut record.failovers,
        _ => &mut record.restarts,
    }
}

/// What was tried on a slot; a fresh record if nothing was.
#[must_use]
pub fn record(ledger: &NetworkLedgerSpec, policy: &str, slot: &str, simulated: bool) -> SlotRecord {
    let known = ledger
        .slots
        .iter()
        .find(|record| record.policy == policy && record.slot == slot && record.simulated == simulated);
    known.cloned().unwrap_or_else(|| SlotRecord {
        policy: policy.to_owned(),
        slot: slot.to_owned(),
        simulated,
        attempt: 0,
        restarts: 0,
        reroutes: 0,
        jobs: 0,
        failovers: 0,
        paged: false,
        exhausted: false,
        last_at: 0,
    })
}

/// A span of milliseconds, for people.
#[must_use]
pub fn span(millis: u64) -> String {
    crate::api::Duration::from_millis(millis).to_string()
}

fn put_record(ledger: &mut NetworkLedgerSpec, record: SlotRecord) {
    let same = |known: &SlotRecord| {
        known.policy == record.policy && known.slot == record.slot && known.simulated == record.simulated
    };
    match ledger.slots.iter().position(same) {
        Some(index) => ledger.slots[index] = record,
        None => ledger.slots.push(record),
    }
}

impl<'a> Ask<'a> {
    /// What it takes, so that it can be given back.
    #[must_use]
    pub fn claim(&'a self) -> Claim<'a> {
        Claim {
            remediation: &self.remediation.uid,
            policy: &self.policy.id.uid,
            slot: self.slot,
            attempt: self.attempt,
            step: self.step,
            acted_at: None,
        }
    }
}

impl<'a> Claim<'a> {
    /// What a seat that is left behind was taken for. Pages have none.
    #[must_use]
    pub fn of(seat: &'a LedgerSeat) -> Self {
        Self {
            remediation: &seat.remediation.uid,
            policy: &seat.policy.uid,
            slot: &seat.slot,
            attempt: 0,
            step: match seat.step {
                SeatStep::Restart => Step::Restart,
                SeatStep::Reroute => Step::Reroute,
                SeatStep::Rejoin => Step::Rejoin,
                SeatStep::Job => Step::Job,
                SeatStep::Failover => Step::Failover,
            },
            acted_at: None,
        }
    }
}
