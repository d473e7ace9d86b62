//! `mainstay gate -- COMMAND`: a launcher, for signers that have no socket between them and their key. When its command may
//! run is decided in `failover::gate::launch`, which is pure and checked; here are the processes, the key and the API server.
//!
//! There are three of them. The [`post`] follows the record and draws the boot id. The [`keeper`] is a process of its own
//! between it and the command: it knows nothing but until when the command may run, does nothing but end it, and so keeps
//! that word also while the post is stopped, hangs or is dead. A stage (`mainstay keep --below`) becomes the command after
//! it has asked the kernel to kill it when its keeper dies.
//!
//! [`strays`] is what the kernel is asked for, [`place`] the key.

pub mod keeper;
pub mod place;
pub mod post;
pub mod strays;

pub use crate::failover::{PAUSE, STOP};

use rustix::time::{ClockId, clock_gettime};

use super::registry::{Registry, Trouble};
use crate::failover::Record;

/// What this machine's clock shows that nobody sets and that goes on while it sleeps (milliseconds). One for all processes.
#[must_use]
pub fn boot_time() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let whole = u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000);
    whole.saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000)
}

/// Looks once, and writes what is wanted of the record; whether something was. What `decide` makes of the record, which was asked for
/// at that instant (by [`boot_time`]), is to hold before it is written.
pub async fn look<R: Registry>(
    registry: &R,
    decide: impl FnOnce(&Record, u64) -> Option<Record>,
) -> Result<bool, Trouble> {
    // Before the question: whoever counts from the answer counts the time that it was under way as well.
    let sent = boot_time();
    let seen = registry.read().await?;
    let Some(wish) = seen.record.as_ref().and_then(|record| decide(record, sent)) else { return Ok(false) };
    match registry.write(&seen, &wish).await {
        Ok(_) | Err(Trouble::Conflict) => Ok(true),
        Err(trouble) => Err(trouble),
    }
}
