//! What differs from run to run, drawn by the seed, and what may be wrong with the protocol.

use mainstay::failover::{HandOver, Height, Held, Share, Timing, gate::Limits};

use super::{dice::Dice, faults::Fault};
use crate::mistakes::Mistake;

/// Until then things break (milliseconds).
pub const FAULTS_END: u64 = 240_000;

/// A deliberate mistake, so that the oracle has something to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// One of those that the model checker knows, or none.
    Of(Mistake),
    /// Nobody adopts an identity whose record was restored.
    NobodyAdopts,
    /// The floor of an adoption is the head of the chain.
    AdoptsAtTheHead,
    /// Clocks count as exact: the wait of an operator is the hold.
    ExactClocks,
    /// A pod whose object is gone counts as stopped.
    TakesForceDeleteForProof,
    /// So does one that does not answer.
    TakesSilenceForProof,
    /// With proof, nobody waits for the end of a hold.
    NeverWaits,
    /// A hold begins when the answer comes.
    CountsFromTheReply,
    /// The holder is whoever runs as this member.
    HolderByMember,
    /// Once in a while a cache answers what the API server should.
    ReadsFromACache,
}

impl Flaw {
    pub const NONE: Self = Self::Of(Mistake::None);

    pub const fn mistake(self) -> Mistake {
        if let Self::Of(mistake) = self { mistake } else { Mistake::None }
    }

    /// Circumstances in which it matters.
    fn fits(self, setting: &mut Setting) {
        let faults: &[Fault] = match self {
            Self::Of(Mistake::LowersBeforeItIsSilent) => {
                // Whoever stands still is asked for old heights when it goes on.
                (setting.block, setting.window, setting.latency) = (6_000, 20, 400);
                &[Fault::Stop, Fault::Stop, Fault::Pause, Fault::Orphan, Fault::Switch]
            }
            Self::Of(Mistake::LowersBelowItsStart) => {
                setting.latency = 3_000;
                &[Fault::Stop, Fault::Replace, Fault::Crash, Fault::VolumeLost, Fault::VolumeLost, Fault::Lag]
            }
            Self::Of(Mistake::IgnoresTheSeal) => {
                (setting.block, setting.window, setting.latency) = (6_000, 4, 400);
                &[Fault::Foreign, Fault::Foreign, Fault::VolumeLost, Fault::Crash, Fault::Pause, Fault::Switch]
            }
            Self::Of(Mistake::FloorWithRevoking | Mistake::RaisesWhileFenced) => {
                // An answer that is lost costs five blocks, in which the other side goes on.
                (setting.block, setting.window, setting.latency, setting.loss) = (1_000, 8, 5, 3);
                &[Fault::Switch, Fault::Cut, Fault::Lag]
            }
            Self::Of(_) | Self::ReadsFromACache => return,
            Self::NobodyAdopts | Self::AdoptsAtTheHead => Fault::OF_RECORDS,
            Self::ExactClocks | Self::NeverWaits | Self::CountsFromTheReply => {
                &[Fault::Orphan, Fault::Cut, Fault::Switch]
            }
            Self::TakesForceDeleteForProof => &[Fault::ForceDelete, Fault::Pause, Fault::Switch],
            Self::TakesSilenceForProof => &[Fault::Pause, Fault::Switch],
            Self::HolderByMember => &[Fault::ForceDelete, Fault::Orphan, Fault::Switch],
        };
        setting.faults = faults.to_vec();
        (setting.gap, setting.every, setting.own) = (4_000, 500, 2);
        if self.hand_over() == Some(true) {
            setting.latency = 5;
        }
        if self == Self::CountsFromTheReply {
            setting.late = 20;
            setting.launcher = Some(Timing { hold: 4_000, drift: 100, margin: 0 });
        }
    }

    /// Whether it is about launchers.
    const fn hand_over(self) -> Option<bool> {
        match self {
            Self::ExactClocks
            | Self::TakesForceDeleteForProof
            | Self::TakesSilenceForProof
            | Self::NeverWaits
            | Self::CountsFromTheReply
            | Self::HolderByMember => Some(true),
            Self::Of(Mistake::None) => None,
            Self::Of(_) | Self::NobodyAdopts | Self::AdoptsAtTheHead | Self::ReadsFromACache => Some(false),
        }
    }
}

