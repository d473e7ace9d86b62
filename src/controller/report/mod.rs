//! Tells people: status, Events, metrics and notices. Nothing here is ever read back for a decision.

mod conditions;
mod network;
mod policy;
mod remediation;

pub use conditions::{Told, condition};
pub use network::{invalid_network, network};
pub use policy::{invalid, policy, policy_status};
pub use remediation::{journal_status, labels, proposed, reference, transition};
