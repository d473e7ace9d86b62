//! Thousands of seeds of a toy chain and a toy cluster round the very rooms that decide in production. What was done is
//! judged by the toy's own audit log and by what the toy knows to be true, never by the code under test.
//!
//! A seed that fails prints the command that tells its story.

// A test may look at the clock.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::cast_precision_loss)]

#[expect(dead_code, reason = "others throw the rest of it")]
#[path = "../dice.rs"]
mod dice;
mod operator;
mod plan;
mod toy;

use std::collections::{BTreeSet, VecDeque};

use crate::dice::Dice;
use mainstay::{
    api::{
        Family, HealthyShare, PolicyRef,
        policy::{Mode, Role, Severity},
    },
    plan::Guard,
    policy::{
        BudgetLimit, Condition as Breach, NetworkPlan, Policy, Reference, Rule, Source, SourceKind, StormLimit,
        Trigger, preset, required_healthy,
    },
    signal::Signal,
};
use operator::Run;
use toy::{Condition, Toy};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

fn policy(dice: &mut Dice) -> Policy {
    let base = preset(Family::CometBFT, Role::FullNode);
    let rule = |name: &str, signal, condition, hold: u64| Rule {
        name: name.into(),
        signal,
        condition,
        trigger: Trigger::For(hold),
        clear_at: None,
        clear_for: 6 * SECOND,
        severity: Severity::Critical,
    };
    let mut policy = Policy {
        id: PolicyRef { namespace: "cosmos".into(), name: "rpc".into(), uid: "p".into() },
        generation: 1,
        network: "hub".into(),
        joins: Vec::new(),
        family: Family::CometBFT,
        role: Role::FullNode,
        mode: Mode::Enforce,
        priority: 0,
        selector: serde_json::from_str(r#"{"terms": [{"in": ["app", ["node"]]}]}"#).expect("a selector"),
        sources: vec![Source {
            name: "rpc".into(),
            kind: SourceKind::CometBft { port: mainstay::api::policy::PortName::Number(26657), rest: None },
            every: 2 * SECOND,
            timeout: SECOND,
        }],
        rules: vec![
            rule("silent", Signal::Reachable, Breach::Below(1_000_000), 10 * SECOND),
            rule("stalled", Signal::Head, Breach::Stalled, 20 * SECOND),
            rule("behind", Signal::HeadLag, Breach::Above(10_000_000), 20 * SECOND),
        ],
        ladder: base.ladder,
        limits: base.limits,
        sinks: Vec::new(),
    };
    policy.ladder.reroute = None;
    let restart = policy.ladder.restart.as_mut().expect("a restart");
    (restart.within, restart.attempts) = (operator::WITHIN, 2 + u32::try_from(dice.below(2)).unwrap());
    (restart.cooldown, restart.backoff_max) = (40 * SECOND, 2 * MINUTE);
    let limits = &mut policy.limits;
    // In some runs nothing stands behind the guard against a blind observer.
    limits.min_healthy = if dice.one_in(4) { HealthyShare::Count(0) } else { HealthyShare::Percent(51) };
    limits.max_concurrent = 1 + u32::try_from(dice.below(2)).unwrap();
    limits.budget = vec![BudgetLimit { actions: 2 + u32::try_from(dice.below(3)).unwrap(), per: 4 * MINUTE }];
    limits.storm = Some(StormLimit { targets: 2, per: MINUTE, cooldown: 2 * MINUTE });
    limits.warm_up = 20 * SECOND;
    limits.progress_within = 2 * MINUTE;
    limits.new_incident_after = 3 * MINUTE;
    limits.evidence_max_age = 10 * SECOND;
    policy
}

fn network(dice: &mut Dice) -> NetworkPlan {
    NetworkPlan {
        name: "hub".into(),
        uid: "n".into(),
        family: Family::CometBFT,
        chain_id: "hub-1".into(),
        block_time: 2 * SECOND,
        allowed_namespaces: vec!["cosmos".into()],
        references: vec![Reference { name: "outside".into(), url: "http://x".into(), rest: None }],
        stalled_after: 30 * SECOND,
        max_concurrent: 1 + u32::try_from(dice.below(2)).unwrap(),
        budget: Vec::new(),
        upgrades: false,
    }
}

fn run(seed: u64, without: Option<Guard>) -> (Run, Vec<String>) {
    let mut dice = Dice(seed ^ 0xabcd);
    let (policy, network) = (policy(&mut dice), network(&mut dice));
    let mut run = Run::new(Toy::new(seed), policy, network, without);
    let (mut wrong, mut judged) = (Vec::new(), VecDeque::new());
    for _ in 0..operator::ticks() {
        let before = run.toy.acts.len();
        judged.push_back(run.healthy());
        if judged.len() > usize::try_from(operator::LOOK_MAX_AGE / toy::TICK).unwrap() + 2 {
            judged.pop_front();
        }
        let truth = Truth::of(&run, &judged);
        run.tick();
        for index in before..run.toy.acts.len() {
            judge(&run, index, &truth, &mut wrong);
        }
    }
    // Without a guard the toy's operators call nobody: only their acts are judged then.
    if without.is_none() {
        at_the_end(&run, &mut wrong);
    }
    (run, wrong)
}

/// What was true just before the operators moved.
struct Truth {
    conditions: Vec<Condition>,
    down: usize,
    /// The slots that were judged healthy at some time since the oldest look that may still be acted on.
    healthy: BTreeSet<String>,
}

impl Truth {
    fn of(run: &Run, judged: &VecDeque<BTreeSet<String>>) -> Self {
        Self {
            healthy: judged.iter().flatten().cloned().collect(),
            conditions: run.toy.nodes.iter().map(|node| node.condition).collect(),
            down: run.toy.nodes.iter().filter(|node| node.ends.is_some()).count(),
        }
    }
}

/// Holds one accepted eviction against the policy and against the truth.
fn judge(run: &Run, index: usize, truth: &Truth, wrong: &mut Vec<String>) {
    let (toy, policy) = (&run.toy, run.policy_now());
    let act = &toy.acts[index];
    let (now, plan) = (act.at, &toy.plan);
    let mut broken = |what: &str| wrong.push(format!("{:.0} s: {}: {what}", now as f64 / 1000.0, act.slot));
    let earlier = || toy.acts[..index].iter();
    let node = toy.node(&act.slot);
    let which = toy.nodes.iter().position(|of| of.slot == act.slot).unwrap();
    let limits = &policy.limits;
    let restart = policy.ladder.restart.expect("a restart");

    // What has just changed may not have been seen by the last look.
    let slack = operator::LOOK_MAX_AGE + 2 * toy::TICK;
    let settled = now - node.changed_at > slack;
    if plan.stop.lasts(now, slack) {
        broken("the emergency stop was pulled");
    }
    if plan.pause.lasts(now, slack) || plan.observe.lasts(now, slack) {
        broken("the policy was paused or only observed");
    }
    if plan.closed.lasts(now, slack) {
        broken("a window was closed");
    }
    if plan.rollout.lasts(now, slack) || plan.cordon.lasts(now, slack) {
        broken("a rollout was under way, or the node was cordoned");
    }
    if node.ignored {
        broken("the pod had opted out");
    }
    if now - node.started < limits.warm_up {
        broken("the pod was young");
    }
    if settled && truth.conditions[which] == Condition::Well && node.head + 3 >= toy.height {
        broken("the node was well");
    }
    if settled && truth.conditions[which] == Condition::CatchesUp {
        broken("the node was catching up, and got on");
    }
    if now - toy.moved_at > 20 * SECOND + slack {
        broken("the chain stood still");
    }
    if plan.deaf.has(now) && now - plan.deaf.0 > 62 * SECOND + slack {
        broken("nothing was heard of the pods for a minute");
    }
    // The first seconds of a cut are seconds in which nobody can know of it.
    let everybody_settled = toy.nodes.iter().all(|of| now - of.changed_at > 10 * SECOND + slack);
    // Of two votes the lower one counts, so that with most nodes behind another may pass for well.
    let judged: BTreeSet<String> = truth.healthy.union(&run.healthy()).cloned().collect();
    let all_ill = truth.conditions.iter().all(|of| *of != Condition::Well) && judged.is_empty();
    if plan.cut.has(now) && now - plan.cut.0 > 12 * SECOND + slack || all_ill && everybody_settled {
        broken("everything was ill at once, or nothing was seen");
    }
    let ill_here = |machine: u64| {
        let ill =
            |(index, of): (usize, &toy::Node)| truth.conditions[index] == Condition::Hung && of.machine == machine;
        toy.nodes.iter().enumerate().filter(|(index, of)| ill((*index, of))).count()
    };
    let ill_anywhere = truth.conditions.iter().filter(|of| **of != Condition::Well).count();
    if ill_here(node.machine) >= 2
        && ill_here(node.machine) == ill_anywhere
        && truth.down == 0
        && long_ill(run)
        && !misled(plan, now)
    {
        broken("whatever was ill was on one machine");
    }
    if earlier().filter(|other| now - other.at < limits.budget[0].per).count() >= limits.budget[0].actions as usize
    {
        broken("the budget was used up");
    }
    let storm = limits.storm.expect("a storm");
    let mut recent: Vec<&str> =
        earlier().filter(|other| now - other.at < storm.per).map(|other| other.slot.as_str()).collect();
    recent.sort_unstable();
    recent.dedup();
    if recent.len() >= storm.targets as usize {
        broken("it stormed");
    }
    let of_slot: Vec<_> = earlier().filter(|other| other.slot == act.slot).collect();
    if of_slot.last().is_some_and(|last| now - last.at < restart.cooldown) {
        broken("the slot was resting");
    }
    // An incident ends after three minutes of health: within three minutes nothing new can have begun.
    let tries = of_slot.iter().rev().take_while(|other| now - other.at < limits.new_incident_after).count();
    if tries >= restart.attempts as usize {
        broken("every attempt was used up");
    }
    if of_slot.iter().any(|other| other.uid == act.uid) {
        broken("one pod was removed twice");
    }
    let seats = toy.ledger.seats.iter().filter(|seat| seat.slot != act.slot).count() + 1;
    if seats > limits.max_concurrent.min(run.network.max_concurrent) as usize {
        broken("too many at once");
    }
    // Healthy as judged: what the guard promises is to count, and to count in time.
    let required = required_healthy(limits.min_healthy, u32::try_from(toy.nodes.len()).unwrap());
    let well = judged.iter().filter(|slot| **slot != act.slot).count();
    if well < required as usize {
        broken(&format!("{well} others were well, {required} had to be"));
    }
    let journal = toy.journals.values().find(|of| of.uid == act.uid && !of.page && !of.phase.is_final());
    if journal.is_none_or(|of| of.phase == mainstay::api::Phase::Pending) {
        broken("no journal announced it");
    }
}

/// Whether what was seen may not have been what is: everything was cut, one that is well was not seen, or pods were made
/// anew while nothing was heard of them, which are judged as others are from when they are known.
fn misled(plan: &plan::Plan, now: u64) -> bool {
    let mut spans = [plan.cut, plan.blind.1, plan.deaf].into_iter();
    spans.any(|span| span.has(now) || span.has(now.saturating_sub(20 * SECOND)))
}

/// Whether what is ill now has been so for long enough to be known.
fn long_ill(run: &Run) -> bool {
    let now = run.toy.now;
    run.toy.plan.breaks.iter().all(|(at, ..)| *at > now || now - at > 30 * SECOND)
}

/// Faults have stopped: whatever can be healed is, and nothing is left behind.
fn at_the_end(run: &Run, wrong: &mut Vec<String>) {
    let toy = &run.toy;
    // What began in the last minutes may still be under way.
    let late = |of: &toy::Journal| of.created + 3 * MINUTE > toy::END;
    if !toy.ledger.seats.is_empty() && !toy.journals.values().any(late) {
        wrong.push(format!("seats are left: {:?}", toy.ledger.seats));
    }
    for (name, of) in toy.journals.iter().filter(|(_, of)| of.held && !late(of)) {
        wrong.push(format!("{name} is held in {:?}", of.phase));
    }
    let attempts = run.policy.ladder.restart.expect("a restart").attempts;
    let ill = toy.nodes.iter().filter(|node| node.condition != Condition::Well);
    let many = ill.clone().count() * 2 > toy.nodes.len() || toy.nodes.len() - ill.clone().count() < 2;
    for node in ill {
        let tries = u32::try_from(toy.acts.iter().filter(|act| act.slot == node.slot).count()).unwrap();
        // Somebody has to help: it opted out, every attempt was used up, or too much is ill for anybody to judge.
        let called = toy.journals.values().any(|of| of.page && of.slot == node.slot);
        if !node.ignored && tries < attempts && !many && !called {
            wrong.push(format!("{} is ill in the end, and nobody was called", node.slot));
        }
    }
}

fn tell(seed: u64, run: &Run, wrong: &[String]) -> String {
    format!(
        "seed {seed}: {wrong:#?}\n{:?}\n{}\n  its story: SEED={seed} cargo test --test simulation one -- --ignored --nocapture",
        run.toy.plan,
        run.told.join("\n")
    )
}

fn runs(usual: u64) -> u64 {
    std::env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

// C04, C05, C06: deaths every few seconds, long sleeps, a clock an hour off.
#[test]
fn no_limit_is_exceeded_whatever_happens() {
    let (runs, began) = (runs(60), std::time::Instant::now());
    let half = runs / 2;
    let side = |seeds: std::ops::Range<u64>| {
        let (mut acts, mut healed, mut ill) = (0, 0, 0);
        let mut stories = Vec::new();
        for seed in seeds {
            let (run, wrong) = run(seed, None);
            if !wrong.is_empty() {
                stories.push(tell(seed, &run, &wrong));
                println!("{}", stories[stories.len() - 1]);
            }
            acts += run.toy.acts.len();
            healed += usize::from(run.is_over());
            ill += usize::from(run.toy.acts.is_empty());
        }
        (acts, healed, ill, stories)
    };
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(|| side(half..runs));
        (side(0..half), other.join().expect("the other half"))
    });
    let (acts, healed, idle) = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
    let stories = [a.3, b.3].concat();
    println!(
        "{runs} runs, {acts} restarts, all well in the end in {healed}, nothing done in {idle}; {:.1} s",
        began.elapsed().as_secs_f64()
    );
    assert!(stories.is_empty(), "{} of {runs} runs: {}", stories.len(), stories[0]);
    assert!(acts as u64 > runs / 2, "hardly anything is ever done: the limits are not tried");
}

