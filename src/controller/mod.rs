//! Wiring. What this process sees is kept true by `sight`; `policy`, `remediation` and `network` each fit one screen
//! and perform what the pure rooms decide; `run` starts and ends it all.

mod asks;
pub mod clients;
pub mod context;
pub mod entry;
mod network;
pub mod observe;
mod policy;
mod queries;
mod queue;
mod readiness;
mod remediation;
pub mod report;
mod rotation;
mod run;
mod running;
mod schema;
mod sight;
mod vantage;
pub mod watch;

pub use run::{Options, RunError, run};