/// One run's circumstances.
#[derive(Clone, Debug)]
pub struct Setting {
    pub flaw: Flaw,
    pub members: usize,
    /// How long a round takes (milliseconds).
    pub block: u64,
    /// One round in so many fails.
    pub failing: u64,
    /// How far ahead of the chain a gate owns heights.
    pub window: u64,
    /// How often a gate looks at the record (milliseconds).
    pub every: u64,
    pub share: Share,
    pub launcher: Option<Timing>,
    /// The longest time on the way to the API server, or back (milliseconds).
    pub latency: u64,
    /// One request or answer in so many is lost.
    pub loss: u64,
    /// One in so many takes up to a minute.
    pub late: u64,
    /// One in so many arrives twice.
    pub twice: u64,
    /// The longest time that it takes to make something durable (milliseconds).
    pub fsync: u64,
    /// A node would vote for a block of its own once in so many votes.
    pub own: u64,
    /// Telemetry is false once in so many looks.
    pub lies: u64,
    /// The time between two faults, on average (milliseconds).
    pub gap: u64,
    /// What breaks in this run, as often as it is in here.
    pub faults: Vec<Fault>,
    /// Whether only one thing breaks.
    pub once: bool,
}

impl Setting {
    pub fn draw(dice: &mut Dice, flaw: Flaw) -> Self {
        let launches = flaw.hand_over().unwrap_or_else(|| dice.one_in(6));
        let third = !launches && flaw == Flaw::NONE && dice.one_in(8);
        let drift = if flaw == Flaw::ExactClocks { 0 } else { 100 };
        let timing = Timing { hold: dice.within(4_000, 15_000), drift, margin: if drift == 0 { 0 } else { 500 } };
        let all = if launches { Fault::OF_LAUNCHERS } else { Fault::OF_GATES };
        let faults = all.iter().flat_map(|fault| std::iter::repeat_n(*fault, dice.index(4)));
        let mut faults: Vec<_> = faults.collect();
        if faults.is_empty() {
            faults.push(Fault::Switch);
        }
        let often = [0, 2_000, 200, 30];
        let mut setting = Self {
            flaw,
            members: 2 + dice.index(2),
            block: dice.within(1_000, 6_000),
            failing: dice.within(2, 20),
            window: dice.within(4, 40),
            every: [500, 500, 1_000, 2_000][dice.index(4)],
            share: if third { Share::Third } else { Share::Small },
            launcher: launches.then_some(timing),
            latency: [5, 50, 400, 3_000][dice.index(4)],
            loss: often[dice.index(4)],
            late: often[dice.index(4)],
            twice: often[dice.index(4)],
            fsync: [2, 20, 300][dice.index(3)],
            own: 20,
            lies: [0, 400, 60, 15][dice.index(4)],
            gap: dice.within(3_000, 40_000),
            faults,
            once: false,
        };
        flaw.fits(&mut setting);
        setting
    }

    /// Nothing breaks but this, once, with two members and the usual window.
    pub fn alone(dice: &mut Dice, fault: Fault, launches: bool) -> Self {
        let timing = Timing { hold: 10_000, drift: 100, margin: 500 };
        Self {
            members: 2,
            failing: 20,
            window: 20,
            every: 1_000,
            share: Share::Small,
            launcher: launches.then_some(timing),
            latency: 50,
            loss: 0,
            late: 0,
            twice: 0,
            fsync: 20,
            lies: 0,
            faults: vec![fault],
            once: true,
            ..Self::draw(dice, Flaw::NONE)
        }
    }

    /// The bounds of the gates.
    pub const fn limits(&self) -> Limits {
        Limits { window: self.window, jump: self.window * 50, reach: Height(u64::MAX) }
    }

    /// How an epoch ends.
    pub fn hand_over(&self) -> HandOver {
        self.launcher.map_or(HandOver::Gate, |timing| HandOver::Launcher(Held::Command, timing))
    }
}
