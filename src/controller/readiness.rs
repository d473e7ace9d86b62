//! Lets new pods in: a pod that takes part by a readiness gate is ready for nobody until the gate is opened, so that is done
//! as soon as the pod is seen.
//!
//! It is no step of a ladder and asks no guard: it takes nothing from anybody, and whoever would be held back by a pause,
//! by the emergency stop or by an old schema would be a pod that serves nobody for no reason of its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
};

use crate::{
    effect::{self, Outcome, event::Told},
    world::PodView,
};

use super::{context::Context, observe::object_ref, report, watch::Key};

/// What metrics call it.
const OPEN: &str = "open";
/// When a pod is looked at again that the kubelet changed meanwhile, that nobody could be asked about, and that we may not
/// open (milliseconds).
const MOVED: u64 = 100;
const UNKNOWN: u64 = 1_000;
const REFUSED: u64 = 60_000;

/// Looks at those of these pods that wait at their gate.
pub(super) fn wake(ctx: &Context, keys: impl IntoIterator<Item = Key>) {
    let now = ctx.clock.mono();
    for key in keys {
        if ctx.stores.pods.get(&key.namespace, &key.name).is_some_and(|pod| waits(ctx, &pod)) {
            ctx.queues.gates.push(key, now);
        }
    }
}

/// Looks at all that wait.
pub(super) fn wake_all(ctx: &Context) {
    let now = ctx.clock.mono();
    for pod in ctx.stores.pods.list().iter().filter(|pod| waits(ctx, pod)) {
        ctx.queues.gates.push(Key { namespace: pod.namespace.clone(), name: pod.name.clone() }, now);
    }
}

fn waits(ctx: &Context, pod: &PodView) -> bool {
    pod.waits_at_its_gate() && !ctx.is_protected(pod)
}

/// Opens the gate of one pod. Returns when it wants to be looked at again (milliseconds).
pub async fn reconcile(ctx: Arc<Context>, key: Key) -> Option<u64> {
    let again = open(&ctx, &key).await;
    if again != Some(REFUSED) {
        left_unready(&ctx).remove(&key);
    }
    again
}

async fn open(ctx: &Context, key: &Key) -> Option<u64> {
    let pod = ctx.stores.pods.get(&key.namespace, &key.name)?;
    if !ctx.leads() || !waits(ctx, &pod) {
        return None;
    }
    let (actuator, now) = (&ctx.clients.actuator, ctx.now().server);
    let opened = effect::open_gate(actuator, &key.namespace, &key.name, now, &|pod| ctx.is_protected(pod)).await;
    let outcome = match opened {
        Ok(outcome) => outcome?,
        Err(error) => {
            tracing::warn!(pod = key.name, namespace = key.namespace, %error, "could not look at a readiness gate");
            report::reconcile_error(&ctx.metrics, "gate", "read");
            return Some(UNKNOWN);
        }
    };
    report::effect(&ctx.metrics, OPEN, outcome.label());
    tracing::info!(
        pod = key.name,
        namespace = key.namespace,
        outcome = outcome.label(),
        "open its readiness gate"
    );
    let again = again(&outcome);
    // Once, however often it is tried: an Event that is told again would be changed, which takes a right that we have not.
    if again == Some(REFUSED) && left_unready(ctx).insert(key.clone()) {
        let note = format!(
            "{} stays unready: its readiness gate could not be opened ({outcome}). The chart gives the right to with \
             rotation.readinessGate",
            pod.name
        );
        let told = Told { warning: true, reason: "GateNotOpened".into(), action: OPEN.into(), note };
        ctx.events.tell(&object_ref(&pod), told).await;
    }
    again
}

fn left_unready(ctx: &Context) -> MutexGuard<'_, BTreeSet<Key>> {
    // A set of names is whole whatever panicked elsewhere.
    ctx.known.left_unready.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When to look again after this outcome (milliseconds).
fn again(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Done | Outcome::Gone => None,
        Outcome::Moved(_) => Some(MOVED),
        Outcome::Throttled { retry_after_ms } => Some(*retry_after_ms),
        Outcome::Unknown(_) => Some(UNKNOWN),
        Outcome::Refused(_) | Outcome::Blocked(_) | Outcome::Misconfigured(_) => Some(REFUSED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_waits_no_longer_than_it_must() {
        for (outcome, expected) in [
            (Outcome::Done, None),
            (Outcome::Gone, None),
            (Outcome::Moved(String::new()), Some(MOVED)),
            (Outcome::Throttled { retry_after_ms: 7 }, Some(7)),
            (Outcome::Unknown(String::new()), Some(UNKNOWN)),
            (Outcome::Refused(String::new()), Some(REFUSED)),
        ] {
            assert_eq!(again(&outcome), expected, "{outcome}");
        }
    }
}
