//! Real nodes of every kind that can be had on one machine, watched by the very world that the operator keeps.
//!
//! Each test starts its own processes on loopback and ends them. They need programs: `make chains` builds and installs
//! those of geth, anvil, EthereumJS, `CometBFT` and Prometheus; `make chains-full` also wasmd and Hermes, which take a
//! quarter of an hour.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, missing_docs)]
// Manifests are written where they are used.
#![allow(clippy::needless_pass_by_value)]

mod cosmos;
mod ethereum;
mod liars;
mod process;
mod prometheus;
mod proxy;
mod rig;
