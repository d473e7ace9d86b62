//! Two operators over one ledger with a version, in any order, with lost swaps and stale reads: no limit is ever
//! passed, against a history that forgets nothing.

use mainstay::{
    api::{NetworkLedgerSpec, SlotRecord},
    plan::{
        Guard, Step,
        ledger::{self, Ask, Refused},
    },
    policy::Policy,
    signal::Server,
};
use proptest::prelude::*;

use super::common::{HOUR, MINUTE, US, policy, remediation};

const START: i64 = 1_800_000_000_000;
const NETWORK_MAX: u32 = 2;

/// One thing that one of two operators does.
#[derive(Clone, Debug)]
enum Deed {
    Read {
        who: usize,
    },
    Take {
        who: usize,
        policy: usize,
        slot: usize,
        page: bool,
        simulated: bool,
        health: bool,
    },
    /// Asks again for what was asked before.
    Again {
        who: usize,
        which: usize,
    },
    Release {
        who: usize,
        which: usize,
        acted: bool,
        exhausted: bool,
    },
    Wait {
        minutes: i64,
    },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let who = 0..2_usize;
    let deed = prop_oneof![
        2 => who.clone().prop_map(|who| Deed::Read { who }),
        4 => (who.clone(), 0..2_usize, 0..4_usize, prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
            .prop_map(|(who, policy, slot, page, simulated, health)| Deed::Take { who, policy, slot, page, simulated, health }),
        1 => (who.clone(), 0..64_usize).prop_map(|(who, which)| Deed::Again { who, which }),
        3 => (who, 0..64_usize, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(who, which, acted, exhausted)| Deed::Release { who, which, acted, exhausted }),
        2 => (1..200_i64).prop_map(|minutes| Deed::Wait { minutes }),
    ];
    prop::collection::vec(deed, 1..160)
}

/// What a remediation asked for, and what became of it.
#[derive(Clone, Debug)]
struct Asked {
    uid: String,
    policy: usize,
    slot: String,
    attempt: i32,
    page: bool,
    simulated: bool,
    health: Option<i64>,
    taken_at: Option<i64>,
    over: bool,
    given_back: bool,
}

struct Toy {
    policies: [Policy; 2],
    ledger: NetworkLedgerSpec,
    version: u64,
    /// What each operator read last.
    read: [(NetworkLedgerSpec, u64); 2],
    asked: Vec<Asked>,
    now: i64,
}

impl Toy {
    fn new() -> Self {
        let policies =
            [policy("policy-0", 1, &[(3, HOUR), (5, 24 * HOUR)]), policy("policy-1", 3, &[(2, 30 * MINUTE)])];
        let ledger = NetworkLedgerSpec::default();
        let read = [(ledger.clone(), 0), (ledger.clone(), 0)];
        Self { policies, ledger, version: 0, read, asked: Vec::new(), now: START }
    }

    fn ask<'a>(&'a self, asked: &'a Asked) -> Ask<'a> {
        Ask {
            installation: US,
            policy: &self.policies[asked.policy],
            network_max: NETWORK_MAX,
            network_budget: &[],
            remediation: remediation(&asked.uid),
            slot: &asked.slot,
            attempt: asked.attempt,
            step: if asked.page { Step::Page } else { Step::Restart },
            services: Vec::new(),
            simulated: asked.simulated,
            long_health: asked.health.map(Server),
            deadline: Server(self.now + 600_000),
            now: Server(self.now),
        }
    }

    /// A compare-and-swap: lost if anybody wrote since this operator read. Then it reads, and does nothing more now.
    fn swap(&mut self, who: usize, next: NetworkLedgerSpec) -> bool {
        let won = self.read[who].1 == self.version;
        if won {
            self.ledger = next;
            self.version += 1;
        }
        self.read[who] = (self.ledger.clone(), self.version);
        won
    }

