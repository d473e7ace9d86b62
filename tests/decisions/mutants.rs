//! A net is worth what it catches: each deliberate mistake is found by one of the sweeps.

use super::{
    performer::Mistake,
    sweep::{dice, every_death, every_order},
};

#[test]
fn every_mistake_is_caught() {
    let mistakes = [
        Mistake::SkipsTheJournal,
        Mistake::IgnoresPreconditions,
        Mistake::SkipsTheLastLook,
        Mistake::TriesAgainBlindly,
        Mistake::TakesAnew,
        Mistake::KeepsTheSeat,
        Mistake::GivesAllBack,
        Mistake::GivesNothingBack,
        Mistake::WritesBlindly,
        Mistake::TrustsTheJournal,
        Mistake::SimulatesASeat,
        Mistake::AsksTheWitness,
        Mistake::IgnoresTheMode,
        Mistake::TakesSilenceForYes,
    ];
    let mut missed = Vec::new();
    for mistake in mistakes {
        let caught = every_death(mistake).err();
        let caught = caught.or_else(|| every_order(mistake, 12).err()).or_else(|| dice(mistake, 0..60_000).err());
        match caught {
            Some(how) => println!("{mistake:?}: {how}\n"),
            None => missed.push(mistake),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
