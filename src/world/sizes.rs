//! How many targets a policy had, so that a selector that suddenly matches far more is noticed.

use crate::{plan::GROWTH, signal::Mono};

/// Targets that come within this time (milliseconds) of their policy are those that it was written for.
const SETTLED: u64 = 60_000;
/// Counts that change faster than this (milliseconds) are one, the larger.
const APART: u64 = 5_000;

/// The number of targets over the last while: each from when on it held.
#[derive(Debug, Default)]
pub(super) struct Sizes(Vec<(Mono, u32)>);

impl Sizes {
    /// There are so many now.
    pub fn note(&mut self, count: u32, now: Mono) {
        match self.0.last_mut() {
            Some((_, last)) if *last == count => {}
            Some((at, last)) if now.since(*at) < APART => *last = count.max(*last),
            _ => self.0.push((now, count)),
        }
        // What held longer ago than anybody asks for, and not up to then.
        let old = self.0.iter().skip(1).take_while(|(at, _)| now.since(*at) > 2 * GROWTH).count();
        self.0.drain(..old);
    }

    /// How many more there are now than there were ten minutes ago, or shortly after the policy was seen first. The most
    /// of the ten minutes before that counts: pods that are made anew are not new, however long that took.
    pub fn grown(&self, since: Mono, now: Mono) -> u32 {
        let settled = since.plus(SETTLED);
        if now < settled {
            return 0;
        }
        let then = Mono(now.0.saturating_sub(GROWTH)).max(settled);
        let before = Mono(then.0.saturating_sub(GROWTH));
        let mut most = 0;
        for (index, (at, count)) in self.0.iter().enumerate() {
            let ends = self.0.get(index + 1).map_or(Mono(u64::MAX), |(next, _)| *next);
            if *at <= then && ends > before {
                most = most.max(*count);
            }
        }
        self.0.last().map_or(0, |(_, count)| count.saturating_sub(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn sizes(noted: &[(u64, u32)]) -> Sizes {
        let mut sizes = Sizes::default();
        for (minute, count) in noted {
            sizes.note(*count, Mono(minute * MINUTE));
        }
        sizes
    }

    fn grown(noted: &[(u64, u32)], minute: u64) -> u32 {
        sizes(noted).grown(Mono(0), Mono(minute * MINUTE))
    }

    #[test]
    fn what_a_policy_finds_at_its_beginning_is_not_new() {
        assert_eq!(grown(&[(0, 40)], 0), 0);
        assert_eq!(grown(&[(0, 40)], 2), 0);
    }

    #[test]
    fn what_comes_later_is_new_for_ten_minutes() {
        let widened = [(0, 2), (30, 22)];
        assert_eq!((grown(&widened, 30), grown(&widened, 39), grown(&widened, 40)), (20, 20, 0));
    }

    #[test]
    fn pods_that_are_made_anew_are_not_new() {
        let rollout = [(0, 5), (30, 4), (31, 5), (32, 4), (33, 5)];
        assert!((30..60).all(|minute| grown(&rollout, minute) == 0));
        let recreated = [(0, 5), (30, 0), (34, 5)];
        assert!((34..60).all(|minute| grown(&recreated, minute) == 0), "not even one that was away for minutes");
    }

    #[test]
    fn a_fleet_that_was_made_small_long_ago_grows_again() {
        assert_eq!(grown(&[(0, 20), (10, 2), (60, 20)], 61), 18);
    }

    #[test]
    fn a_count_that_flaps_is_remembered_in_little() {
        let mut sizes = Sizes::default();
        for second in 0..36_000 {
            sizes.note(3 + second % 2, Mono(u64::from(second) * 1000));
        }
        assert!(sizes.0.len() <= 256, "{}", sizes.0.len());
    }
}
