//! The ledger: seats, recent actions and attempts of one network, as pure functions over the record.
//!
//! Each function takes the record as read and returns what is to be written; the write is a compare-and-swap, so
//! whoever loses it reads again and decides again. All are idempotent by the remediation's uid: after an unknown
//! outcome the same call is simply made once more.

use crate::{
    api::{ActionRecord, LedgerSeat, NetworkLedgerSpec, RemediationRef, SlotRecord},
    policy::{BudgetLimit, Policy, RestartStep},
    signal::Server,
};

use super::{Guard, Step};

/// Slots and actions that are remembered at most; both bound the object well under 64 KiB… of etcd's 1.5 MiB.
const MOST_SLOTS: usize = 128;
const MOST_ACTIONS: usize = 128;

/// What a remediation asks the ledger for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Who asks: `namespace/name` of the installation.
    pub installation: &'a str,
    /// On behalf of which policy.
    pub policy: &'a Policy,
    /// Disruptive actions at once on the network.
    pub network_max: u32,
    /// For which remediation.
    pub remediation: RemediationRef,
    /// On which slot.
    pub slot: &'a str,
    /// Number of the attempt.
    pub attempt: i32,
    /// For which step.
    pub step: Step,
    /// Whether the step is only written down.
    pub simulated: bool,
    /// Whether long health has ended the former incident.
    pub new_incident: bool,
    /// When it should be over.
    pub deadline: Server,
    /// Now, by the API server's clock.
    pub now: Server,
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

/// Takes a seat, the budget and the attempt in one write. A restart gets a seat; a page and a simulated step are
/// only recorded.
pub fn take(ledger: &NetworkLedgerSpec, ask: &Ask<'_>) -> Result<NetworkLedgerSpec, Refused> {
    let refuse = |guard, why: String| Err(Refused { guard, why });
    let uid = &ask.remediation.uid;
    if ledger.seats.iter().any(|seat| seat.remediation.uid == *uid)
        || ledger.actions.iter().any(|action| action.remediation == *uid)
    {
        return Ok(ledger.clone());
    }
    if !ledger.installation.is_empty() && ledger.installation != ask.installation {
        return refuse(
            Guard::Conflict,
            format!("the network belongs to the installation {}", ledger.installation),
        );
    }
    let mut record = record(ledger, &ask.policy.id.uid, ask.slot, ask.simulated);
    let previous_at = record.last_at;
    if ask.new_incident {
        begin_incident(&mut record);
    }
    if ask.step == Step::Restart {
        if let Some(end) = ask.policy.ladder.restart.and_then(|step| rests_until(&record, &step))
            && end > ask.now
        {
            return refuse(Guard::Cooldown, "the slot rests after its last restart".into());
        }
        if let Some((limit, _)) = budget_exceeded(ledger, ask.policy, ask.simulated, ask.now) {
            return refuse(Guard::Budget, format!("{} actions in {} are used up", limit.actions, span(limit.per)));
        }
        if !ask.simulated
            && let Some(why) = seat_refused(ledger, ask.policy, ask.network_max, ask.slot)
        {
            return refuse(Guard::MaxConcurrent, why);
        }
    }

    let mut next = ledger.clone();
    ask.installation.clone_into(&mut next.installation);
    record.attempt = record.attempt.max(ask.attempt);
    match ask.step {
        Step::Restart => {
            record.restarts += 1;
            record.last_at = ask.now.0;
            next.actions.push(ActionRecord {
                policy: ask.policy.id.uid.clone(),
                remediation: uid.clone(),
                at: ask.now.0,
                simulated: ask.simulated,
            });
            if !ask.simulated {
                next.seats.push(LedgerSeat {
                    slot: ask.slot.to_owned(),
                    remediation: ask.remediation.clone(),
                    policy: ask.policy.id.clone(),
                    since: ask.now.0,
                    deadline: ask.deadline.0,
                    previous_at,
                });
            }
        }
        Step::Page => record.paged = true,
    }
    put_record(&mut next, record);
    prune(&mut next, ask.now);
    Ok(next)
}

/// Gives a seat back. Without `acted` nothing was done: budget and attempt are given back too. `exhausted` ends the
/// trying in this incident.
#[must_use]
pub fn release(ledger: &NetworkLedgerSpec, remediation: &str, acted: bool, exhausted: bool) -> NetworkLedgerSpec {
    let mut next = ledger.clone();
    let Some(index) = next.seats.iter().position(|seat| seat.remediation.uid == remediation) else {
        return next;
    };
    let seat = next.seats.remove(index);
    let mine = |record: &&mut SlotRecord| {
        record.policy == seat.policy.uid && record.slot == seat.slot && !record.simulated
    };
    if let Some(record) = next.slots.iter_mut().find(mine) {
        if !acted {
            record.restarts = (record.restarts - 1).max(0);
            record.last_at = seat.previous_at;
        }
        record.exhausted |= exhausted;
    }
    if !acted {
        next.actions.retain(|action| action.remediation != remediation);
    }
    next
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
        paged: false,
        exhausted: false,
        last_at: 0,
    })
}

