//! Deliberate mistakes: each takes one sentence of the protocol away, round the functions that production runs. A mask is
//! put over what a function is shown, or over what it returns; the function itself stays as it is.

use mainstay::failover::{
    Boot, Event, Height, Holder, Phase, Record,
    gate::{self, Act, Answer, Ask, Entry, Gate, Hold, Limits, Part, Refusal, Request},
    step,
};

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    /// The floor is the head that telemetry shows, and it is the true one.
    FloorFromTheHead,
    /// A gate signs up to the ceiling that it has asked for.
    SignsUnconfirmed,
    /// A gate signs all that is above its start: nothing ends what it once held.
    NoCeiling,
    /// A raise is taken whatever the record says by then.
    RaisesBlindly,
    /// The floor is fixed when `Revoking` is written, and a raise is still allowed.
    FloorWithRevoking,
    /// The floor is fixed with the fence, and a raise is allowed until the next activation.
    RaisesWhileFenced,
    /// A process that finds nothing of its epoch on its disk starts at the floor.
    StartsAtTheFloor,
    /// A process starts at what its disk says.
    TrustsTheDisk,
    /// Whoever runs in the pod is the holder.
    NoBootId,
    /// A seal is sent before the gate is silent.
    SealsBeforeItIsSilent,
    /// A seal is sent though nothing of it is on the disk; in memory the gate is silent.
    SealsBeforeItIsDurable,
    /// A seal says what this process signed, and the next floor is that.
    SealsBelowTheFloor,
    /// The same, but never below the floor: what an earlier process signed is forgotten.
    SealsBelowTheStart,
    /// A process that finds nothing on its disk knows of no seal.
    IgnoresTheSeal,
    /// Who else has the key is one gate's matter, and the next one goes on.
    ShutsOneGate,
    /// The stored signature does not stand in the way of another.
    SignsAnotherContent,
    /// The ceiling is lowered before the gate is silent.
    LowersBeforeItIsSilent,
    /// And to what this process signed, though another signed before it.
    LowersBelowItsStart,
    /// And whatever the record says by then.
    LowersBlindly,
    /// A record that knows less is as good as any.
    NeverLatches,
    /// Who adopts a restored record takes the head for all that can have been signed.
    AdoptsAtTheHead,
    /// Or a window above it: a gate whose node works on the next height owns one more.
    AdoptsAWindowAboveTheHead,
    /// Whoever adopts after a pod has not made sure of it: it runs.
    AdoptsAfterAPodThatRuns,
    /// Whoever adopts after a pod names none: it made sure of another one.
    AdoptsAfterAnyPod,
}

/// What a gate does about a record.
pub struct Seen {
    pub gate: Gate,
    pub acts: Vec<Act>,
    /// Whether its write is taken whatever the record says by then.
    pub blind: bool,
}

impl Mistake {
    /// A gate sees the record.
    pub fn sees(self, gate: &Gate, record: &Record, asked: Height, limits: &Limits) -> Seen {
        let mut gate = gate.clone();
        if self == Self::NeverLatches {
            gate.disk.known = None;
        }
        let gate = &gate;
        let event = gate::Event::Seen { record: self.shown(gate, record), asked };
        let (mut next, mut acts) = gate::step(gate, &event, limits);
        let mut blind = false;
        if let Some(Act::Put(put)) = acts.last_mut() {
            let (seals, lowers) = (put.sealed.is_some(), put.lowered && !record.lowered);
            let raises = put.ceiling > record.ceiling;
            blind = (raises && self == Self::RaisesBlindly) || (lowers && self == Self::LowersBlindly);
            match (self, &mut next.part) {
                (Self::SignsUnconfirmed, Part::Holding(hold)) => hold.ceiling = hold.ceiling.max(put.ceiling),
                (Self::SealsBeforeItIsSilent, _) if seals => next.disk.silent = None,
                (Self::LowersBeforeItIsSilent, _) if lowers => next.disk.silent = None,
                (Self::SealsBelowTheFloor, Part::Holding(hold)) if seals => {
                    put.sealed = Some(own(gate, hold).map_or(Height(0), |own| own.at.height));
                }
                (Self::SealsBelowTheStart, Part::Holding(hold)) if seals => {
                    put.sealed = Some(own(gate, hold).map_or(put.floor, |own| own.at.height));
                }
                (Self::LowersBelowItsStart, Part::Holding(hold)) if lowers => {
                    put.ceiling = own(gate, hold).map_or(put.floor, |own| own.at.height);
                }
                _ => {}
            }
            self.sent(record, put);
            let vain = put == record;
            if self == Self::SealsBeforeItIsDurable && (seals || lowers) {
                acts.retain(|act| *act != Act::Persist);
            }
            if vain {
                acts.pop();
            }
        }
        if let (None, Some(hold)) = (gate.hold(), next.hold()) {
            next.part = Part::Holding(self.begins(gate, record, hold));
        }
        Seen { gate: next, acts, blind }
    }

