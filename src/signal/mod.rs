//! PURE. The standard signals, samples and readings, and the observatory that keeps the latest of each.

mod catalogue;
mod observatory;
mod sample;
mod time;

pub use catalogue::{SIGNALS, Signal, Unit};
pub use observatory::Observatory;
pub use sample::{Poll, Reading, Sample, Unknown, Value};
pub use time::{Mono, Now, Server, Wall};
