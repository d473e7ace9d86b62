//! I/O. Samples in: one file per source family, all behind one [`Source`] trait.
//!
//! A poll never fails: it tells a value or a reason for every signal of its source, and the reason says whose fault
//! it was. Only a refused connection or silence speak against a target (`reachable` = 0); an answer that makes no
//! sense, and everything that goes wrong on our side, is `Unknown` and never leads to an action.

pub mod address;
mod ask;
mod client;
mod clock;
pub mod cometbft;
mod consensus;
mod execution;
pub mod exposition;
mod extract;
mod failure;
mod heights;
mod http_json;
pub mod kubernetes;
mod number;
mod onchain;
mod prometheus;
mod reference;
mod report;
mod runner;
mod scrape;
mod simple;
mod solana;
mod source;
mod substrate;
mod support;
mod text;
pub mod tls;

pub use ask::Endpoint;
pub use client::{Answer, BODY_CAP, BuildError, Canned, Client, Deadline, Failure};
pub use clock::{Clock, SystemClock};
pub use number::value as signal_value;
pub use prometheus::{History, Prometheus, Query};
pub use reference::{reference_every, reference_head};
pub use runner::{Asks, Probe, Runner, SIMULTANEOUS_POLLS};
pub use scrape::{Gauger, PAGE_CAP};
pub use source::{AnySource, Expected, Source, Target};
