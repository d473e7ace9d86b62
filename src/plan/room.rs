//! Room in the ledger. It is one small object, and limits rest on it: what no limit rests on is forgotten, and where
//! that makes no room, the step is refused.

use crate::{
    api::{NetworkLedgerSpec, SlotRecord},
    signal::Server,
};

use super::ledger::{Ask, HOUR, LONGEST};

/// The ledger as JSON is never larger (bytes): 64 KiB, less what the object's metadata needs.
const MOST_BYTES: usize = 60 * 1024;
/// Entries of each list at most, as the schema has them.
const MOST_SEATS: usize = 64;
const MOST_ACTIONS: usize = 256;
const MOST_SLOTS: usize = 256;

/// Forgets what no limit rests on, and no more than room is needed for; whether that was enough.
pub(super) fn forget(ledger: &mut NetworkLedgerSpec, ask: &Ask<'_>) -> bool {
    // A policy's own window is known; of other policies only the longest there may be. One hour at least: the action
    // is also how a remediation that asks twice is recognised.
    let of_network = ask.network_budget.iter().map(|limit| limit.per).max().unwrap_or(0);
    let own = ask.policy.longest_budget().max(of_network).max(HOUR);
    let NetworkLedgerSpec { actions, seats, .. } = &mut *ledger;
    actions.retain(|action| {
        let window = if action.policy == ask.policy.id.uid { own } else { LONGEST };
        let seated = || seats.iter().any(|seat| seat.remediation.uid == action.remediation);
        ask.now.since(Server(action.at)) < window || seated()
    });
    while !fits(ledger) {
        let idle = |record: &SlotRecord| {
            let tried = [record.restarts, record.reroutes, record.jobs, record.failovers];
            tried == [0; 4] && !record.paged && !record.exhausted
        };
        let over = |record: &SlotRecord| ask.now.since(Server(record.last_at)) >= LONGEST;
        let is_asking = |record: &SlotRecord| record.policy == ask.policy.id.uid && record.slot == ask.slot;
        let held = |record: &SlotRecord| {
            ledger.seats.iter().any(|seat| seat.policy.uid == record.policy && seat.slot == record.slot)
        };
        let forgettable = (0..ledger.slots.len()).filter(|index| {
            let record = &ledger.slots[*index];
            (idle(record) || over(record)) && !is_asking(record) && !held(record)
        });
        if let Some(index) = forgettable.min_by_key(|index| ledger.slots[*index].last_at) {
            ledger.slots.remove(index);
        } else if ask.simulated || !forget_simulated(ledger) {
            return false;
        }
    }
    true
}

/// What was only written down makes room for what is done, never the other way round.
fn forget_simulated(ledger: &mut NetworkLedgerSpec) -> bool {
    let before = ledger.slots.len() + ledger.actions.len();
    ledger.actions.retain(|action| !action.simulated);
    ledger.slots.retain(|record| !record.simulated);
    ledger.slots.len() + ledger.actions.len() < before
}

fn fits(ledger: &NetworkLedgerSpec) -> bool {
    ledger.seats.len() <= MOST_SEATS
        && ledger.actions.len() <= MOST_ACTIONS
        && ledger.slots.len() <= MOST_SLOTS
        && serde_json::to_vec(ledger).is_ok_and(|json| json.len() <= MOST_BYTES)
}
