//! I/O. Actions out: one verb per file, each with a deadline and one attempt, and an outcome that is classified and
//! never guessed. Everything here goes through the client that does not retry.

pub mod approvals;
pub mod event;
mod failover;
#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "scripts are written down as values")]
pub(crate) mod fake;
mod job;
pub mod journal;
pub mod ledger;
pub mod machine;
pub mod namespace;
mod outcome;
mod read;
mod readiness;
pub mod remains;
mod replicas;
mod restart;
mod rotate;
mod scope;
mod services;
pub mod signing;
pub mod signing_label;
pub mod status;

pub use failover::{Given, GroupRef, OrderState, order_failover, read_order};
pub use job::{JobOrder, JobState, Purpose, read_cron_job, read_job, run_job};
pub use outcome::{Failed, Outcome, Verb};
pub use read::{
    Also, ReadError, STOP_ANNOTATION, StopRef, read_live, read_metadata, read_pod, read_rotation, read_stop,
};
pub use readiness::open_gate;
pub use replicas::other_replicas;
pub use restart::{RestartOrder, restart};
pub use rotate::{RotationOrder, bring_all_back, rotate};
pub use scope::{listed, scopes};