    /// The record as the gate takes it.
    fn shown(self, gate: &Gate, record: &Record) -> Record {
        let mut shown = record.clone();
        let same = gate.hold().is_some_and(|hold| hold.tenure == record.tenure);
        let me = || Holder { pod: gate.me.pod.clone(), boot: Some(gate.me.boot) };
        match (self, &record.phase) {
            (Self::FloorWithRevoking, Phase::Revoking { holder, .. }) => {
                (shown.phase, shown.sealed) = (Phase::Active(holder.clone()), None);
            }
            (Self::RaisesWhileFenced, Phase::Fenced(_)) if same => {
                (shown.phase, shown.sealed) = (Phase::Active(me()), None);
            }
            (Self::NoBootId, Phase::Active(holder)) if holder.pod.uid == gate.me.pod.uid => {
                shown.phase = Phase::Active(me());
            }
            (Self::IgnoresTheSeal, Phase::Active(_)) if gate.disk.latched.is_none() => shown.sealed = None,
            _ => {}
        }
        shown
    }

    /// The write as it would have been of the true record.
    fn sent(self, record: &Record, put: &mut Record) {
        if matches!(self, Self::FloorWithRevoking | Self::RaisesWhileFenced)
            && put.tenure == record.tenure
            && !matches!(record.phase, Phase::Active(_))
        {
            (put.phase, put.sealed) = (record.phase.clone(), record.sealed);
        }
        if self == Self::IgnoresTheSeal {
            // What it was for is another guard, and not the one that is tried.
            (put.sealed, put.shut) = (put.sealed.or(record.sealed), None);
        }
        if self == Self::NoBootId {
            put.phase = record.phase.clone();
        }
    }

    /// Where a process that gets the place believes that it starts.
    fn begins(self, gate: &Gate, record: &Record, hold: Hold) -> Hold {
        let here = gate.disk.last.as_ref().filter(|last| last.key.tenure == hold.tenure);
        let start = match (self, here) {
            (Self::TrustsTheDisk, Some(last)) => last.at.height,
            (Self::StartsAtTheFloor, None) => record.floor,
            _ => return hold,
        };
        Hold { start, ..hold }
    }

    /// The part of a process that does not have to claim.
    pub fn starts(self, gate: &mut Gate, record: &Record) {
        if self == Self::NoBootId {
            gate.part =
                Part::Holding(Hold { tenure: record.tenure, start: record.ceiling, ceiling: record.ceiling });
        }
    }

    /// A gate is asked. Whether a signature leaves.
    pub fn decides(self, gate: &Gate, ask: &Ask, limits: &Limits) -> (Gate, bool) {
        let mut shown = gate.clone();
        if let (Self::NoCeiling, Part::Holding(hold)) = (self, &mut shown.part) {
            // What is nonsense is nonsense still: a run would wait for its block for ever.
            hold.ceiling = Height(1 << 40);
        }
        let (mut next, answer) = gate::decide(&shown, &Request::Sign(*ask), limits);
        next.part = gate.part;
        let another = self == Self::SignsAnotherContent && answer == Answer::Refuse(Refusal::Conflict);
        if another && let Some(last) = &mut next.disk.last {
            last.content = ask.content;
        }
        (next, another || answer == Answer::Sign)
    }

    /// An operator decides.
    pub fn steps(self, record: &Record, event: Event, head: Height) -> Record {
        let mut record = record.clone();
        let shut = record.shut;
        if self == Self::ShutsOneGate {
            record.shut = None;
        }
        let record = &record;
        let (mut next, _) = step(record, event);
        if next.tenure == record.tenure {
            next.shut = next.shut.max(shut);
        }
        let began = next.tenure != record.tenure;
        match self {
            Self::FloorFromTheHead if began => (next.floor, next.ceiling) = (head, head),
            Self::SealsBelowTheFloor if began => {
                let floor = record.sealed.unwrap_or(next.floor);
                (next.floor, next.ceiling) = (floor, floor);
            }
            Self::FloorWithRevoking if next.holder().is_some() && !matches!(next.phase, Phase::Active(_)) => {
                next.sealed = next.sealed.or(Some(next.ceiling));
            }
            Self::RaisesWhileFenced if matches!(next.phase, Phase::Fenced(_)) && record.holder().is_some() => {
                next.sealed = next.sealed.or(Some(next.ceiling));
            }
            _ => {}
        }
        next
    }
}

/// What this very process signed last in its tenure.
fn own<'a>(gate: &'a Gate, hold: &Hold) -> Option<&'a Entry> {
    let boot: Boot = gate.me.boot;
    gate.disk.last.as_ref().filter(|last| last.key.tenure == hold.tenure && last.key.boot == boot)
}
