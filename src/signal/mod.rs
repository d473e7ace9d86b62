//! PURE. The standard signals, samples and readings, and the observatory that keeps the latest of each.

mod catalogue;
pub mod metrics;
mod observatory;
mod sample;
mod testimony;
mod time;
mod told;

pub use catalogue::{CustomName, SIGNALS, Signal, Unit};
pub use observatory::{Latest, Observatory};
pub use sample::{Poll, Reading, Sample, Unknown, Value};
pub use testimony::Testimony;
pub use time::{Mono, Now, Server, Wall};
pub use told::{AppState, Block, Hash, Identity, Told, Upgrade};
