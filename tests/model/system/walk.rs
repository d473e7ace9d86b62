//! What can happen next, and what must hold.

use std::hash::{Hash, Hasher};

use mainstay::{
    api::{NetworkLedgerSpec, Phase},
    remedy::{self, Effect, End, Event, Observation},
};
use stateright::{Model, Property};

use super::{AT_ONCE, BUDGET, DEADLINE, HEALS, Journal, Late, Process, SLOTS, System, TRUTH, World};

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// A process gets up and reads the journal.
    Up(usize),
    /// A process dies.
    Dies(usize),
    /// A process performs its effect, and the answer arrives.
    Step(usize),
    /// The guards hold, as if the target were well.
    Held(usize),
    /// It is performed, and the answer is lost.
    Lost(usize),
    /// It is given up, and is still on its way.
    Late(usize),
    /// What is on its way arrives.
    Arrives,
    /// The target is seen well, or time is over.
    Seen(usize, bool),
    /// A seat that may be nobody's is looked at.
    Reclaims(usize),
}

/// A number by which states can be put in an order.
fn print(process: Option<&Process>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    process.hash(&mut hasher);
    hasher.finish()
}

impl Model for System {
    type State = World;
    type Action = Happening;

    fn init_states(&self) -> Vec<World> {
        let journal =
            Journal { phase: Phase::Pending, reason: String::new(), acted_at: None, deadline: None, held: true };
        vec![World {
            ledger: NetworkLedgerSpec::default(),
            journals: vec![journal; SLOTS.len()],
            removed: vec![false; SLOTS.len()],
            processes: vec![None; self.processes.len()],
            late: None,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Happening>) {
        for (process, of) in world.processes.iter().enumerate() {
            let journal = &world.journals[self.processes[process]];
            let Some(of) = of else {
                if journal.held {
                    actions.push(Happening::Up(process));
                }
                continue;
            };
            actions.push(Happening::Dies(process));
            match &of.effect {
                Effect::Observe { .. } => {
                    actions.extend([Happening::Seen(process, true), Happening::Seen(process, false)]);
                    continue;
                }
                Effect::Look => actions.push(Happening::Held(process)),
                Effect::Write(_) => actions.push(Happening::Lost(process)),
                Effect::Act { .. } => {
                    actions.push(Happening::Lost(process));
                    if world.late.is_none() {
                        actions.push(Happening::Late(process));
                    }
                }
                Effect::TakeSeat { .. } | Effect::Release { .. } if of.put.is_some() => {
                    actions.push(Happening::Lost(process));
                    if world.late.is_none() {
                        actions.push(Happening::Late(process));
                    }
                }
                _ => {}
            }
            actions.push(Happening::Step(process));
        }
        if world.late.is_some() {
            actions.push(Happening::Arrives);
        }
        actions.extend((0..world.ledger.seats.len()).map(Happening::Reclaims));
    }

    fn next_state(&self, last: &World, happening: Happening) -> Option<World> {
        let mut world = last.clone();
        match happening {
            Happening::Up(process) => {
                let journal = &world.journals[self.processes[process]];
                let end = End::of(journal.phase, &journal.reason, journal.acted_at);
                let (at, effect) = remedy::resume(journal.phase, journal.deadline, &end);
                world.processes[process] = Some(Process { at, effect, journal_fresh: true, put: None });
            }
            Happening::Dies(process) => world.processes[process] = None,
            Happening::Step(process) => self.perform(&mut world, process, false, true),
            Happening::Held(process) => self.perform(&mut world, process, true, true),
            Happening::Lost(process) => self.perform(&mut world, process, false, false),
            Happening::Late(process) => {
                let of = world.processes[process].clone()?;
                let (late, event) = match (&of.effect, of.put) {
                    (Effect::Act { .. }, _) => (Late::Eviction(self.processes[process]), self.unknown()),
                    (_, Some((next, fresh))) => (Late::Ledger(next, fresh), Event::Failed("no answer".into())),
                    _ => return None,
                };
                world.late = Some(late);
                self.go_on(&mut world, process, event);
            }
            Happening::Arrives => match world.late.take()? {
                Late::Eviction(which) => world.removed[which] = true,
                Late::Ledger(next, fresh) => drop(self.put(&mut world, next, fresh)),
            },
            Happening::Seen(process, well) => {
                let observation = if well {
                    Observation::Healthy { pod: "new".into(), lasted: u64::MAX }
                } else {
                    Observation::NotYet("x".into())
                };
                self.go_on(&mut world, process, Event::Observed { observation, now: DEADLINE });
            }
            Happening::Reclaims(index) => self.reclaim(&mut world, index),
        }
        // Two operators are alike: which of them is where makes no difference.
        for (a, b) in [(0, 1), (1, 2), (0, 1)] {
            let alike = self.processes.get(b).is_some_and(|of| *of == self.processes[a]);
            if alike && print(world.processes[a].as_ref()) > print(world.processes[b].as_ref()) {
                world.processes.swap(a, b);
            }
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(AT_ONCE, |system: &Self, world: &World| {
                let down = |which: &usize| world.removed[*which] && !world.journals[*which].phase.is_final();
                (0..SLOTS.len()).filter(down).count() <= system.limits.at_once
            }),
            Property::always(BUDGET, |system: &Self, world: &World| {
                world.removed.iter().filter(|removed| **removed).count() <= system.limits.actions
            }),
            Property::sometimes(HEALS, |system: &Self, world: &World| {
                let helped =
                    world.journals.iter().filter(|journal| journal.phase == Phase::Succeeded && !journal.held);
                helped.count() >= system.limits.actions.min(system.processes[system.processes.len() - 1] + 1)
                    && world.ledger.seats.is_empty()
            }),
            Property::always(TRUTH, |_: &Self, world: &World| {
                let denies = |journal: &Journal| matches!(journal.phase, Phase::Withdrawn | Phase::Superseded);
                world.journals.iter().zip(&world.removed).all(|(journal, removed)| !(*removed && denies(journal)))
            }),
        ]
    }
}
