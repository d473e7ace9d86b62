//! Liveness and readiness.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

/// Knows the essential tasks and when each was last seen moving. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Liveness(Arc<Mutex<BTreeMap<&'static str, Beat>>>);

/// One essential task's sign of life. Dropping it is no farewell: a task that ended is as bad as one that hangs.
#[derive(Clone, Debug)]
pub struct Pulse {
    name: &'static str,
    liveness: Liveness,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Instant,
    bound: Duration,
}

/// Knows the gates that must be open before this process is of use. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, GateReport>>>);

/// One thing that must be so before this process is of use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    readiness: Readiness,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadinessReport {
    /// Every gate is ready, and there is at least one.
    pub ready: bool,
    /// The gates by name.
    pub gates: BTreeMap<&'static str, GateReport>,
}

/// One gate as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GateReport {
    /// Open, or waiting for what.
    #[serde(flatten)]
    pub state: GateState,
    /// Since when it is in this state (wall clock).
    pub since: Timestamp,
}

/// Whether a gate is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state")]
pub enum GateState {
    /// It is.
    Ready,
    /// It is not.
    Waiting {
        /// What it waits for, as words for people.
        #[serde(rename = "for")]
        what: String,
    },
}

// === impl Liveness ===

impl Liveness {
    /// Registers an essential task, which must beat at least once per `bound` from now on.
    #[must_use]
    pub fn pulse(&self, name: &'static str, bound: Duration) -> Pulse {
        lock(&self.0).insert(name, Beat { at: Instant::now(), bound });
        Pulse { name, liveness: self.clone() }
    }

    /// The names of the tasks that were silent for longer than their bounds.
    #[must_use]
    pub fn stuck(&self) -> Vec<&'static str> {
        let beats = lock(&self.0);
        beats.iter().filter(|(_, beat)| beat.at.elapsed() > beat.bound).map(|(name, _)| *name).collect()
    }
}

// === impl Pulse ===

impl Pulse {
    /// The task moves.
    pub fn beat(&self) {
        if let Some(beat) = lock(&self.liveness.0).get_mut(self.name) {
            beat.at = Instant::now();
        }
    }
}

// === impl Readiness ===

impl Readiness {
    /// Registers a gate; it waits until it says that it is ready.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        let gate = Gate { name, readiness: self.clone() };
        gate.waiting("the start");
        gate
    }

    /// All gates as they are now.
    #[must_use]
    pub fn report(&self) -> ReadinessReport {
        let gates = lock(&self.0).clone();
        ReadinessReport {
            ready: !gates.is_empty() && gates.values().all(|gate| gate.state == GateState::Ready),
            gates,
        }
    }
}

// === impl Gate ===

impl Gate {
    /// The gate is closed until `what` is there, such as `CustomResourceDefinition networks.mainstay.dev`.
    pub fn waiting(&self, what: impl Into<String>) {
        self.set(GateState::Waiting { what: what.into() });
    }

    /// The gate is open.
    pub fn ready(&self) {
        self.set(GateState::Ready);
    }

    fn set(&self, state: GateState) {
        let mut gates = lock(&self.readiness.0);
        // `since` tells how long the gate is in this state, not when somebody last said so.
        if gates.get(self.name).is_none_or(|gate| gate.state != state) {
            gates.insert(self.name, GateReport { state, since: Timestamp::now() });
        }
    }
}

// === impl ReadinessReport ===

/// The summary for people: one line per gate, and a last one.
impl fmt::Display for ReadinessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, GateReport { state, since }) in &self.gates {
            match state {
                GateState::Ready => writeln!(f, "[+] {name} ready since {since:.0}")?,
                GateState::Waiting { what } => writeln!(f, "[-] {name} waiting for {what} since {since:.0}")?,
            }
        }
        writeln!(f, "{}", if self.ready { "ready" } else { "not ready" })
    }
}

/// A panic elsewhere leaves these maps whole, and health must be told all the more after one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
