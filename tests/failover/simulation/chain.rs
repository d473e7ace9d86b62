//! A toy chain: a head that grows, rounds that fail, and nodes that ask their gates for what they would sign, each for what
//! it has seen itself.

use mainstay::failover::{
    Height, Share,
    gate::{Ask, Content, Hrs, Step},
};

use super::{cluster::Cluster, events::Event, members::Signer};

/// The height that the key has signed before.
pub const BEGIN: u64 = 10;
/// No chain is there.
const NONSENSE: u64 = 1 << 62;

#[derive(Clone, Debug)]
pub struct Chain {
    pub head: u64,
    pub round: u32,
    /// Whether it is our turn to propose.
    pub ours: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self { head: BEGIN, round: 0, ours: false }
    }
}

impl Cluster {
    pub fn round(&mut self) {
        self.chain.ours = self.dice.one_in(4);
        for which in 0..self.processes.len() {
            self.schedule(which);
        }
        let block = self.setting.block;
        let takes = self.dice.within(block * 8 / 10, block * 12 / 10);
        self.push(takes, Event::RoundEnds);
    }

    pub fn round_ends(&mut self) {
        let (height, round) = (self.chain.head + 1, self.chain.round);
        let needed = self.setting.share != Share::Small;
        let failing = self.setting.failing;
        let passes = !self.dice.one_in(failing) && (!needed || self.oracle.has_voted(height, round));
        if passes {
            (self.chain.head, self.chain.round) = (height, 0);
        } else {
            self.chain.round += 1;
        }
        self.push(0, Event::Round);
    }

    /// What the node of a process will ask for in this round, when it gets there.
    fn schedule(&mut self, which: usize) {
        let process = &self.processes[which];
        if !process.client.alive || matches!(process.signer, Signer::Launcher(..)) {
            return;
        }
        let (block, lag) = (self.setting.block, process.lag);
        if self.chain.ours {
            let ask = self.question(which, Step::Propose);
            let after = lag + self.dice.below(50);
            self.push(after, Event::Asks(which, Box::new(ask)));
        }
        for (step, from) in [(Step::Prevote, 100), (Step::Precommit, 100 + block / 3)] {
            let after = lag + from + self.dice.below(block / 3);
            let ask = self.question(which, step);
            // A node whose signer did not answer asks once more, with another time or another content.
            if self.dice.one_in(12) {
                let (again, other) = (self.dice.time(5_000), self.question(which, step));
                self.push(after + again, Event::Asks(which, Box::new(other)));
            }
            self.push(after, Event::Asks(which, Box::new(ask)));
        }
    }

    /// A node that has just started is in the middle of a round.
    pub fn asks_again(&mut self, which: usize) {
        if matches!(self.processes[which].signer, Signer::Gate(_)) {
            for step in [Step::Prevote, Step::Precommit] {
                let ask = self.question(which, step);
                let after = self.dice.within(100, 3_000);
                self.push(after, Event::Asks(which, Box::new(ask)));
            }
        }
    }

    /// What a node would sign: the block of the round, as a rule; nil, when it has not seen it; one of its own.
    fn question(&mut self, which: usize, step: Step) -> Ask {
        let (height, round) = (self.chain.head + 1, self.chain.round);
        let nonsense = !self.calm && self.dice.one_in(5_000);
        let often = self.setting.own;
        let own = step == Step::Propose || !self.calm && self.dice.one_in(often);
        let nil = !own && self.dice.one_in(12);
        let mut what = [0; 32];
        if !nil {
            what[..8].copy_from_slice(&height.to_be_bytes());
            what[8..12].copy_from_slice(&round.to_be_bytes());
            what[12] = if own { 1 + u8::try_from(which % 200).expect("few") } else { 0xff };
        }
        let when = i128::from(self.now) + i128::from(self.dice.below(1_000));
        let height = Height(if nonsense { NONSENSE } else { height });
        Ask { at: Hrs { height, round, step }, content: Content { what, when } }
    }
}
