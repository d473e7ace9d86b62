//! Who acts: leader election on one `coordination.k8s.io/v1` Lease.
//!
//! [`step`](step()) decides and never reads a clock; [`campaign`] carries its wishes to the API server.
//! Leadership sheds load, no more: a process that is frozen between asking and acting acts late, and only the
//! compare-and-swap on the object acted upon stops it. Hence [`Leadership::leads`] is asked right before each act,
//! and no safety rests on the answer.
//!
//! The role needs `get`, `create` and `update` on leases of its own namespace. A chart that ships the Lease with an
//! empty `spec` spares the first start the probation of a newly made one (see [`Candidate`]).

mod shell;
mod step;

pub use shell::{Clock, LeadError, Leadership, campaign, client};
pub use step::{Answer, Candidate, Effect, Event, Input, Lease, Term, Timing, step};

pub use crate::signal::Mono;

#[cfg(test)]
mod tests;