    fn take(&mut self, who: usize, which: usize) -> Result<(), TestCaseError> {
        let asked = self.asked[which].clone();
        let ask = self.ask(&asked);
        let Ok(next) = ledger::take(&self.read[who].0, &ask) else { return Ok(()) };
        // Whoever asks twice takes once, also later.
        let later = Ask { now: Server(self.now + 1000), ..self.ask(&asked) };
        let again = ledger::take(&next, &later).expect("the same may ask again");
        prop_assert_eq!(&again.seats, &next.seats);
        prop_assert_eq!(&again.actions, &next.actions);
        if !asked.page {
            prop_assert_eq!(&again, &next);
        }
        // What was not used is given back exactly.
        let undone = ledger::release(&next, &ask.claim(), false, false);
        let before = &self.read[who].0;
        if asked.taken_at.is_none() {
            prop_assert_eq!(&undone.seats, &before.seats);
            let kept = |action: &&mainstay::api::ActionRecord| next.actions.contains(action);
            let before_actions: Vec<_> = before.actions.iter().filter(kept).cloned().collect();
            prop_assert_eq!(&undone.actions, &before_actions);
            let of = |ledger: &NetworkLedgerSpec| {
                ledger::record(ledger, &ask.policy.id.uid, &asked.slot, asked.simulated)
            };
            let was = ledger::in_this_incident(of(before), ask.long_health, ask.now);
            let is = of(&undone);
            let exact = !asked.page && !asked.simulated;
            let last_at = if exact { was.last_at } else { self.now };
            prop_assert_eq!(
                is,
                SlotRecord {
                    attempt: was.attempt.max(asked.attempt),
                    last_at,
                    paged: was.paged && !asked.page,
                    ..was
                }
            );
        }
        if self.swap(who, next) && self.asked[which].taken_at.is_none() {
            self.asked[which].taken_at = Some(self.now);
            self.limits_hold(which)?;
        }
        Ok(())
    }

    fn release(&mut self, who: usize, which: usize, acted: bool, exhausted: bool) {
        let asked = self.asked[which].clone();
        let next = ledger::release(&self.read[who].0, &self.ask(&asked).claim(), acted, exhausted);
        if self.swap(who, next) {
            let first = !self.asked[which].over;
            self.asked[which].over = true;
            if first && !acted {
                self.asked[which].given_back = true;
            }
        }
    }

    /// Held against everything that ever happened.
    fn limits_hold(&self, newest: usize) -> Result<(), TestCaseError> {
        let seats = &self.ledger.seats;
        prop_assert!(seats.len() <= usize::try_from(NETWORK_MAX).expect("few"));
        for (index, policy) in self.policies.iter().enumerate() {
            let taken = seats.iter().filter(|seat| seat.policy.uid == policy.id.uid).count();
            prop_assert!(taken <= usize::try_from(policy.limits.max_concurrent).expect("few"));
            let newest = &self.asked[newest];
            if newest.policy != index || newest.page {
                continue;
            }
            for limit in &policy.limits.budget {
                let counts = |asked: &&Asked| {
                    let recent = asked.taken_at.is_some_and(|at| Server(self.now).since(Server(at)) < limit.per);
                    let alike = asked.policy == index && asked.simulated == newest.simulated && !asked.page;
                    recent && alike && !asked.given_back
                };
                let count = self.asked.iter().filter(counts).count();
                prop_assert!(count <= usize::try_from(limit.actions).expect("few"), "{count} of {limit:?}");
            }
        }
        let mut slots: Vec<_> = seats.iter().map(|seat| &seat.slot).collect();
        slots.sort();
        slots.dedup();
        prop_assert_eq!(slots.len(), seats.len(), "one seat for one slot");
        for record in &self.ledger.slots {
            let of = self.policies.iter().find(|policy| policy.id.uid == record.policy).expect("a policy");
            let attempts = of.ladder.restart.expect("a restart step").attempts;
            prop_assert!(u32::try_from(record.restarts).is_ok_and(|restarts| restarts <= attempts));
        }
        Ok(())
    }

    fn attempts_only_rise(&self, before: &[SlotRecord]) -> Result<(), TestCaseError> {
        for was in before {
            let is = ledger::record(&self.ledger, &was.policy, &was.slot, was.simulated);
            prop_assert!(is.attempt >= was.attempt, "{was:?} {is:?}");
        }
        Ok(())
    }

