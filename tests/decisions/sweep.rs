//! Kills whoever performs a remediation before and after every effect, loses every answer, lets a second process work
//! on the same entry, and holds the end against what must be true of it.

use mainstay::{
    api::Phase,
    plan::{Approval, Step, ledger},
    remedy::{Doubt, End, Event, State, step},
    signal::Server,
};

use super::{
    performer::{FAULTS, Fault, Mistake, Performer},
    story::{After, Consent, Elsewhere, PLAIN, Story, What},
    world::{REMEDIATION, SLOT, TARGET, World},
};
use crate::dice::Dice;

/// Enough for any story; who needs more does not end.
const UNITS: usize = 400;

/// What a sweep has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub runs: usize,
    pub removals: usize,
    /// Budget and attempt spent without a removal, because nobody could say.
    pub spent_in_doubt: usize,
    /// Removals that landed after the seat had been given back.
    pub landed_late: usize,
    /// Seats that had to be reclaimed.
    pub reclaimed: usize,
}

/// Each restart and page there is, with what may come between.
pub fn stories() -> Vec<Story> {
    let mut stories = Vec::new();
    for after in [After::Heals, After::StaysSick, After::CannotBeTold] {
        stories.push(Story { after, ..PLAIN });
    }
    for simulated in [false, true] {
        for elsewhere in [Elsewhere::Stop, Elsewhere::PersonDeletes, Elsewhere::Recovers, Elsewhere::ModeFlips] {
            for at in 0..10 {
                stories.push(Story { simulated, elsewhere, at, ..PLAIN });
            }
        }
    }
    stories.push(Story { simulated: true, ..PLAIN });
    for what in [What::Job, What::Failover] {
        let ordered = Story { what, ..PLAIN };
        for after in [After::Heals, After::StaysSick, After::TakesLong, After::CannotBeTold] {
            stories.push(Story { after, ..ordered });
        }
        for elsewhere in [Elsewhere::Stop, Elsewhere::PersonDeletes, Elsewhere::Recovers, Elsewhere::ModeFlips] {
            for at in [3, 4, 5, 6, 7] {
                stories.push(Story { elsewhere, at, ..ordered });
            }
        }
    }
    for at in [0, 4, 9] {
        stories.push(Story { consent: Consent::At(at), ..PLAIN });
        for elsewhere in [Elsewhere::Recovers, Elsewhere::ModeFlips, Elsewhere::PolicyChanges] {
            for changes in [2, 5, 8, 12] {
                stories.push(Story { consent: Consent::At(at), elsewhere, at: changes, ..PLAIN });
            }
        }
    }
    stories.push(Story { blocked: true, ..PLAIN });
    stories.push(Story { restless: true, ..PLAIN });
    for deaf in [false, true] {
        for at in 0..8 {
            stories.push(Story { what: What::Page, deaf, elsewhere: Elsewhere::Recovers, at, ..PLAIN });
        }
    }
    stories.push(Story { what: What::Page, simulated: true, ..PLAIN });
    stories
}

/// One process, with faults at some of its units; a late act lands so many units after it was sent.
pub fn alone(story: Story, mistake: Mistake, faults: &[(usize, Fault)], late: usize) -> Result<World, String> {
    let mut world = World::new(story);
    let mut performer = Performer::new(mistake);
    let mut lands_at = None;
    for unit in 0..UNITS {
        let fault = faults.iter().find(|(at, _)| *at == unit).map_or(Fault::No, |(_, fault)| *fault);
        performer.unit(&mut world, fault)?;
        if !world.in_flight.is_empty() {
            let at = *lands_at.get_or_insert(unit + late);
            if unit >= at {
                land(&mut world);
                lands_at = None;
            }
        }
        if performer.done {
            land(&mut world);
            check(&mut world, faults.is_empty(), &mut Seen::default())?;
            return Ok(world);
        }
    }
    Err("it does not end".into())
}

/// Two processes; `next` says who works and what goes wrong.
pub fn together(
    story: Story,
    mistake: Mistake,
    seen: &mut Seen,
    mut next: impl FnMut(usize) -> (usize, Fault, bool),
) -> Result<(), String> {
    let mut world = World::new(story);
    world.shared = true;
    let mut two = [Performer::new(mistake), Performer::new(mistake)];
    for unit in 0..8 * UNITS {
        let (who, fault, lands) = next(unit);
        let who = if two[who].done { 1 - who } else { who };
        two[who].unit(&mut world, fault)?;
        if lands {
            land(&mut world);
        }
        if two.iter().all(|performer| performer.done) {
            land(&mut world);
            return check(&mut world, false, seen);
        }
    }
    Err("it does not end".into())
}

