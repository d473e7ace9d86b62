//! The ledger stays small, and what it forgets loosens nothing.

use mainstay::{
    api::{ActionRecord, NetworkLedgerSpec},
    plan::{
        Guard, Step,
        ledger::{self, Ask, LONGEST},
    },
    signal::Server,
};

use super::common::{HOUR, US, policy, remediation};
use crate::dice::Dice;

const MOST_BYTES: usize = 64 * 1024;

fn long_name(slot: usize) -> String {
    format!("{slot:0>253}")
}

fn bytes(ledger: &NetworkLedgerSpec) -> usize {
    serde_json::to_vec(ledger).expect("plain data").len()
}

/// Thousands of steps asked for on 500 slots of the longest names, beside a history that forgets nothing.
#[test]
fn it_is_bounded_and_never_allows_what_a_perfect_memory_would_refuse() {
    let policies = [
        policy("00000000-0000-0000-0000-000000000001", 8, &[(40, HOUR), (100, 24 * HOUR)]),
        policy("00000000-0000-0000-0000-000000000002", 8, &[(100, LONGEST)]),
    ];
    let (mut taken, mut counted, mut full, mut most) = (0, 0, 0, 0);
    for seed in 0..2 {
        let mut dice = Dice(seed);
        let mut ledger = NetworkLedgerSpec::default();
        let (mut now, mut history) = (1_800_000_000_000_i64, Vec::<(String, String, bool, i64)>::new());
        for number in 1..=2500 {
            now += i64::try_from(dice.roll() % 900_000).expect("small");
            let policy = dice.pick(&policies);
            let slot = long_name(dice.index(500));
            let simulated = dice.index(5) == 0;
            let uid = format!("{number:0>36}");
            let ask = Ask {
                installation: US,
                policy,
                network_max: 16,
                network_budget: &[],
                remediation: remediation(&uid),
                slot: &slot,
                attempt: number,
                step: Step::Restart,
                services: Vec::new(),
                simulated,
                long_health: None,
                deadline: Server(now + 600_000),
                now: Server(now),
            };
            let same = |entry: &&(String, String, bool, i64)| entry.0 == policy.id.uid && entry.2 == simulated;
            match ledger::take(&ledger, &ask) {
                Ok(next) => {
                    taken += 1;
                    ledger = next;
                    for limit in &policy.limits.budget {
                        let recent = |at: i64| Server(now).since(Server(at)) < limit.per;
                        let count = history.iter().filter(same).filter(|entry| recent(entry.3)).count();
                        // What was simulated may be forgotten for what is done: it protects nothing.
                        let within = count < usize::try_from(limit.actions).expect("few");
                        assert!(within || simulated, "seed {seed}, action {number}: {count} of {limit:?}");
                    }
                    let step = policy.ladder.restart.expect("a restart step");
                    let last = history.iter().rev().filter(same).find(|entry| entry.1 == slot);
                    if let Some(last) = last.filter(|_| !simulated) {
                        let rested = Server(now).since(Server(last.3));
                        assert!(rested >= step.cooldown, "seed {seed}, action {number}: rested {rested}");
                    }
                    let since = history.iter().rev().filter(same).filter(|entry| entry.1 == slot);
                    let incident = since
                        .scan(now, |later, entry| {
                            let gap = Server(*later).since(Server(entry.3));
                            *later = entry.3;
                            (gap < LONGEST).then_some(())
                        })
                        .count();
                    let attempts = usize::try_from(step.attempts).expect("few");
                    assert!(incident < attempts || simulated, "seed {seed}, action {number}: {incident} tried");
                    history.push((policy.id.uid.clone(), slot.clone(), simulated, now));
                    // Half end at once, half after a while.
                    if dice.index(2) == 0 {
                        ledger = ledger::release(&ledger, &ask.claim(), true, false);
                    }
                }
                Err(refused) => full += usize::from(refused.guard == Guard::LedgerFull),
            }
            if dice.index(3) == 0
                && let Some(seat) = ledger.seats.first().cloned()
            {
                ledger = ledger::release(&ledger, &ledger::Claim::of(&seat), true, false);
            }
            if taken > counted {
                counted = taken;
                let bytes = bytes(&ledger);
                most = most.max(bytes);
                assert!(bytes < MOST_BYTES, "seed {seed}, action {number}: {bytes} bytes");
            }
        }
    }
    println!("{taken} taken, {full} refused because it was full, at most {most} bytes");
    assert!(taken > 500 && full > 0 && most > 50_000);
}