/// Begins a new incident: everything may be tried again. Attempt numbers go on rising.
pub fn begin_incident(record: &mut SlotRecord) {
    record.restarts = 0;
    record.paged = false;
    record.exhausted = false;
}

/// Until when a slot rests after its last restart: cooldown · factor^(restarts − 1), at most `backoff_max`.
#[must_use]
pub fn rests_until(record: &SlotRecord, step: &RestartStep) -> Option<Server> {
    let done = u32::try_from(record.restarts).ok().filter(|restarts| *restarts > 0)?;
    let factor = u64::from(step.backoff_factor).saturating_pow(done - 1);
    let rest = step.cooldown.saturating_mul(factor).min(step.backoff_max.max(step.cooldown));
    Some(Server(record.last_at).plus(rest))
}

/// The budget that is used up, and when its oldest action leaves the window; never, if none is allowed.
#[must_use]
pub fn budget_exceeded(
    ledger: &NetworkLedgerSpec,
    policy: &Policy,
    simulated: bool,
    now: Server,
) -> Option<(BudgetLimit, Option<Server>)> {
    policy.limits.budget.iter().find_map(|limit| {
        let most = usize::try_from(limit.actions).unwrap_or(usize::MAX);
        let mut recent = ledger.actions.iter().filter(|action| {
            action.policy == policy.id.uid
                && action.simulated == simulated
                && now.since(Server(action.at)) < limit.per
        });
        let count = recent.clone().count();
        if count < most {
            return None;
        }
        // When so many have left that one more fits.
        let leaves = if most == 0 { None } else { recent.nth(count - most) };
        Some((*limit, leaves.map(|action| Server(action.at).plus(limit.per))))
    })
}

/// Why no seat is free for a slot.
#[must_use]
pub fn seat_refused(ledger: &NetworkLedgerSpec, policy: &Policy, network_max: u32, slot: &str) -> Option<String> {
    let of_policy = || ledger.seats.iter().filter(|seat| seat.policy.uid == policy.id.uid);
    if of_policy().any(|seat| seat.slot == slot) {
        return Some(format!("{slot} is being acted on already"));
    }
    let full = |taken: usize, most: u32| taken >= usize::try_from(most).unwrap_or(usize::MAX);
    let most = policy.limits.max_concurrent;
    if full(of_policy().count(), most) {
        return Some(format!("the policy allows {most} at once, and {}", acting(of_policy())));
    }
    if full(ledger.seats.len(), network_max) {
        return Some(format!("the network allows {network_max} at once, and {}", acting(ledger.seats.iter())));
    }
    None
}

/// Seats whose deadline passed long ago: their remediation is read live, and the seat is given back if it is over.
pub fn overdue(ledger: &NetworkLedgerSpec, now: Server) -> impl Iterator<Item = &LedgerSeat> {
    ledger.seats.iter().filter(move |seat| now > Server(seat.deadline))
}

/// A span of milliseconds, for people.
#[must_use]
pub fn span(millis: u64) -> String {
    crate::api::Duration::from_millis(millis).to_string()
}

fn acting<'a>(seats: impl Iterator<Item = &'a LedgerSeat>) -> String {
    let slots: Vec<_> = seats.map(|seat| seat.slot.as_str()).collect();
    if slots.is_empty() { "none may act".into() } else { format!("{} is being acted on", slots.join(", ")) }
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

/// Forgets what no limit needs: actions older than the longest budget window there may be, and beyond the bound the
/// slots that were left alone the longest.
fn prune(ledger: &mut NetworkLedgerSpec, now: Server) {
    const LONGEST_BUDGET: u64 = 168 * 3_600_000;
    ledger.actions.retain(|action| now.since(Server(action.at)) < LONGEST_BUDGET);
    if ledger.actions.len() > MOST_ACTIONS {
        let surplus = ledger.actions.len() - MOST_ACTIONS;
        ledger.actions.drain(..surplus);
    }
    while ledger.slots.len() > MOST_SLOTS {
        let oldest = (0..ledger.slots.len()).min_by_key(|index| ledger.slots[*index].last_at);
        match oldest {
            Some(index) => drop(ledger.slots.remove(index)),
            None => return,
        }
    }
}
