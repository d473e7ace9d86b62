//! PURE. A policy against telemetry that was recorded or made up: what would have been done, when, and why not.
//!
//! Nothing is decided here. The world, the judge, the planner, the ledger and the life of remediations are those of the
//! operator; this room only stands where the cluster and the chain stand otherwise.

mod life;
mod recorded;
mod run;
mod scenario;
mod story;

use std::sync::Arc;

pub use recorded::Recording;
pub use run::run;
pub use scenario::{Fault, Scenario};
pub use story::{Event, Story, Track, What};

use crate::{
    plan::Step,
    signal::{Poll, Server},
    world::{Owner, PodView},
};

/// The label by which a simulated policy selects its pods.
const LABEL: (&str, &str) = ("mainstay.dev/simulated", "true");
/// How long a simulated pod takes to end (milliseconds).
const GRACE: u64 = 10_000;
/// A simulated pod has been there for so long at the beginning (milliseconds).
const AGE: i64 = 86_400_000;

/// What stands in for the cluster and the chain. Times are milliseconds from the beginning.
pub trait Stage {
    /// For how long there is something to see.
    fn until(&self) -> u64;
    /// The wall clock at the beginning (milliseconds since the epoch).
    fn begins_at(&self) -> i64;
    /// Time goes on to `now`.
    fn tick(&mut self, now: u64);
    /// The pods as they are.
    fn pods(&self) -> Vec<Pod>;
    /// What a poll of this pod tells; `None` if nobody would answer for it.
    fn poll(&self, pod: &Pod) -> Option<Poll>;
    /// What each reference tells.
    fn references(&self) -> Vec<(String, Poll)>;
    /// A step is taken on a pod. Whether it was accepted.
    fn act(&mut self, pod: &str, step: Step) -> bool;
}

/// A pod of the simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name, which is its slot too.
    pub name: String,
    /// How often it was made anew.
    pub made: u32,
    /// When it was (milliseconds since the epoch).
    pub started: i64,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it serves.
    pub serves: bool,
    /// When that changed last (milliseconds since the epoch), if it did.
    pub turned_at: Option<i64>,
}

impl Pod {
    fn new(name: &str, begins_at: i64) -> Self {
        let started = begins_at.saturating_sub(AGE);
        Self { name: name.into(), made: 0, started, terminating: false, serves: true, turned_at: None }
    }

    /// Its uid.
    #[must_use]
    pub fn uid(&self) -> String {
        format!("{}-{}", self.name, self.made)
    }

    fn view(&self, namespace: &str, policy: &str) -> Arc<PodView> {
        let labels = [LABEL, (crate::api::IN_ROTATION, if self.serves { "true" } else { "false" })];
        Arc::new(PodView {
            namespace: namespace.into(),
            name: self.name.clone(),
            uid: self.uid(),
            resource_version: self.made.to_string(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            rotated_by: self.turned_at.map(|_| policy.to_owned()).unwrap_or_default(),
            rotated_at: self.turned_at.map(Server),
            ip: Some("10.0.0.1".into()),
            // Each on a node of its own.
            node: Some(self.name.clone()),
            owner: Some(Owner { kind: "StatefulSet".into(), name: "simulated".into(), uid: "simulated".into() }),
            terminating: self.terminating,
            grace: GRACE / 1000,
            started: Some(Server(self.started)),
            ready: true,
            phase: "Running".into(),
            ..PodView::default()
        })
    }
}
