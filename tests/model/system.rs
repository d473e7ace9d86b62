//! A toy control plane with one ledger, two targets with a remediation each, and two operators.

mod walk;

use mainstay::{
    api::{
        Family, LedgerSeat, NetworkLedgerSpec, Phase, PolicyRef, RemediationRef,
        policy::{Mode, Role},
    },
    plan::{
        Approval, Guard, PodFacts, PodPresent, Rotation, Spending, Step,
        ledger::{self, Ask, Claim},
    },
    policy::{BudgetLimit, Policy, preset},
    remedy::{self, Effect, End, Entry, Event, Kind, Order, Outcome, SeatOutcome, State as At},
    signal::Server,
};

/// Never more pods down by our hand than may be.
pub const AT_ONCE: &str = "never more at once than allowed";
/// Never more acts in the window than the budget has.
pub const BUDGET: &str = "never more actions than the budget allows";
/// A journal that says that nothing was done speaks the truth.
pub const TRUTH: &str = "the journal never denies an act";
/// The limits do not stand in the way of what they allow.
pub const HEALS: &str = "as many are helped as may be";

const NOW: i64 = 1_800_000_000_000;
const DEADLINE: i64 = NOW + 600_000;
const SLOTS: [&str; 2] = ["gaia-0", "gaia-1"];

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    WritesTheLedgerBlindly,
    WritesTheJournalBlindly,
    TakesUnknownForRefused,
    GivesTheBudgetBack,
    ReclaimsOnTheDeadline,
    TakesNoSeat,
}

/// What limits the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub at_once: usize,
    pub actions: usize,
}

#[derive(Clone, Debug)]
pub struct System {
    pub mistake: Mistake,
    pub limits: Limits,
    /// The processes, each with the remediation that it works on.
    pub processes: &'static [usize],
    pub policy: Policy,
}

/// A remediation as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Journal {
    phase: Phase,
    reason: String,
    acted_at: Option<i64>,
    deadline: Option<i64>,
    held: bool,
}

/// One operator at work on one remediation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    at: At,
    effect: Effect,
    /// Whether nobody has written the journal since it read it.
    journal_fresh: bool,
    /// What it is about to write into the ledger, and whether nobody has written since it read.
    put: Option<(NetworkLedgerSpec, bool)>,
}

/// A request that is still on its way, though its sender has given it up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Late {
    Eviction(usize),
    Ledger(NetworkLedgerSpec, bool),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    ledger: NetworkLedgerSpec,
    journals: Vec<Journal>,
    /// Whether the pod was removed by our hand.
    removed: Vec<bool>,
    processes: Vec<Option<Process>>,
    late: Option<Late>,
}

impl System {
    /// Two remediations, one at a time: they race for the ledger.
    pub fn one_at_a_time() -> Self {
        Self::of(Limits { at_once: 1, actions: 2 }, &[0, 1])
    }

    /// Two remediations, and one action in the window.
    pub fn one_action() -> Self {
        Self::of(Limits { at_once: 2, actions: 1 }, &[0, 1])
    }

    /// Two operators on one remediation: they race for its journal.
    pub fn two_on_one() -> Self {
        Self::of(Limits { at_once: 1, actions: 1 }, &[0, 0])
    }

    /// All of it at once, which takes long.
    pub fn wide() -> Self {
        Self::of(Limits { at_once: 1, actions: 2 }, &[0, 0, 1])
    }

    fn of(limits: Limits, processes: &'static [usize]) -> Self {
        let preset = preset(Family::CometBFT, Role::FullNode);
        let mut policy = Policy {
            id: PolicyRef { namespace: "cosmos".into(), name: "rpc".into(), uid: "p".into() },
            generation: 1,
            network: "hub".into(),
            joins: Vec::new(),
            family: Family::CometBFT,
            role: Role::FullNode,
            mode: Mode::Enforce,
            priority: 0,
            selector: serde_json::from_str(r#"{"terms": []}"#).expect("a selector"),
            sources: Vec::new(),
            rules: Vec::new(),
            ladder: preset.ladder,
            limits: preset.limits,
            sinks: Vec::new(),
        };
        policy.limits.storm = None;
        policy.limits.max_concurrent = u32::try_from(limits.at_once).expect("few");
        let actions = u32::try_from(limits.actions).expect("few");
        policy.limits.budget = vec![BudgetLimit { actions, per: 3_600_000 }];
        Self { mistake: Mistake::None, limits, processes, policy }
    }

    fn order(&self, which: usize) -> Order {
        let restart = self.policy.ladder.restart.expect("a restart");
        Order {
            uid: SLOTS[which].into(),
            kind: Kind::Restart { within: restart.within, clear: 10_000 },
            created_at: NOW,
        }
    }

    fn ask(&self, which: usize) -> Ask<'_> {
        Ask {
            installation: "us",
            policy: &self.policy,
            network_max: self.policy.limits.max_concurrent,
            network_budget: &[],
            remediation: RemediationRef {
                namespace: "cosmos".into(),
                name: SLOTS[which].into(),
                uid: SLOTS[which].into(),
            },
            slot: SLOTS[which],
            attempt: 1,
            step: Step::Restart,
            services: Vec::new(),
            simulated: false,
            long_health: None,
            deadline: Server(NOW),
            now: Server(NOW),
        }
    }