#[test]
#[ignore = "tells the story of one run: SEED=…"]
fn one() {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).expect("SEED is a number");
    let (run, wrong) = run(seed, None);
    println!("{}", tell(seed, &run, &wrong));
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Each guard that a limit of the audit rests on, and a seed at which it is missed. Not among them: those that others back
/// up (`Moved`: preconditions of the API server; `Mode`: what is not to be done is only written down; `Evidence`:
/// little time passes between a decision and its act), and those whose cause the toy does not have (`Conflict`, `OldSchema`,
/// `Upgrading`, `Diverged`, `CrashLoop`, `Growth`, `Dependency`, and those of re-routing).
const GUARDS: [(Guard, u64); 19] = [
    (Guard::EmergencyStop, 18),
    (Guard::Paused, 3),
    (Guard::NeverTouched, 1),
    (Guard::Rollout, 41),
    (Guard::NodeUnfit, 98),
    (Guard::Window, 28),
    (Guard::TelemetryLost, 36),
    (Guard::Correlated, 10),
    (Guard::NetworkStalled, 3),
    (Guard::Unconfirmed, 5),
    (Guard::StaleCache, 142),
    (Guard::WarmUp, 59),
    (Guard::Progress, 2),
    (Guard::Exhausted, 55),
    (Guard::Cooldown, 727),
    (Guard::Budget, 10),
    (Guard::Storm, 825),
    (Guard::MinHealthy, 22),
    (Guard::MaxConcurrent, 40),
];

/// The seed is where the search begins: a change that moves the seeds costs time, and proves the same.
#[test]
fn a_guard_that_is_taken_away_is_missed_within_a_thousand_runs() {
    let mut unmissed = Vec::new();
    for (guard, first) in GUARDS {
        let seeds = std::iter::once(first).chain((0..1_000).filter(|seed| *seed != first));
        let found = seeds.map(|seed| (seed, run(seed, Some(guard)).1)).find(|(_, wrong)| !wrong.is_empty());
        match found {
            Some((seed, wrong)) => println!("without {}: seed {seed}: {}", guard.name(), wrong[0]),
            None => unmissed.push(guard.name()),
        }
    }
    assert!(unmissed.is_empty(), "nobody misses {unmissed:?}");
}

#[test]
#[ignore = "counts what goes wrong: RUNS=…"]
fn count() {
    let mut counts = std::collections::BTreeMap::<String, (u64, u64)>::new();
    for seed in 0..runs(100) {
        for wrong in run(seed, None).1 {
            let what = wrong.rsplit(": ").next().unwrap_or_default().to_owned();
            let entry = counts.entry(what).or_insert((0, seed));
            entry.0 += 1;
        }
    }
    println!("{counts:#?}");
}
