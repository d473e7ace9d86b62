//! End to end: the installed chart on the local cluster with real chains. Each scenario has a namespace, a chain and
//! an installation of its own, so that they run side by side. `make e2e` brings the cluster up first.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]

#[expect(dead_code, reason = "the launcher uses the rest of it")]
#[path = "../cluster/kind.rs"]
mod kind;
mod operator;
#[expect(dead_code, unused_imports, reason = "its own tests use the rest of it")]
#[path = "../faults/proxy.rs"]
mod proxy;
mod rig;
mod sink;
mod stage;
mod traffic;

mod crash;
mod edits;
mod failover;
mod garbage;
mod halt;
mod heal;
mod hopeless;
mod lag;
mod leaders;
mod life;
mod limits;
mod people;
mod readiness;
mod reroute;
mod vantage;
mod wedge;
mod workloads;
