//! What a gate makes of the record, and what it writes into it.

use crate::failover::{HandOver, Height, Phase, Record, Shut};

use super::{Gate, Hold, Known, Latch, Limits, Part};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The API server showed the record: by a quorum read, or in the answer to a write. One request at a time, so that
    /// what is seen last is newest.
    Seen {
        /// The record.
        record: Record,
        /// The highest height that the node has asked for, other than in vain.
        asked: Height,
    },
    /// The process is to stop.
    Stop,
    /// The chain has a signature of the key above the floor that this gate did not make.
    ForeignSignature,
}

/// What is to be done, in this order. An act that fails ends the list: if it was `Persist`, the process too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Make the disk of the returned state durable.
    Persist,
    /// Write this record with the resourceVersion of the one that was seen. The answer is seen; without one, the record is
    /// read again.
    Put(Record),
    /// Call a person.
    Page(Latch),
}

/// One step. The returned state holds from now on, before anything of the list is done.
#[must_use]
pub fn step(gate: &Gate, event: &Event, limits: &Limits) -> (Gate, Vec<Act>) {
    let mut next = gate.clone();
    let mut acts = Vec::new();
    match event {
        Event::Seen { record, asked } => {
            learn(&mut next, record, &mut acts);
            next.part = part(&next, record);
            let put = wish(&mut next, record, *asked, limits);
            if next.disk != gate.disk {
                acts.insert(0, Act::Persist);
            }
            acts.extend(put.map(Act::Put));
        }
        Event::Stop => next.stopping = true,
        Event::ForeignSignature if next.disk.latched.is_none() => {
            next.disk.latched = Some(Latch::Foreign);
            acts.extend([Act::Persist, Act::Page(Latch::Foreign)]);
        }
        Event::ForeignSignature => {}
    }
    (next, acts)
}

/// Remembers the record that knows most. One that knows less shuts the gate, until a person has adopted the identity.
fn learn(gate: &mut Gate, record: &Record, acts: &mut Vec<Act>) {
    let known = gate.disk.known;
    if gate.disk.latched.is_some() && known.is_some_and(|known| record.adopted > known.epoch) {
        gate.disk.latched = None;
    }
    if known.is_some_and(|known| known.exceeds(record)) {
        if gate.disk.latched.is_none() {
            acts.push(Act::Page(Latch::Restored));
        }
        gate.disk.latched = gate.disk.latched.or(Some(Latch::Restored));
    } else {
        gate.disk.known = Some(Known::of(record));
    }
}

/// Its part, as the record says.
fn part(gate: &Gate, record: &Record) -> Part {
    let tenure = record.tenure;
    if gate.disk.latched == Some(Latch::Restored) {
        return Part::Done(tenure);
    }
    match gate.part {
        Part::Holding(hold) if hold.tenure == tenure && is_mine(gate, record) => {
            Part::Holding(Hold { ceiling: hold.ceiling.max(record.ceiling), ..hold })
        }
        // What its own claim wrote, for nobody else raises it from there.
        Part::Bidding { tenure: of, claims }
            if of == tenure && is_mine(gate, record) && record.claims > claims =>
        {
            Part::Holding(Hold { tenure, start: record.ceiling, ceiling: record.ceiling })
        }
        Part::Bidding { tenure: of, claims } if of == tenure && record.claims == claims => gate.part,
        Part::Bidding { tenure: of, .. } | Part::Holding(Hold { tenure: of, .. }) | Part::Done(of)
            if of == tenure =>
        {
            Part::Done(tenure)
        }
        Part::Idle | Part::Bidding { .. } | Part::Holding(_) | Part::Done(_) => Part::Idle,
    }
}

/// Whether the record names this very process as the one that may sign.
fn is_mine(gate: &Gate, record: &Record) -> bool {
    let holder = record.holder();
    let named = holder.is_some_and(|of| of.pod.uid == gate.me.pod.uid && of.boot == Some(gate.me.boot));
    named && may_own(record)
}

/// Whether a gate may own heights in this epoch at all. A seal binds every process of it.
fn may_own(record: &Record) -> bool {
    record.hand_over == HandOver::Gate && record.sealed.is_none()
}

/// What it wants the record to say.
fn wish(gate: &mut Gate, record: &Record, asked: Height, limits: &Limits) -> Option<Record> {
    let mut next = record.clone();
    match gate.disk.latched {
        Some(Latch::Restored) => return None,
        // Whoever else has the key has it whoever holds the place: this shuts all of them, with the seal or without one.
        Some(Latch::Foreign) => next.shut = next.shut.max(Some(Shut::Foreign)),
        None => {}
    }
    if may_own(record) {
        own(gate, record, asked, limits, &mut next)?;
    }
    (next != *record).then_some(next)
}

/// What it wants its part to be. Nothing if no number of the record fits.
fn own(gate: &mut Gate, record: &Record, asked: Height, limits: &Limits, next: &mut Record) -> Option<()> {
    match (&record.phase, gate.hold()) {
        // Silent first, and on disk: from here on the number is true, whenever the write arrives.
        (Phase::Revoking { .. }, Some(hold)) => seal(gate, &hold, next),
        (Phase::Active(_), Some(hold)) if next.shut.is_some() => {
            seal(gate, &hold, next);
        }
        (Phase::Active(_), Some(hold)) if gate.stopping => {
            gate.disk.silent = Some(gate.key(hold.tenure));
            next.ceiling = gate.signed_at_most(&hold);
            next.lowered = true;
        }
        (Phase::Active(_), Some(hold)) => next.ceiling = raised(&hold, asked, limits).unwrap_or(record.ceiling),
        (Phase::Active(holder), None) if may_claim(gate, record) && holder.pod.uid == gate.me.pod.uid => {
            gate.part = Part::Bidding { tenure: record.tenure, claims: record.claims };
            let mut holder = holder.clone();
            holder.boot = Some(gate.me.boot);
            next.phase = Phase::Active(holder);
            next.claims = record.claims.checked_add(1)?;
            next.lowered = false;
        }
        (_, _) => {}
    }
    Some(())
}

fn seal(gate: &mut Gate, hold: &Hold, next: &mut Record) {
    gate.disk.silent = Some(gate.key(hold.tenure));
    next.sealed = Some(gate.signed_at_most(hold));
}

fn may_claim(gate: &Gate, record: &Record) -> bool {
    let shut = gate.stopping || record.shut.is_some() || gate.disk.latched.is_some();
    !shut && !matches!(gate.part, Part::Done(_))
}

/// The next ceiling, once less than half of the window is left above what was asked for.
fn raised(hold: &Hold, asked: Height, limits: &Limits) -> Option<Height> {
    let sensible = asked <= hold.ceiling.plus(limits.jump) && asked <= limits.reach;
    let near = asked.plus(limits.window / 2) >= hold.ceiling;
    let next = asked.plus(limits.window);
    (sensible && near && next > hold.ceiling).then_some(next)
}
