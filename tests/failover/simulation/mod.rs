//! Failovers in time, thousands of them, each drawn by a seed: a chain that grows, nodes that lag, gates that die, stand still
//! and live on as orphans, volumes that are lost, an API server that loses answers, two operators, clocks that differ,
//! telemetry that lies; round the very functions that production runs. Where the model checker tries every order of few
//! things, this tries many orders of everything, and measures how long they take.

mod api;
mod chain;
mod cluster;
mod dice;
mod ending;
mod events;
mod faults;
mod members;
mod missing;
mod operators;
mod oracle;
mod processes;
mod report;
mod setting;

use std::{env, time::Instant};

use mainstay::failover::Missing;

use cluster::Cluster;
use dice::Dice;
use ending::End;
use faults::Fault;
use oracle::Oracle;
use report::{Report, table};
use setting::{Flaw, Setting};

/// What is played.
#[derive(Clone, Copy, Debug)]
enum Play {
    /// Everything breaks, and this is wrong with the protocol.
    All(Flaw),
    /// One thing breaks, of a gate or of a launcher.
    Alone { fault: Fault, launches: bool },
}

impl Play {
    /// How it is asked for.
    fn words(self) -> String {
        match self {
            Self::All(_) => String::new(),
            Self::Alone { fault, launches } => format!("ALONE={fault:?} LAUNCHER={launches} "),
        }
    }

    fn asked() -> Self {
        let Ok(name) = env::var("ALONE") else { return Self::All(Flaw::NONE) };
        let fault = Fault::OF_GATES.iter().find(|fault| format!("{fault:?}") == name).expect("ALONE is a fault");
        Self::Alone { fault: *fault, launches: env::var("LAUNCHER").is_ok_and(|text| text == "true") }
    }
}

/// One run, to its end or to what must not be.
fn run(seed: u64, play: Play, story: bool) -> (Cluster, Option<End>) {
    let mut dice = Dice(seed ^ 0x5157_3a11);
    let (setting, flaw) = match play {
        Play::All(flaw) => (Setting::draw(&mut dice, flaw), flaw),
        Play::Alone { fault, launches } => (Setting::alone(&mut dice, fault, launches), Flaw::NONE),
    };
    let mut cluster = Cluster::new(dice, setting, story);
    let mut end = None;
    // What is wrong on purpose goes on until it costs the key.
    let over = |oracle: &Oracle| oracle.conflicts > 0 || flaw == Flaw::NONE && !oracle.wrong.is_empty();
    while end.is_none() && !over(&cluster.oracle) && cluster.step() {
        end = cluster.end();
    }
    cluster.oracle.ends();
    if end == Some(End::NobodySigns) && flaw == Flaw::NONE {
        let shown = api::shown(&cluster.api.record);
        cluster.oracle.wrong.push(format!("nobody signs, and nothing says why: {shown}"));
    }
    // A person can always say what a pod has signed that is no more.
    if end == Some(End::HaltedBelow) && cluster.is_within_its_epoch() && flaw == Flaw::NONE {
        let shown = api::shown(&cluster.api.record);
        cluster.oracle.wrong.push(format!("the chain waits for a pod that is no more: {shown}"));
    }
    (cluster, end)
}

/// The command that tells the story of a run.
fn replay(seed: u64, play: Play) -> String {
    let words = play.words();
    format!("{words}SEED={seed} cargo test --test failover one_failover -- --ignored --nocapture")
}

/// The story of a run.
fn tell(seed: u64, play: Play) -> String {
    let (run, end) = run(seed, play, true);
    let (story, wrong) = (run.story.unwrap_or_default().join("\n"), run.oracle.wrong);
    format!("{story}\nseed {seed}: {end:?} {wrong:#?}\n{:?}\nagain: {}", run.setting, replay(seed, play))
}

fn runs(usual: u64) -> u64 {
    env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs of many seeds, of which none may go wrong.
fn play(runs: u64, play: Play) -> Report {
    let side = |seeds: std::ops::Range<u64>| {
        let (mut report, mut wrong) = (Report::default(), Vec::new());
        for seed in seeds {
            let (run, end) = run(seed, play, false);
            if !run.oracle.wrong.is_empty() {
                println!("seed {seed}: {:?}\n  again: {}", run.oracle.wrong, replay(seed, play));
                wrong.push(seed);
            }
            report.add(&run, end);
        }
        (report, wrong)
    };
    let half = runs / 2;
    let ((mut report, mut wrong), other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| side(half..runs));
        (side(0..half), other.join().expect("the other half"))
    });
    report.merge(other.0);
    wrong.extend(other.1);
    assert!(wrong.is_empty(), "{} of {runs} runs went wrong: {}", wrong.len(), tell(wrong[0], play));
    report
}

// C01 to C06, W03 to W05, W09, W10, A01, A08 to A11, A16.
#[test]
fn no_randomised_failover_signs_twice_and_somebody_signs_in_the_end() {
    let (runs, began) = (runs(300), Instant::now());
    let report = play(runs, Play::All(Flaw::NONE));
    println!("{report}in {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(report.conflicts, 0);
    assert!(report.failovers > runs && report.signatures > runs * 50, "hardly anything happens");
}

#[test]
fn how_long_a_failover_takes_when_one_thing_breaks() {
    let runs = runs(500).div_ceil(50);
    let mut rows = Vec::new();
    for (launches, all) in [(false, Fault::OF_GATES), (true, Fault::OF_LAUNCHERS)] {
        let mut all = all.to_vec();
        all.dedup();
        for fault in all {
            let report = play(runs, Play::Alone { fault, launches });
            let times = report.times();
            // What the holder's own gate can say is not waited for.
            assert!(launches || fault != Fault::Switch || times.time(90) <= 10_000, "{times}");
            rows.push((fault, launches, times));
        }
    }
    for launches in [false, true] {
        let these = rows.iter().filter(|(_, of, times)| *of == launches && times.len() > 0);
        let these = these.map(|(fault, _, times)| (format!("{fault:?}"), times.clone()));
        println!("{}", table(if launches { "launcher" } else { "gate" }, these));
    }
}

// W05: a launcher whose pod was deleted by force lives on, ends its command, and says so.
#[test]
fn a_launcher_that_lives_on_has_the_last_word() {
    let report = play(10, Play::Alone { fault: Fault::ForceDelete, launches: true });
    assert_eq!(report.proofs.keys().collect::<Vec<_>>(), [&"SignerRefuses"]);
}

// W06, W07: a pod whose machine is off and whose object is gone tells nothing, and a person is called.
#[test]
fn a_launchers_place_waits_for_a_person_when_there_is_no_evidence() {
    let report = play(10, Play::Alone { fault: Fault::Gone, launches: true });
    assert_eq!(report.proofs.keys().collect::<Vec<_>>(), [&"Asserted"]);
    assert!(report.blocked[&Missing::Proof] >= 10 && report.helped >= 10);
}

#[test]
#[ignore = "tells the story of one run: SEED=…"]
fn one_failover() {
    let seed = env::var("SEED").ok().and_then(|text| text.parse().ok()).expect("SEED is a number");
    let play = Play::asked();
    println!("{}", tell(seed, play));
    assert!(run(seed, play, false).0.oracle.wrong.is_empty());
}
