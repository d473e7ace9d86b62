//! Counts what happens.

use crate::{
    plan::Guard,
    serve::{self, Metrics},
};

/// A reconcile came to nothing.
pub fn reconcile_error(metrics: &Metrics, controller: &'static str, kind: &'static str) {
    metrics.reconcile_errors.get_or_create(&serve::Controller { controller, kind }).inc();
}

/// A guard held.
pub fn refusal(metrics: &Metrics, guard: Guard) {
    metrics.refusals.get_or_create(&serve::Guard { guard: guard.name() }).inc();
}

/// A call that changes something was answered.
pub fn effect(metrics: &Metrics, effect: &'static str, outcome: &'static str) {
    metrics.effects.get_or_create(&serve::Effect { effect, outcome }).inc();
}
