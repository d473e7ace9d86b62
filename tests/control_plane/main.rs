//! Evidence about the API that people write: definitions, refusals, and a real API server where there is one.
//!
//! `cargo test --test control_plane -- --include-ignored` with `KUBEBUILDER_ASSETS` set to a directory with `etcd`
//! and `kube-apiserver`, and `HELM` to Helm, runs all of it.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]
#![allow(missing_docs, clippy::unwrap_used)]

mod apiserver;
mod crds;
mod duplicates;
mod failover;
mod gate;
mod group;
mod groups;
mod handovers;
mod launchers;
mod offline;
mod online;
mod operator;
mod proofs;
mod readiness;
mod refusals;
#[expect(dead_code, reason = "the chart's own tests use the rest of it")]
#[path = "../chart/render.rs"]
mod render;
mod signers;
mod signing;
mod stage;
mod strangers;
mod strays;
mod unreadable;
mod validator;
mod versions;
