//! What only failovers throw.

pub use crate::dice::Dice;

impl Dice {
    /// From the one to the other, both included.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// A time of any order of magnitude: a moment as often as minutes.
    pub fn time(&mut self, most: u64) -> u64 {
        let magnitudes = u64::from(most.ilog2());
        let reach = most >> self.below(magnitudes);
        1 + self.below(reach)
    }
}