fn land(world: &mut World) {
    for (uid, version) in std::mem::take(&mut world.in_flight) {
        world.act(&uid, version, true);
    }
}

/// What must be true when nobody works any more.
fn check(world: &mut World, clean: bool, seen: &mut Seen) -> Result<(), String> {
    let entry = world.entry().clone();
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {entry:?}")) };
    must(entry.phase.is_final() && !entry.finalizer, "it ends in a final phase, and lets go")?;
    must(world.removals.len() <= 1, "one pod is removed once")?;
    must(world.removals.iter().all(|removal| removal.uid == TARGET), "no other pod is touched")?;
    must(world.removals.iter().all(|removal| removal.journal != Phase::Pending), "nothing without a journal")?;
    // A request that is on its way for longer than the target is watched outlives the seat.
    let seated = world.removals.iter().all(|removal| removal.seated);
    let late = world.removals.iter().all(|removal| removal.late);
    must(seated || late || world.shared, "nothing without a seat")?;

    let mut reclaimed = false;
    if world.shared && world.seated() {
        // Taken by a process that did not know that the other had ended it, and given back at the next look: nobody
        // waits for the deadline, because the entry has ended.
        let ended = |_: &_| entry.phase.is_final();
        let doubtful: Vec<_> = ledger::doubtful(&world.ledger, Server(world.now), ended).cloned().collect();
        let end = End::of(entry.phase, &entry.reason, entry.acted_at);
        for seat in &doubtful {
            let claim = ledger::Claim::of(seat);
            world.ledger = ledger::release(&world.ledger, &claim, end.acted, end.exhausted);
        }
        reclaimed = true;
    }
    must(world.ledger.seats.is_empty(), "the seat is free")?;

    let (removed, spent) = (!world.removals.is_empty(), world.spent());
    let nothing_done = matches!(entry.phase, Phase::DryRun | Phase::Withdrawn | Phase::Superseded);
    must(!(nothing_done && removed), "what was withdrawn removed nothing")?;
    must(!(nothing_done && spent), "what was withdrawn spent nothing")?;
    must(!removed || spent, "what was removed is spent")?;
    must(!(clean && spent && !removed), "what was not removed is not spent")?;
    let record = ledger::record(&world.ledger, &world.policy.id.uid, SLOT, false);
    let tried = match world.step() {
        Step::Job => record.jobs,
        Step::Failover => record.failovers,
        _ => record.restarts,
    };
    must(tried == i32::from(spent), "the attempt is spent with the budget")?;
    let unverified = entry.phase == Phase::Failed && entry.reason == "Unverified";
    must(!unverified || record.exhausted, "after what cannot be verified nothing more is tried")?;
    if world.step() == Step::Page {
        must(entry.phase != Phase::Succeeded || world.pages >= 1, "a page that succeeded was delivered")?;
        must(!clean || world.pages <= 1, "one page")?;
        let told = matches!(entry.phase, Phase::Succeeded | Phase::Failed);
        // A process that takes after the other has let go leaves the mark behind: only two together can do that.
        must(record.paged == told || world.shared, "told is told, and withdrawn is not")?;
        must(record.paged || !told, "told is told")?;
    }
    seen.runs += 1;
    seen.removals += world.removals.len();
    seen.spent_in_doubt += usize::from(spent && !removed);
    seen.landed_late += usize::from(!seated);
    seen.reclaimed += usize::from(reclaimed);
    Ok(())
}

fn told(story: Story, faults: &dyn std::fmt::Debug, why: &str) -> String {
    format!("{why}\n  {story:?}\n  faults {faults:?}")
}

/// Every story with every fault at every unit, and every two of them in the first stories.
pub fn every_death(mistake: Mistake) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut run = |story: Story, faults: &[(usize, Fault)], late: usize| {
        let world = alone(story, mistake, faults, late).map_err(|why| told(story, &faults, &why))?;
        seen.runs += 1;
        seen.removals += world.removals.len();
        seen.spent_in_doubt += usize::from(world.spent() && world.removals.is_empty());
        Ok::<_, String>(world.units.min(26))
    };
    for (index, story) in stories().into_iter().enumerate() {
        let units = run(story, &[], 0)?;
        for first in 0..units {
            for fault in FAULTS {
                for late in [0, 2, UNITS] {
                    let units = run(story, &[(first, fault)], late)?;
                    if index % 3 == 0 && (late == 2 || fault != Fault::Late) {
                        for second in first + 1..units {
                            for another in FAULTS {
                                run(story, &[(first, fault), (second, another)], late)?;
                            }
                        }
                    }
                    if fault != Fault::Late {
                        break;
                    }
                }
            }
        }
    }
    Ok(seen)
}

