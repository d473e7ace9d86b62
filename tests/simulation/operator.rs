//! Two operators over one world: what `controller` does, with the toy in place of the API server. It decides nothing: the
//! same functions as in production do.

mod acts;

use std::collections::{BTreeMap, BTreeSet};

use mainstay::{
    api::{LedgerSeat, NetworkLedgerSpec, Phase, RemediationRef, policy::Mode},
    judge::VerdictKind,
    plan::{
        Decision, Facts, Guard, GuardResult, Hours, Live, OwnFacts, Step, all,
        ledger::{self, Claim},
        next_steps, propose,
    },
    policy::{BudgetLimit, NetworkPlan, Policy},
    remedy::{self, Effect, End, Event, Kind, Order, Outcome, State},
    signal::{Mono, Server},
    world::{Key, PolicySnapshot, Round, TargetKey, TargetSnapshot, World},
};

use super::toy::{Condition, Journal, TICK, Toy, uid};

const US: &str = "mainstay/mainstay";
pub const WITHIN: u64 = 60_000;

/// Where an operator is with one remediation.
struct Process {
    state: State,
    effect: Effect,
    read: u64,
    looked_at: u64,
    announced_at: u64,
}

/// Nobody acts on a look that is older than this (milliseconds); as in production.
pub const LOOK_MAX_AGE: u64 = 10_000;

/// Everything that runs.
pub struct Run {
    pub toy: Toy,
    pub policy: Policy,
    pub network: NetworkPlan,
    /// The guard that is taken away.
    pub without: Option<Guard>,
    world: World,
    processes: BTreeMap<(usize, String), Process>,
    leader: usize,
    pub told: Vec<String>,
}

pub fn key() -> Key {
    Key { namespace: "cosmos".into(), name: "rpc".into() }
}

impl Run {
    pub fn new(toy: Toy, policy: Policy, network: NetworkPlan, without: Option<Guard>) -> Self {
        let mut run = Self {
            toy,
            policy,
            network,
            without,
            world: World::default(),
            processes: BTreeMap::new(),
            leader: 0,
            told: Vec::new(),
        };
        run.see();
        run
    }

    pub fn say(&mut self, text: impl Into<String>) {
        self.told.push(format!("{:>6.0} s  {}", self.toy.now as f64 / 1000.0, text.into()));
    }

    /// The policy as it stands at this moment.
    pub fn policy_now(&self) -> Policy {
        let mut policy = self.policy.clone();
        let (plan, now) = (&self.toy.plan, self.toy.now);
        if plan.observe.has(now) {
            policy.mode = Mode::Observe;
        }
        if plan.pause.has(now) {
            policy.limits.pause = vec!["x".into()];
        }
        policy
    }

    /// Polls arrive and are judged.
    fn see(&mut self) {
        let mono = self.toy.mono();
        let (pods, at) = self.toy.cached.clone();
        let seen_at = Mono(mono.0 - (self.toy.now - at));
        let policy = self.policy_now();
        self.world.sync(vec![self.network.clone()], vec![policy], &pods, seen_at, mono);
        for node in &self.toy.nodes {
            if let Some(poll) = self.toy.poll(node) {
                let target = TargetKey { policy: key(), uid: uid(node) };
                self.world.file(&target, "rpc", &poll, mono);
            }
        }
        self.world.file_reference("hub", "outside", &self.toy.reference(), mono);
        self.world.tick(mono);
    }

    pub fn snapshot(&self) -> Option<PolicySnapshot> {
        self.world.snapshot(&key(), self.toy.mono(), self.toy.clocks().server)
    }

    /// Two seconds of everything.
    pub fn tick(&mut self) {
        self.toy.tick();
        self.see();
        if self.toy.dice.one_in(30) {
            self.leader = 1 - self.leader;
        }
        for operator in 0..2 {
            if self.toy.plan.asleep.has(self.toy.now) {
                continue;
            }
            if operator == self.leader || self.toy.plan.two_leaders {
                self.reclaim();
                self.plan();
                self.carry_on(operator);
            }
        }
    }

    /// The slots of those that are judged healthy, and whose pods are not on their way out.
    pub fn healthy(&self) -> BTreeSet<String> {
        let targets = self.snapshot().map(|snapshot| snapshot.targets).unwrap_or_default();
        let well = targets.into_iter().filter(|of| {
            of.facts.verdict.kind == VerdictKind::Healthy && self.toy.node(&of.facts.slot).ends.is_none()
        });
        well.map(|of| of.facts.slot).collect()
    }

