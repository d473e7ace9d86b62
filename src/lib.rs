//! Mainstay: a self-healing controller for blockchain infrastructure.
//!
//! People declare what a healthy node is ([`api::NodeHealthPolicy`]); Mainstay watches real telemetry, decides, and
//! restarts pods or calls a person, and never makes things worse. `ARCHITECTURE.md` is the map of the house; these
//! are its invariants, each held by a test in `tests/architecture.rs`:
//!
//! 1. The brain is pure: the rooms `policy`, `signal`, `judge`, `network`, `plan`, `remedy`, `failover`, `world` and
//!    `sim` do no I/O, read no clock and iterate no `HashMap`. Time is an argument.
//! 2. One brain, many bodies: whoever runs a decision calls the same functions.
//! 3. Unknown is not unhealthy, and never leads to an action.
//! 4. Nothing without a journal: a `NodeRemediation` exists before the first side effect.
//! 5. Safety never rests on leadership: mutual exclusion is a compare-and-swap on the `NetworkLedger`.
//! 6. The cache proposes, a live read disposes: every act follows a GET and carries preconditions.
//! 7. Every refusal has a name.
//! 8. One signer per height. (Failing over is not built yet; nothing here moves a key.)
//! 9. One bad object hurts only itself.
//! 10. Built-in Kubernetes types stay at the door: `controller/observe.rs` and `effect/`.

// kube's derive repeats its own attribute for each print column.
#[allow(clippy::duplicated_attributes)]
pub mod api;
// The rooms with I/O may read the clocks; `clippy.toml` says why the others may not.
#[allow(clippy::disallowed_methods)]
pub mod cli;
pub mod config;
#[allow(clippy::disallowed_methods)]
pub mod controller;
#[allow(clippy::disallowed_methods)]
pub mod effect;
pub mod failover;
#[allow(clippy::disallowed_methods)]
pub mod gate;
pub mod judge;
#[allow(clippy::disallowed_methods)]
pub mod lead;
pub mod network;
#[allow(clippy::disallowed_methods)]
pub mod notify;
pub mod plan;
pub mod policy;
pub mod remedy;
#[allow(clippy::disallowed_methods)]
pub mod serve;
pub mod signal;
pub mod sim;
#[allow(clippy::disallowed_methods)]
pub mod telemetry;
pub mod world;
