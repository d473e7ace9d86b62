//! The clocks. No other room reads one: they take the time as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::signal::{Mono, Wall};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds of this process's monotonic clock.
    fn mono(&self) -> Mono;

    /// Milliseconds since the Unix epoch by this machine's clock, which may jump.
    fn wall(&self) -> Wall;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

/// What the clock shows when it is started (milliseconds).
const START: u64 = 86_400_000;

impl SystemClock {
    /// A monotonic clock that starts now, at 24 hours: what happened in the day before has a time on it too. Instants of
    /// two such clocks cannot be compared: make one per process.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn mono(&self) -> Mono {
        Mono(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(START))
    }

    fn wall(&self) -> Wall {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Wall(millis)
    }
}