    fn does(&mut self, deed: &Deed) -> Result<(), TestCaseError> {
        let before = self.ledger.slots.clone();
        match *deed {
            Deed::Read { who } => self.read[who] = (self.ledger.clone(), self.version),
            Deed::Wait { minutes } => self.now += minutes * 60_000,
            Deed::Take { who, policy, slot, page, simulated, health } => {
                let number = self.asked.len() + 1;
                self.asked.push(Asked {
                    uid: format!("nrem-{number}"),
                    policy,
                    slot: format!("gaia-{slot}"),
                    attempt: i32::try_from(number).expect("few"),
                    page,
                    simulated,
                    health: health.then_some(self.now - 1),
                    taken_at: None,
                    over: false,
                    given_back: false,
                });
                self.take(who, number - 1)?;
            }
            Deed::Again { who, which } if which < self.asked.len() && !self.asked[which].over => {
                // Only a newer attempt of the slot ends the right to ask: attempt k + 1 begins when k is final.
                let asked = &self.asked[which];
                let newer = |other: &Asked| other.slot == asked.slot && other.attempt > asked.attempt;
                if !self.asked.iter().any(newer) {
                    self.take(who, which)?;
                }
            }
            Deed::Release { who, which, acted, exhausted } if which < self.asked.len() => {
                self.release(who, which, acted, exhausted);
            }
            Deed::Again { .. } | Deed::Release { .. } => {}
        }
        self.attempts_only_rise(&before)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(8), ..ProptestConfig::default() })]

    #[test]
    fn two_operators_never_pass_a_limit(deeds in deeds()) {
        let mut toy = Toy::new();
        for deed in &deeds {
            toy.does(deed)?;
        }
    }
}

fn refused(result: Result<NetworkLedgerSpec, Refused>) -> Guard {
    result.expect_err("a refusal").guard
}

fn asks<'a>(policy: &'a Policy, uid: &str, attempt: i32, step: Step, simulated: bool, now: i64) -> Ask<'a> {
    Ask {
        installation: US,
        policy,
        network_max: 9,
        network_budget: &[],
        remediation: remediation(uid),
        slot: "gaia-0",
        attempt,
        step,
        services: Vec::new(),
        simulated,
        long_health: None,
        deadline: Server(now + 600_000),
        now: Server(now),
    }
}

#[test]
fn a_simulated_step_is_no_seat_when_the_mode_changes() {
    let policy = policy("policy-0", 1, &[(3, HOUR)]);
    let dry = ledger::take(&NetworkLedgerSpec::default(), &asks(&policy, "a", 1, Step::Restart, true, START));
    let dry = dry.expect("nothing is in the way");
    assert!(dry.seats.is_empty());
    assert_eq!(refused(ledger::take(&dry, &asks(&policy, "a", 1, Step::Restart, false, START))), Guard::Mode);
    let real = ledger::take(&NetworkLedgerSpec::default(), &asks(&policy, "a", 1, Step::Restart, false, START));
    let real = real.expect("nothing is in the way");
    assert_eq!(refused(ledger::take(&real, &asks(&policy, "a", 1, Step::Restart, true, START))), Guard::Mode);
}

#[test]
fn a_page_that_was_withdrawn_is_not_a_page_and_one_that_was_sent_is_the_only_one() {
    let policy = policy("policy-0", 1, &[(3, HOUR)]);
    let first = asks(&policy, "a", 1, Step::Page, false, START);
    let paged = ledger::take(&NetworkLedgerSpec::default(), &first).expect("nothing is in the way");
    let second = asks(&policy, "b", 2, Step::Page, false, START + 1);
    assert_eq!(refused(ledger::take(&paged, &second)), Guard::Exhausted);
    assert_eq!(
        refused(ledger::take(&ledger::release(&paged, &first.claim(), true, false), &second)),
        Guard::Exhausted
    );
    let withdrawn = ledger::release(&paged, &first.claim(), false, false);
    let paged = ledger::take(&withdrawn, &second).expect("nobody was told");
    // The first one's late answer does not take back the second.
    assert_eq!(ledger::release(&paged, &first.claim(), false, false), paged);
}

#[test]
fn a_third_restart_of_two_is_refused_however_old_the_proposal() {
    let policy = policy("policy-0", 1, &[(30, HOUR)]);
    let mut ledger = NetworkLedgerSpec::default();
    let mut now = START;
    for attempt in 1..=2 {
        let uid = format!("r{attempt}");
        let ask = asks(&policy, &uid, attempt, Step::Restart, false, now);
        ledger =
            ledger::release(&ledger::take(&ledger, &ask).expect("within the attempts"), &ask.claim(), true, false);
        now += 86_400_000;
    }
    assert_eq!(
        refused(ledger::take(&ledger, &asks(&policy, "r3", 3, Step::Restart, false, now))),
        Guard::Exhausted
    );
    let healthy =
        Ask { long_health: Some(Server(now - 7_200_000)), ..asks(&policy, "r3", 3, Step::Restart, false, now) };
    let ledger = ledger::take(&ledger, &healthy).expect("long health since");
    assert_eq!(ledger.slots[0].restarts, 1);
}