    fn claim(which: usize) -> Claim<'static> {
        Claim {
            remediation: SLOTS[which],
            policy: "p",
            slot: SLOTS[which],
            attempt: 1,
            step: Step::Restart,
            acted_at: None,
        }
    }

    /// What a live look finds, as the operator's own `look` puts it together.
    fn look(&self, world: &World, which: usize, held: bool) -> Event {
        let before = ledger::release(&world.ledger, &Self::claim(which), false, false);
        let spending = Spending {
            ledger: &before,
            policy: &self.policy,
            of_network: &[],
            slot: SLOTS[which],
            simulated: false,
        };
        let record = ledger::record(&before, "p", SLOTS[which], false);
        let tries = ledger::Tries::of(Step::Restart, &self.policy.ladder, &record).expect("a restart");
        let seat = ledger::seat_refused(&before, &self.policy, self.policy.limits.max_concurrent, SLOTS[which]);
        let refused = if held {
            Some(Guard::Evidence)
        } else if world.removed[which] {
            Some(Guard::Moved)
        } else if tries.rests_until().is_some_and(|end| end > Server(NOW)) {
            Some(Guard::Cooldown)
        } else if spending.used_up(Server(NOW)).is_some() {
            Some(Guard::Budget)
        } else {
            seat.filter(|_| self.mistake != Mistake::TakesNoSeat).map(|_| Guard::MaxConcurrent)
        };
        let pod = if world.removed[which] {
            PodFacts::Gone
        } else {
            PodFacts::Present(PodPresent {
                uid: SLOTS[which].into(),
                resource_version: "1".into(),
                terminating: false,
                ignored: false,
                controlled: true,
                protected: false,
                host_network: false,
                crash_loop: false,
                grace: 30,
                age: 3_600_000,
                rotation: Rotation::default(),
            })
        };
        Event::Looked {
            pod,
            refused: refused.map(|guard| (guard, "x".into())),
            simulated: false,
            approval: Approval::NotNeeded,
            now: NOW,
        }
    }

    /// The next record, and how the ledger answers; the write itself is a second step.
    fn change(&self, record: &NetworkLedgerSpec, which: usize, effect: &Effect) -> (NetworkLedgerSpec, Event) {
        match effect {
            Effect::TakeSeat { .. } if self.mistake == Mistake::TakesNoSeat => {
                (record.clone(), Event::Seated(SeatOutcome::Taken))
            }
            Effect::TakeSeat { .. } => match ledger::take(record, &self.ask(which)) {
                Ok(next) => (next, Event::Seated(SeatOutcome::Taken)),
                Err(refused) => (record.clone(), Event::Seated(SeatOutcome::Refused(refused.guard, "x".into()))),
            },
            Effect::Release { acted, exhausted } => {
                let acted = *acted && self.mistake != Mistake::GivesTheBudgetBack;
                (ledger::release(record, &Self::claim(which), acted, *exhausted), Event::Released)
            }
            _ => unreachable!("only these change the ledger"),
        }
    }

    fn go_on(&self, world: &mut World, process: usize, event: Event) {
        let which = self.processes[process];
        let Some(mut of) = world.processes[process].clone() else { return };
        let (at, effect) = remedy::step(&self.order(which), &of.at, event);
        of.put = None;
        (of.at, of.effect) = (at, effect);
        world.processes[process] = match of.effect {
            // It comes back later and resumes from the journal.
            Effect::Later(_) | Effect::Nothing => None,
            _ => Some(of),
        };
    }

    fn write(&self, world: &mut World, process: usize, entry: &Entry) -> Event {
        let which = self.processes[process];
        let fresh = world.processes[process].as_ref().is_some_and(|of| of.journal_fresh);
        if !fresh && self.mistake != Mistake::WritesTheJournalBlindly {
            return Event::Failed("409".into());
        }
        let journal = &mut world.journals[which];
        journal.phase = entry.phase;
        // The one reason that anything rests on.
        journal.reason = if entry.reason == "Unverified" { entry.reason.clone() } else { String::new() };
        journal.acted_at = entry.acted_at.or(journal.acted_at);
        journal.deadline = entry.deadline.map(|_| DEADLINE).or(journal.deadline);
        self.others_are_stale(world, process);
        Event::Written
    }

    fn others_are_stale(&self, world: &mut World, process: usize) {
        for (other, of) in world.processes.iter_mut().enumerate() {
            if other != process
                && self.processes[other] == self.processes[process]
                && let Some(of) = of
            {
                of.journal_fresh = false;
            }
        }
    }

    /// A PUT of the ledger arrives. Whether it took.
    fn put(&self, world: &mut World, next: NetworkLedgerSpec, fresh: bool) -> bool {
        if !fresh && self.mistake != Mistake::WritesTheLedgerBlindly {
            return false;
        }
        if next != world.ledger {
            world.ledger = next;
            for of in world.processes.iter_mut().flatten() {
                if let Some((_, fresh)) = &mut of.put {
                    *fresh = false;
                }
            }
            if let Some(Late::Ledger(_, fresh)) = &mut world.late {
                *fresh = false;
            }
        }
        true
    }

    /// Performs the effect of a process. `answered`: whether it hears how it went.
    fn perform(&self, world: &mut World, process: usize, held: bool, answered: bool) {
        let which = self.processes[process];
        let Some(of) = world.processes[process].clone() else { return };
        let event = match &of.effect {
            Effect::Look => self.look(world, which, held),
            Effect::TakeSeat { .. } | Effect::Release { .. } => match of.put.clone() {
                None => {
                    let (next, _) = self.change(&world.ledger, which, &of.effect);
                    world.processes[process] = Some(Process { put: Some((next, true)), ..of });
                    return;
                }
                Some((next, fresh)) => {
                    let taken = next.seats.iter().any(|seat| seat.remediation.uid == SLOTS[which]);
                    let (_, refusal) = self.change(&world.ledger, which, &of.effect);
                    let changed = next != world.ledger;
                    if !self.put(world, next, fresh) {
                        // Whoever loses reads again and decides again.
                        world.processes[process] = Some(Process { put: None, ..of });
                        return;
                    }
                    match (&of.effect, taken || self.mistake == Mistake::TakesNoSeat) {
                        (Effect::Release { .. }, _) => Event::Released,
                        (_, true) => Event::Seated(SeatOutcome::Taken),
                        (_, false) if changed => Event::Failed("x".into()),
                        (_, false) => refusal,
                    }
                }
            },
            Effect::Write(entry) => self.write(world, process, entry),
            Effect::Act { .. } => {
                // Preconditions hold the uid: only the very pod is removed, and only once.
                let outcome = if world.removed[which] {
                    Outcome::Moved("gone".into())
                } else {
                    world.removed[which] = true;
                    Outcome::Done
                };
                Event::Acted { outcome, now: NOW }
            }
            Effect::LetGo => {
                world.journals[which].held = false;
                self.others_are_stale(world, process);
                Event::LetGo
            }
            Effect::Observe { .. } | Effect::Later(_) | Effect::Nothing => return,
        };
        let event = match (answered, &of.effect) {
            (true, _) => event,
            (false, Effect::Act { .. }) => self.unknown(),
            (false, _) => Event::Failed("no answer".into()),
        };
        self.go_on(world, process, event);
    }

    fn unknown(&self) -> Event {
        let outcome = if self.mistake == Mistake::TakesUnknownForRefused {
            Outcome::Refused("no answer".into())
        } else {
            Outcome::Unknown("no answer".into())
        };
        Event::Acted { outcome, now: NOW }
    }

    /// Seats past their deadline: all of them, for every seat's deadline is now.
    fn reclaim(&self, world: &mut World, index: usize) {
        let seat: LedgerSeat = world.ledger.seats[index].clone();
        let which = SLOTS.iter().position(|slot| *slot == seat.slot).expect("one of the two");
        let journal = &world.journals[which];
        if !journal.phase.is_final() && self.mistake != Mistake::ReclaimsOnTheDeadline {
            return;
        }
        let end = End::of(journal.phase, &journal.reason, journal.acted_at);
        let next = ledger::release(&world.ledger, &Claim::of(&seat), end.acted, end.exhausted);
        self.put(world, next, true);
    }
}
