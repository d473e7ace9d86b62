//! PURE. What may be done? The ladder says which step is next, the guards say whether it may be taken now, and the
//! ledger is the record that limits rest on.

mod approval;
mod budget;
mod decision;
mod facts;
mod failover;
mod guard;
mod guards;
mod incident;
mod job;
mod ladder;
pub mod ledger;
pub mod ownership;
mod questions;
pub mod record;
mod room;
mod rotation;
mod seats;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod vantage;

pub use approval::{APPROVAL_AT_MOST, Approval, Asked, Given, approval};
pub use budget::Spending;
pub use decision::{Decision, Proposal, Refusal, propose};
pub use facts::{
    ChainFacts, CronJobFacts, Facts, FleetFacts, GROWTH, Hours, JoinedFacts, Live, NodeFacts, OwnFacts, Place,
    PodFacts, PodPresent, Rotation, ServiceFacts, Services, Stop, TargetFacts, WorkloadFacts,
};
pub use failover::GroupFacts;
pub use guard::{Guard, GuardResult, Held, all, guards_of};
pub use ladder::{Step, current_record, is_to_rejoin, next_steps};
pub use rotation::{ENDPOINTS, Switch};
pub use vantage::{Said, Vantage};