    fn own(&self) -> OwnFacts {
        OwnFacts { cache_age: self.toy.now - self.toy.cached.1, schema_current: true, approvals_guarded: true }
    }

    fn hours(&self) -> Hours {
        let closed = self.toy.plan.closed.has(self.toy.now);
        Hours { closed: closed.then(|| "x".into()), until: None }
    }

    /// Without the guard that is taken away, everything else is asked as ever.
    fn decide(&self, facts: &Facts<'_>) -> Option<Step> {
        let Some(without) = self.without else {
            return match propose(facts) {
                Decision::Proposed(proposal) => Some(proposal.step),
                Decision::Nothing | Decision::Refused(_) => None,
            };
        };
        let step = if without == Guard::Exhausted { Step::Restart } else { next_steps(facts).first().copied()? };
        facts.target.verdict.firing().next()?;
        self.held(all(facts, step)).is_none().then_some(step)
    }

    fn held(&self, results: Vec<GuardResult>) -> Option<(Guard, String)> {
        let mut holds = results.into_iter().filter_map(|said| Some((said.guard, said.held?.why)));
        holds.find(|(guard, _)| Some(*guard) != self.without)
    }

    fn ask_about<T>(
        &self,
        snapshot: &PolicySnapshot,
        target: &TargetSnapshot,
        live: &Live,
        record: &NetworkLedgerSpec,
        then: impl FnOnce(&Facts<'_>) -> T,
    ) -> T {
        let round = Round::new(snapshot, US, record.clone(), self.hours(), self.own(), self.toy.clocks());
        then(&round.facts(target, live))
    }

    /// Proposals become journal entries, as long as a seat looks free.
    fn plan(&mut self) {
        let Some(snapshot) = self.snapshot() else { return };
        let mut record = self.toy.ledger.clone();
        for journal in self.toy.journals.values().filter(|of| of.phase == Phase::Pending && !of.page) {
            if record.seats.iter().all(|seat| seat.slot != journal.slot) {
                record.seats.extend(self.expected_seat(journal));
            }
        }
        for target in &snapshot.targets {
            let slot = &target.facts.slot;
            let entries: Vec<_> = self.toy.journals.values().filter(|of| of.slot == *slot).cloned().collect();
            if entries.iter().any(|of| !of.phase.is_final()) {
                continue;
            }
            let rests = entries.iter().any(|of| {
                of.phase == Phase::Withdrawn && of.uid == target.facts.uid && self.toy.now - of.ended < 15_000
            });
            if rests {
                continue;
            }
            let cached = self.ask_about(&snapshot, target, &target.live, &record, |facts| self.decide(facts));
            let live = self.toy.live(slot);
            let decided = cached.and_then(|step| {
                if step == Step::Page {
                    return Some(step);
                }
                self.ask_about(&snapshot, target, &live, &record, |facts| self.decide(facts))
            });
            let Some(step) = decided else { continue };
            let attempt = entries.iter().map(|of| of.attempt).max().unwrap_or(0) + 1;
            let journal = Journal {
                slot: slot.clone(),
                uid: target.facts.uid.clone(),
                attempt,
                page: step == Step::Page,
                created: self.toy.now,
                phase: Phase::Pending,
                reason: String::new(),
                acted_at: None,
                deadline: None,
                held: true,
                version: 0,
                ended: 0,
            };
            if step == Step::Restart {
                record.seats.extend(self.expected_seat(&journal));
            }
            self.say(format!("{slot}: attempt {attempt}, {}", step.name()));
            self.toy.journals.insert(format!("{slot}-{attempt:03}"), journal);
        }
    }

    fn expected_seat(&self, journal: &Journal) -> Option<LedgerSeat> {
        let nobody = RemediationRef { namespace: "cosmos".into(), name: String::new(), uid: String::new() };
        ledger::expected(&self.policy, &journal.slot, Step::Restart, nobody)
    }

    fn reclaim(&mut self) {
        let now = self.toy.clocks().server;
        let journals = &self.toy.journals;
        let ended = |held_by: &RemediationRef| {
            journals.get(&held_by.uid).is_some_and(|of| of.phase.is_final() && !of.held)
        };
        let doubtful: Vec<_> = ledger::doubtful(&self.toy.ledger, now, ended).cloned().collect();
        for seat in doubtful {
            let journal = &self.toy.journals[&seat.remediation.uid];
            if journal.phase.is_final() {
                let end = End::of(journal.phase, &journal.reason, journal.acted_at);
                let claim = Claim { acted_at: journal.acted_at.map(Server), ..Claim::of(&seat) };
                self.toy.ledger = ledger::release(&self.toy.ledger, &claim, end.acted, end.exhausted);
            }
        }
    }

    /// Each remediation goes on for a few steps.
    fn carry_on(&mut self, operator: usize) {
        let open: Vec<String> =
            self.toy.journals.iter().filter(|(_, of)| of.held).map(|(name, _)| name.clone()).collect();
        for name in open {
            for _ in 0..self.toy.dice.below(8) {
                if self.toy.dice.one_in(self.toy.plan.deaths) {
                    self.processes.remove(&(operator, name.clone()));
                    break;
                }
                if !self.unit(operator, &name) {
                    break;
                }
            }
        }
    }

    /// One effect of one process; false if it waits.
    fn unit(&mut self, operator: usize, name: &str) -> bool {
        let id = (operator, name.to_owned());
        let journal = self.toy.journals[name].clone();
        if !journal.held {
            self.processes.remove(&id);
            return false;
        }
        let Some(process) = self.processes.remove(&id) else {
            let end = End::of(journal.phase, &journal.reason, journal.acted_at);
            let (state, effect) = remedy::resume(journal.phase, journal.deadline, &end);
            self.processes
                .insert(id, Process { state, effect, read: journal.version, looked_at: 0, announced_at: 0 });
            return true;
        };
        let mut read = process.read;
        let Some(event) = self.perform(name, &journal, &process, &mut read) else {
            self.processes.insert(id, process);
            return false;
        };
        let lost = self.toy.dice.one_in(self.toy.plan.losses);
        let event = match (&process.effect, lost) {
            (Effect::Act { .. }, true) => {
                Event::Acted { outcome: Outcome::Unknown("lost".into()), now: self.toy.clocks().server.0 }
            }
            (Effect::Write(_) | Effect::TakeSeat { .. } | Effect::Release { .. }, true) => {
                Event::Failed("lost".into())
            }
            _ => event,
        };
        let wrote = event == Event::Written;
        let (state, effect) = remedy::step(&order(&journal), &process.state, event);
        if !matches!(effect, Effect::Later(_) | Effect::Nothing) {
            let looked_at = if process.effect == Effect::Look { self.toy.now } else { process.looked_at };
            let announced =
                matches!(&process.effect, Effect::Write(entry) if entry.phase == Phase::Acting) && wrote;
            let announced_at = if announced { self.toy.now } else { process.announced_at };
            self.processes.insert(id, Process { state, effect, read, looked_at, announced_at });
        }
        true
    }

    /// Whether every node is well, and nothing is left behind.
    pub fn is_over(&self) -> bool {
        self.toy.nodes.iter().all(|node| node.condition == Condition::Well)
    }
}

/// A limit that is taken away is taken away in the ledger too.
fn forget(policy: &mut Policy, network_max: &mut u32, without: Option<Guard>) {
    match without {
        Some(Guard::Budget) => policy.limits.budget = vec![BudgetLimit { actions: u32::MAX, per: 60_000 }],
        Some(Guard::Storm) => policy.limits.storm = None,
        Some(Guard::MaxConcurrent) => (policy.limits.max_concurrent, *network_max) = (u32::MAX, u32::MAX),
        Some(Guard::Cooldown) => {
            if let Some(restart) = &mut policy.ladder.restart {
                (restart.cooldown, restart.backoff_max) = (0, 0);
            }
        }
        Some(Guard::Exhausted) => {
            if let Some(restart) = &mut policy.ladder.restart {
                restart.attempts = u32::MAX;
            }
        }
        _ => {}
    }
}

fn order(journal: &Journal) -> Order {
    let kind = if journal.page { Kind::Page } else { Kind::Restart { within: WITHIN, clear: 10_000 } };
    let created_at = 1_800_000_000_000 + i64::try_from(journal.created).unwrap();
    Order { uid: journal.uid.clone(), kind, created_at }
}

/// Ticks in a run.
pub fn ticks() -> u64 {
    super::toy::END / TICK
}
