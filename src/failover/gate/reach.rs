//! How far the chain can be, as far as anybody here knows. The window is raised for no height above it: a node that asks
//! for more and more would own heights that no block has for a long time, and the next epoch begins above all of them.

use super::Limits;
use crate::failover::Height;

/// Blocks that a chain makes in a second at most, for as long as nobody tells its head. `CometBFT` chains make one to three.
const RATE: u64 = 10;
/// A node may be so much further than the head that it told.
const SLACK: u64 = 20;

/// Where the chain was, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sight {
    /// The height.
    pub height: Height,
    /// When (milliseconds of a clock that never goes back).
    pub at: u64,
}

impl Sight {
    fn after(&self, now: u64) -> Height {
        self.height.plus(now.saturating_sub(self.at).saturating_mul(RATE) / 1_000)
    }
}

/// The highest height that the chain can be at: a little above its head; where no head is known, as far above `begun`, which is
/// where this process began to sign, as the window may be moved at once. From there on no faster than a chain goes.
#[must_use]
pub fn reach(head: Option<Sight>, begun: Sight, limits: &Limits, now: u64) -> Height {
    match head {
        Some(head) => head.after(now).plus(SLACK),
        None => begun.after(now).plus(limits.window).plus(limits.jump),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { window: 20, jump: 1_000, reach: Height(0) };

    fn sight(height: u64, at: u64) -> Sight {
        Sight { height: Height(height), at }
    }

    #[test]
    fn a_chain_is_where_its_head_was_and_moves_on_no_faster_than_chains_do() {
        let far = |now| reach(Some(sight(500, 7_000)), sight(100, 0), &LIMITS, now);
        assert_eq!(far(7_000), Height(520));
        assert_eq!(far(6_000), Height(520), "a clock that never goes back");
        assert_eq!(far(8_000), Height(530));
        assert!(far(u64::MAX) > Height(1 << 50), "no sum is too large");
    }

    #[test]
    fn without_a_head_it_is_no_further_than_a_jump_from_where_it_was_begun() {
        let far = |now| reach(None, sight(100, 5_000), &LIMITS, now);
        assert_eq!(far(5_000), Height(1_120));
        assert_eq!(far(65_000), Height(1_720));
    }
}
