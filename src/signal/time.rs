//! Three clocks, three types: holds use the monotonic clock, the journal shows wall time, budgets and seats use
//! the API server's time.

use serde::{Deserialize, Serialize};

/// Milliseconds of this process's monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mono(pub u64);

/// Milliseconds since the Unix epoch by this machine's clock. For display only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wall(pub i64);

/// Milliseconds since the Unix epoch by the API server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Server(pub i64);

/// One instant on all three clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Now {
    /// Monotonic.
    pub mono: Mono,
    /// This machine's wall clock.
    pub wall: Wall,
    /// The API server's clock.
    pub server: Server,
}

impl Mono {
    /// Milliseconds from `earlier` to `self`; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant `millis` later.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl Server {
    /// Milliseconds from `earlier` to `self`; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0).unsigned_abs() * (self.0 > earlier.0) as u64
    }

    /// The instant `millis` later.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}

impl Now {
    /// The wall time of a monotonic instant, as far as the two clocks agree now.
    #[must_use]
    pub fn wall_of(&self, at: Mono) -> Wall {
        let back = i64::try_from(self.mono.since(at)).unwrap_or(i64::MAX);
        let ahead = i64::try_from(at.since(self.mono)).unwrap_or(i64::MAX);
        Wall(self.wall.0.saturating_sub(back).saturating_add(ahead))
    }
}
