//! Who may be acting now: the seats of the ledger.

use super::Step;
use crate::{
    api::{LedgerSeat, NetworkLedgerSpec, RemediationRef},
    policy::Policy,
    signal::Server,
};

/// Why no seat is free for a slot.
#[must_use]
pub fn seat_refused(ledger: &NetworkLedgerSpec, policy: &Policy, network_max: u32, slot: &str) -> Option<String> {
    let of_policy = || disruptive(ledger).filter(|seat| seat.policy.uid == policy.id.uid);
    // A slot is one place, whichever policy acts on it.
    if ledger.seats.iter().any(|seat| seat.policy.namespace == policy.id.namespace && seat.slot == slot) {
        return Some(format!("{slot} is being acted on already"));
    }
    let full = |taken: usize, most: u32| taken >= usize::try_from(most).unwrap_or(usize::MAX);
    let most = policy.limits.max_concurrent;
    if full(of_policy().count(), most) {
        return Some(format!("the policy allows {most} at once, and {}", acting(of_policy())));
    }
    if full(disruptive(ledger).count(), network_max) {
        return Some(format!("the network allows {network_max} at once, and {}", acting(disruptive(ledger))));
    }
    None
}

/// Why no change of rotation may begin: the slot is being acted on, or another change is under way in one of its Services.
/// Before they are known, in any that the policy changes.
#[must_use]
pub fn rotation_refused(
    ledger: &NetworkLedgerSpec,
    policy: &Policy,
    slot: &str,
    services: &[String],
) -> Option<String> {
    let here = || ledger.seats.iter().filter(|seat| seat.policy.namespace == policy.id.namespace);
    if here().any(|seat| seat.slot == slot) {
        return Some(format!("{slot} is being acted on already"));
    }
    let shares = |seat: &&LedgerSeat| {
        seat.policy.uid == policy.id.uid || seat.services.iter().any(|service| services.contains(service))
    };
    let other = here().filter(|seat| !seat.step.disrupts()).find(shares)?;
    Some(format!("the endpoints of its Services are changing already, with {}", other.slot))
}

/// The seat that a step will take: until it has, those who decide after it count it as taken. A page takes none.
#[must_use]
pub fn expected(policy: &Policy, slot: &str, step: Step, remediation: RemediationRef) -> Option<LedgerSeat> {
    Some(LedgerSeat {
        slot: slot.to_owned(),
        remediation,
        policy: policy.id.clone(),
        since: 0,
        deadline: 0,
        previous_at: 0,
        step: step.seat()?,
        services: Vec::new(),
    })
}

/// Seats of those whose pods go away.
fn disruptive(ledger: &NetworkLedgerSpec) -> impl Iterator<Item = &LedgerSeat> {
    ledger.seats.iter().filter(|seat| seat.step.disrupts())
}

/// Seats that may be nobody's: their deadline passed long ago, or their remediation is said to have ended. It is read
/// live then, and the seat is given back if that is so.
///
/// An end alone does not free a seat: of two operators at work on one remediation, one may withdraw it just before the
/// other takes the seat for it, and then nobody comes back.
pub fn doubtful<'a>(
    ledger: &'a NetworkLedgerSpec,
    now: Server,
    ended: impl Fn(&RemediationRef) -> bool + 'a,
) -> impl Iterator<Item = &'a LedgerSeat> {
    ledger.seats.iter().filter(move |seat| now > Server(seat.deadline) || ended(&seat.remediation))
}

fn acting<'a>(seats: impl Iterator<Item = &'a LedgerSeat>) -> String {
    let slots: Vec<_> = seats.map(|seat| seat.slot.as_str()).collect();
    if slots.is_empty() { "none may act".into() } else { format!("{} is being acted on", slots.join(", ")) }
}
