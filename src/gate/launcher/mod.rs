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

/// What this machine's clock shows that nobody sets and that goes on while it sleeps (milliseconds). One for all processes.
#[must_use]
pub fn boot_time() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let whole = u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000);
    whole.saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000)
}
