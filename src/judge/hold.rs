//! How long a rule has been breached, and what follows: `for`, n of m, and the way back.

use crate::policy::{Rule, Trigger};
use crate::signal::Mono;

/// What a reading means to a rule at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stance {
    /// It breaches.
    Breach,
    /// It does not breach, and is not good enough to end a breach that fires.
    Between,
    /// It is good.
    Clear,
    /// Nothing is known.
    Unknown,
}

/// How far a breach has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// None.
    Calm,
    /// It has begun and does not fire yet. `frozen`: milliseconds during which nothing was known, which do not count.
    Breaching { since: Mono, frozen: u64 },
    /// It fires.
    Firing { since: Mono },
}

/// What a rule remembers of the past.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hold {
    phase: Phase,
    stance: Stance,
    /// Since when the stance is what it is.
    turned_at: Mono,
    window: Window,
}

/// The last known samples, one bit each, newest lowest; set: it breached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Window {
    bits: u64,
    /// When the newest sample was observed.
    newest: Option<Mono>,
}

/// What a step changed that people want to read about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Began,
    Fired,
}

// === impl Hold ===

impl Hold {
    pub fn new(now: Mono) -> Self {
        Self { phase: Phase::Calm, stance: Stance::Unknown, turned_at: now, window: Window::default() }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn stance(&self) -> Stance {
        self.stance
    }

    /// How many of the last samples breached.
    pub fn breaches(&self) -> u32 {
        self.window.bits.count_ones()
    }

    /// Counts a known sample, once.
    pub fn count(&mut self, observed_at: Mono, breaches: bool, of: u32) {
        if self.window.newest != Some(observed_at) {
            let kept = u64::MAX.checked_shr(64_u32.saturating_sub(of)).unwrap_or(0);
            self.window.bits = (self.window.bits << 1 | u64::from(breaches)) & kept;
            self.window.newest = Some(observed_at);
        }
    }

    /// Goes on to an instant. `began`: when a breach that begins now began. `stale_after` (milliseconds): for so long
    /// what is not known any more is remembered.
    pub fn step(
        &mut self,
        rule: &Rule,
        reading: Stance,
        began: Mono,
        stale_after: u64,
        now: Mono,
    ) -> Option<News> {
        let mut news = None;
        // Each round either ends a breach or takes it a stage further, so this ends.
        loop {
            self.turn(self.counted(rule, reading), now);
            let before = self.phase;
            self.phase = match (self.phase, self.stance) {
                (_, Stance::Unknown) if now >= self.turned_at.plus(stale_after) => {
                    self.window.bits = 0;
                    Phase::Calm
                }
                (Phase::Calm, Stance::Breach) => Phase::Breaching { since: began, frozen: 0 },
                (Phase::Breaching { since, .. }, Stance::Breach) if self.due(rule, now) => Phase::Firing { since },
                (Phase::Breaching { .. }, Stance::Clear | Stance::Between) => Phase::Calm,
                (Phase::Firing { .. }, Stance::Clear) if now >= self.turned_at.plus(rule.clear_for) => Phase::Calm,
                (same, _) => same,
            };
            if self.phase == before {
                return news;
            }
            news = match self.phase {
                Phase::Calm => None,
                Phase::Breaching { .. } => Some(News::Began),
                Phase::Firing { .. } => Some(News::Fired),
            };
        }
    }

    /// The next instant at which a step changes something while the reading stays the same.
    pub fn next(&self, rule: &Rule, stale_after: u64) -> Option<Mono> {
        match (self.phase, self.stance) {
            (Phase::Breaching { since, frozen }, Stance::Breach) => match rule.trigger {
                Trigger::For(hold) => Some(since.plus(hold).plus(frozen)),
                Trigger::Samples { .. } => None,
            },
            (Phase::Calm, Stance::Unknown) if self.window.bits == 0 => None,
            (_, Stance::Unknown) => Some(self.turned_at.plus(stale_after)),
            (Phase::Firing { .. }, Stance::Clear) => Some(self.turned_at.plus(rule.clear_for)),
            _ => None,
        }
    }

    /// A rule that fires because n of m samples breached does so while they are n, whatever the newest one is.
    fn counted(&self, rule: &Rule, reading: Stance) -> Stance {
        match (rule.trigger, self.phase, reading) {
            (
                Trigger::Samples { samples, .. },
                Phase::Firing { .. },
                Stance::Breach | Stance::Between | Stance::Clear,
            ) => {
                if self.breaches() >= samples {
                    Stance::Breach
                } else if rule.clear_at.is_none() {
                    Stance::Clear
                } else {
                    reading
                }
            }
            _ => reading,
        }
    }

    fn turn(&mut self, stance: Stance, now: Mono) {
        if stance == self.stance {
            return;
        }
        if let (Stance::Unknown, Phase::Breaching { frozen, .. }) = (self.stance, &mut self.phase) {
            *frozen += now.since(self.turned_at);
        }
        self.stance = stance;
        self.turned_at = now;
    }

    fn due(&self, rule: &Rule, now: Mono) -> bool {
        match rule.trigger {
            Trigger::For(_) => self.next(rule, 0).is_some_and(|at| now >= at),
            Trigger::Samples { samples, .. } => self.breaches() >= samples,
        }
    }
}
