//! I/O. Samples in: one folder per source family, all behind one [`Source`] trait.
//!
//! A poll never fails: it tells a value or a reason for every signal of its source, and the reason says whose fault
//! it was. Only a refused connection or silence speak against a target (`reachable` = 0); an answer that makes no
//! sense, and everything that goes wrong on our side, is `Unknown` and never leads to an action.

pub mod address;
mod client;
mod clock;
pub mod cometbft;
mod failure;
pub mod kubernetes;
mod reference;
mod runner;
mod source;
mod text;
pub mod tls;

pub use client::{Answer, BODY_CAP, BuildError, Client, Deadline, Failure};
pub use clock::{Clock, SystemClock};
pub use reference::reference_head;
pub use runner::{Probe, Runner, SIMULTANEOUS_POLLS};
pub use source::{AnySource, Source, Target};