/// Two processes, every order of their first `depth` units.
pub fn every_order(mistake: Mistake, depth: u32) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for story in stories() {
        for order in 0..1_u32 << depth {
            let next = |unit: usize| {
                let who = u32::try_from(unit)
                    .ok()
                    .filter(|unit| *unit < depth)
                    .map_or(unit % 2, |unit| usize::from(order >> unit & 1 == 1));
                (who, Fault::No, false)
            };
            together(story, mistake, &mut seen, next)
                .map_err(|why| told(story, &format_args!("none, order {order:0>16b} from the right"), &why))?;
        }
    }
    Ok(seen)
}

/// Two processes in random order with random faults.
pub fn dice(mistake: Mistake, seeds: std::ops::Range<u64>) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let stories = stories();
    for seed in seeds {
        let mut dice = Dice(seed);
        let story = *dice.pick(&stories);
        // In turns of some length: one that pauses for long is the dangerous one.
        let (mut who, mut turn) = (0, 0);
        let next = |_| {
            if turn == 0 {
                who = 1 - who;
                turn = 1 + *dice.pick(&[0, 0, 1, 2, 5, 20]);
            }
            turn -= 1;
            let fault = if dice.index(6) == 0 { *dice.pick(&FAULTS) } else { Fault::No };
            (who, fault, dice.index(8) == 0)
        };
        together(story, mistake, &mut seen, next)
            .map_err(|why| told(story, &format_args!("by seed {seed}"), &why))?;
    }
    Ok(seen)
}

#[test]
fn whoever_dies_whenever_a_pod_is_removed_once_and_the_seat_is_free() {
    let seen = every_death(Mistake::None).unwrap_or_else(|why| panic!("{why}"));
    println!("{seen:?}");
    assert!(seen.runs > 50_000 && seen.removals > 10_000, "{seen:?}");
}

#[test]
fn two_processes_in_every_order_do_what_one_does() {
    let seen = every_order(Mistake::None, 12).unwrap_or_else(|why| panic!("{why}"));
    println!("{seen:?}");
    assert!(seen.runs > 100_000 && seen.removals > 10_000, "{seen:?}");
}

#[test]
fn two_processes_that_die_and_pause_at_random_do_what_one_does() {
    let seen = dice(Mistake::None, 0..60_000).unwrap_or_else(|why| panic!("{why}"));
    println!("{seen:?}");
    assert!(seen.removals > 5_000 && seen.spent_in_doubt > 0, "{seen:?}");
}

#[test]
fn each_story_ends_as_it_should() {
    let end = |story| {
        let world = alone(story, Mistake::None, &[], 0).unwrap_or_else(|why| panic!("{why}"));
        (world.entry().phase, world.entry().reason.clone(), world.removals.len(), world.pages)
    };
    let is = |phase, reason: &str, removals, pages| (phase, reason.to_owned(), removals, pages);
    assert_eq!(end(PLAIN), is(Phase::Succeeded, "Healthy", 1, 0));
    assert_eq!(end(Story { after: After::StaysSick, ..PLAIN }), is(Phase::Failed, "StillUnhealthy", 1, 0));
    assert_eq!(end(Story { after: After::CannotBeTold, ..PLAIN }), is(Phase::Failed, "Unverified", 1, 0));
    assert_eq!(end(Story { simulated: true, ..PLAIN }), is(Phase::DryRun, "DryRun", 0, 0));
    assert_eq!(end(Story { blocked: true, ..PLAIN }), is(Phase::Withdrawn, "DisruptionBudget", 0, 0));
    assert_eq!(end(Story { restless: true, ..PLAIN }), is(Phase::Withdrawn, "Moved", 0, 0));
    let job = Story { what: What::Job, ..PLAIN };
    assert_eq!(end(job), is(Phase::Succeeded, "Healthy", 1, 0));
    assert_eq!(end(Story { after: After::StaysSick, ..job }), is(Phase::Failed, "JobFailed", 1, 0));
    let failover = Story { what: What::Failover, ..PLAIN };
    assert_eq!(end(failover), is(Phase::Succeeded, "HandedOver", 1, 0));
    assert_eq!(end(Story { after: After::StaysSick, ..failover }), is(Phase::Failed, "OrderRefused", 1, 0));
    assert_eq!(end(Story { after: After::TakesLong, ..failover }), is(Phase::Failed, "NotInTime", 1, 0));
    assert_eq!(end(Story { after: After::CannotBeTold, ..failover }), is(Phase::Failed, "Unverified", 1, 0));
    let asked = |consent| Story { consent, ..PLAIN };
    assert_eq!(end(asked(Consent::At(9))), is(Phase::Succeeded, "Healthy", 1, 0));
    assert_eq!(end(asked(Consent::Never)), is(Phase::Withdrawn, "Expired", 0, 0));
    let changed = Story { elsewhere: Elsewhere::PolicyChanges, at: 5, ..asked(Consent::At(9)) };
    assert_eq!(end(changed), is(Phase::Withdrawn, "Approval", 0, 0));
    assert_eq!(end(Story { what: What::Page, ..PLAIN }), is(Phase::Succeeded, "Paged", 0, 1));
    assert_eq!(end(Story { what: What::Page, deaf: true, ..PLAIN }), is(Phase::Withdrawn, "NotDelivered", 0, 0));
    let stopped = Story { elsewhere: Elsewhere::Stop, at: 4, ..PLAIN };
    assert_eq!(end(stopped), is(Phase::Withdrawn, "EmergencyStop", 0, 0));
    let deleted = Story { elsewhere: Elsewhere::PersonDeletes, at: 4, ..PLAIN };
    assert_eq!(end(deleted), is(Phase::Superseded, "Moved", 0, 0));
}