#[test]
fn a_full_ledger_refuses_and_takes_again_when_its_records_count_no_more() {
    let policy = policy("00000000-0000-0000-0000-000000000001", 8, &[(1000, LONGEST)]);
    let mut ledger = NetworkLedgerSpec::default();
    let start = 1_800_000_000_000_i64;
    let mut now = start;
    let take = |ledger: &NetworkLedgerSpec, number: usize, now: i64, simulated| {
        let slot = long_name(number);
        let ask = Ask {
            installation: US,
            policy: &policy,
            network_max: 8,
            network_budget: &[],
            remediation: remediation(&format!("{number:0>36}")),
            slot: &slot,
            attempt: 1,
            step: Step::Restart,
            services: Vec::new(),
            simulated,
            long_health: None,
            deadline: Server(now + 600_000),
            now: Server(now),
        };
        ledger::take(ledger, &ask).map(|next| ledger::release(&next, &ask.claim(), true, false))
    };
    let mut number = 0;
    let refused = loop {
        now += 120_000;
        number += 1;
        match take(&ledger, number, now, false) {
            Ok(next) => ledger = next,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.guard, Guard::LedgerFull);
    assert!(number > 100, "room for {number} slots of the longest names");
    // Nothing was forgotten: the very first slot still has its record.
    assert!(ledger.slots.iter().any(|record| record.slot == long_name(1)));
    // A simulation makes no room, however often it asks.
    let real = |ledger: &NetworkLedgerSpec| ledger.slots.iter().filter(|record| !record.simulated).count();
    let mut dry = ledger.clone();
    for another in 1000..1010 {
        dry = take(&dry, another, now, true).unwrap_or(dry);
    }
    assert_eq!(real(&dry), real(&ledger));
    assert_eq!(take(&dry, 1010, now, true).expect_err("full").guard, Guard::LedgerFull);
    let week = i64::try_from(LONGEST).expect("a week");
    assert!(take(&ledger, number, start + 120_000 + week - 1, false).is_err());
    // Ten records count no more; five take their place.
    for another in number..number + 5 {
        ledger =
            take(&ledger, another, start + 10 * 120_000 + week, false).expect("the first records count no more");
    }
    assert!(!ledger.slots.iter().any(|record| record.slot == long_name(1)));
}

#[test]
fn what_is_done_finds_room_where_something_was_only_written_down() {
    let policy = policy("00000000-0000-0000-0000-000000000001", 8, &[(100, LONGEST)]);
    let mut ledger = NetworkLedgerSpec::default();
    let now = 1_800_000_000_000_i64;
    let ask = |number: usize, simulated| {
        let slot: &'static str = Box::leak(long_name(number).into_boxed_str());
        Ask {
            installation: US,
            policy: &policy,
            network_max: 8,
            network_budget: &[],
            remediation: remediation(&format!("{number:0>36}")),
            slot,
            attempt: 1,
            step: Step::Restart,
            services: Vec::new(),
            simulated,
            long_health: None,
            deadline: Server(now),
            now: Server(now),
        }
    };
    for number in 0..100 {
        ledger = ledger::take(&ledger, &ask(number, true)).unwrap_or(ledger);
    }
    let simulated = ledger.slots.len();
    let real = ledger::take(&ledger, &ask(900, false)).expect("room is made");
    assert!(simulated > 50 && real.seats.len() == 1 && bytes(&real) < MOST_BYTES);
}

#[test]
fn a_ledger_that_is_far_too_large_is_not_written_and_shrinks_when_its_time_is_over() {
    let policy = policy("00000000-0000-0000-0000-000000000001", 8, &[(100, 24 * HOUR)]);
    let now = 1_800_000_000_000_i64;
    let mut stuffed = NetworkLedgerSpec::default();
    for number in 0..500 {
        let slot = long_name(number);
        let mut record = ledger::record(&stuffed, "another policy", &slot, false);
        (record.attempt, record.restarts, record.last_at) = (1, 1, now);
        stuffed.slots.push(record);
    }
    for number in 0..10_000 {
        stuffed.actions.push(ActionRecord {
            policy: "another policy".into(),
            remediation: format!("{number:0>36}"),
            slot: String::new(),
            at: now,
            simulated: false,
        });
    }
    let take = |now: i64| {
        let ask = Ask {
            installation: US,
            policy: &policy,
            network_max: 8,
            network_budget: &[],
            remediation: remediation("mine"),
            slot: "gaia-0",
            attempt: 1,
            step: Step::Restart,
            services: Vec::new(),
            simulated: false,
            long_health: None,
            deadline: Server(now),
            now: Server(now),
        };
        ledger::take(&stuffed, &ask)
    };
    let week = i64::try_from(LONGEST).expect("a week");
    assert_eq!(take(now + week - 1).expect_err("too large").guard, Guard::LedgerFull);
    let small = take(now + week).expect("nothing of it counts any more");
    assert!(bytes(&small) < MOST_BYTES && small.actions.len() == 1);
}
