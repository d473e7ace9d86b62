//! Time, which only a launcher needs: its signer has no window, so its hold must end by itself.

/// How long a launcher may hold, and how sure of the clocks we are. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// For so long after it *sent* the question whose answer showed it as the holder.
    pub hold: u64,
    /// How much two clocks may differ in a thousand of their units.
    pub drift: u16,
    /// For what takes time after the hold has ended: the kill, and the clocks' own steps.
    pub margin: u64,
}

/// The longest pause of a launcher between two questions (milliseconds).
pub const PAUSE: u64 = 1_000;
/// For how long it waits for an answer (milliseconds).
pub const ANSWER: u64 = 5_000;
/// What its command has for an orderly stop, before the hold ends (milliseconds).
pub const STOP: u64 = 8_000;
/// The shortest hold: two questions in a row may come to nothing, and there is still time to stop (milliseconds).
pub const SHORTEST: u64 = 2 * (PAUSE + ANSWER) + STOP;
/// Beyond this a holder that vanished blocks for longer than anybody means (milliseconds).
pub const LONGEST: u64 = 600_000;

impl Timing {
    /// The timing of a hold that somebody wishes for; nothing below the shortest one.
    #[must_use]
    pub const fn of(hold: u64) -> Option<Self> {
        // Clocks that are a hundredth off are broken by far; a kill takes milliseconds.
        if SHORTEST <= hold && hold <= LONGEST { Some(Self { hold, drift: 10, margin: 5_000 }) } else { None }
    }

    /// When a hold ends. Both instants are of the launcher's own monotonic clock, and `sent` is the one before the
    /// question: whoever counts from the answer counts the time that it was under way as well.
    #[must_use]
    pub const fn ends(&self, sent: u64) -> u64 {
        sent.saturating_add(self.hold)
    }

    /// For how long an operator waits after it has itself seen `Revoking`, by its own monotonic clock. It begins anew
    /// after every restart.
    #[must_use]
    pub fn wait(&self) -> u64 {
        let (hold, drift) = (u128::from(self.hold), u128::from(self.drift));
        // Clocks that may differ by everything are no clocks: that wait has no end.
        let wait = 1000_u128.checked_sub(drift).filter(|rest| *rest > 0).map(|rest| {
            let slowest = (hold * (1000 + drift)).div_ceil(rest);
            slowest + u128::from(self.margin)
        });
        wait.and_then(|wait| u64::try_from(wait).ok()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_covers_a_slow_launcher_and_a_fast_operator() {
        assert_eq!(Timing { hold: 10_000, drift: 0, margin: 0 }.wait(), 10_000);
        assert_eq!(Timing { hold: 10_000, drift: 10, margin: 500 }.wait(), 10_703);
        assert_eq!(Timing { hold: u64::MAX, drift: 10, margin: 500 }.wait(), u64::MAX);
        assert_eq!(Timing { hold: 10_000, drift: 1000, margin: 0 }.wait(), u64::MAX);
    }

    #[test]
    fn a_hold_too_short_to_be_kept_is_none() {
        // What the definition of a group says, too.
        assert_eq!((SHORTEST, LONGEST), (20_000, 600_000));
        assert_eq!(Timing::of(SHORTEST - 1), None);
        assert_eq!(Timing::of(LONGEST + 1), None);
        assert_eq!(Timing::of(30_000).expect("the default").wait(), 35_607);
    }

    #[test]
    fn a_hold_is_counted_from_the_question() {
        assert_eq!(Timing { hold: 10_000, drift: 0, margin: 0 }.ends(5), 10_005);
    }
}