/// The pod of a `StatefulSet` on a lost node is being deleted for ever. A failover touches no pod.
#[test]
fn a_pod_that_does_not_end_keeps_no_other_from_signing() {
    let next = |what| {
        let mut world = World::new(Story { what, ..PLAIN });
        world.pod.going_since = Some(world.now);
        let (pod, _, simulated) = world.look();
        let approval = Approval::NotNeeded;
        let looked = Event::Looked { pod, refused: None, simulated, approval, now: world.now };
        step(&world.order(), &State::Checking { moved: 0, doubt: Doubt::None }, looked).0
    };
    assert!(matches!(next(What::Failover), State::Acting { .. }));
    for what in [What::Restart, What::Job] {
        assert!(matches!(next(what), State::Ending(End { phase: Phase::Superseded, .. })), "{what:?}");
    }
}

// P13: an entry that somebody has set to a later phase by hand.
#[test]
fn an_entry_is_a_hint_and_the_ledger_says_whether_there_is_a_seat() {
    let end = |phase: Phase, full: bool| {
        let mut world = World::new(PLAIN);
        world.journal[0].phase = phase;
        world.journal[0].deadline = Some(world.now + 60_000);
        if full {
            world.take(false, "another").expect("a free seat");
        }
        let mut performer = Performer::new(Mistake::None);
        while !performer.done {
            performer.unit(&mut world, Fault::No).unwrap_or_else(|why| panic!("{why}"));
        }
        (world.removals.len(), world.removals.iter().all(|removal| removal.seated), world.seated())
    };
    for phase in [Phase::Pending, Phase::AwaitingApproval, Phase::Acting] {
        assert_eq!(end(phase, false), (1, true, false), "{phase:?}");
        assert_eq!(end(phase, true).0, 0, "{phase:?}: the seat is another's");
    }
    for phase in [Phase::Verifying, Phase::Succeeded, Phase::Failed, Phase::Withdrawn, Phase::DryRun] {
        assert_eq!(end(phase, false), (0, true, false), "{phase:?}: nothing is done");
    }
}

#[test]
fn what_could_not_begin_in_time_does_not_begin() {
    let end = |phase: Phase, waited: i64| {
        let mut world = World::new(PLAIN);
        world.now += waited;
        world.journal[0].phase = phase;
        if phase == Phase::Acting {
            world.take(false, REMEDIATION).expect("a free seat");
        }
        let mut performer = Performer::new(Mistake::None);
        while !performer.done {
            performer.unit(&mut world, Fault::No).unwrap_or_else(|why| panic!("{why}"));
        }
        (world.entry().phase, world.entry().reason.clone(), world.removals.len(), world.seated())
    };
    assert_eq!(end(Phase::Pending, 119_000), (Phase::Succeeded, "Healthy".to_owned(), 1, false));
    assert_eq!(end(Phase::Pending, 120_000), (Phase::Withdrawn, "Expired".to_owned(), 0, false));
    // An announced act that was left alone for long is not done now, and not called undone either.
    assert_eq!(end(Phase::Acting, 239_000), (Phase::Succeeded, "Healthy".to_owned(), 1, false));
    assert_eq!(end(Phase::Acting, 240_000), (Phase::Failed, "StillUnhealthy".to_owned(), 0, false));
}
