//! Which pods serve: whether the endpoints agree with a pod's place, and the way back for pods that nobody would bring back.

use std::sync::Arc;

use crate::{
    api::TargetIdentity,
    effect::{self, RotationOrder, event::Told},
    plan::{Place, PodFacts, Step, Stop},
    remedy::Observation,
    world::PodView,
};

use super::{context::Context, observe::object_ref, report};

/// Whether every Service agrees with the step: none sends new connections to a pod that left, all to one that came back.
pub(super) async fn observe(ctx: &Context, namespace: &str, target: &TargetIdentity, step: Step) -> Observation {
    let read = effect::read_rotation(&ctx.clients.actuator, namespace, &target.pod, ctx.now().server).await;
    match read {
        Err(error) => Observation::Unknown(error.to_string()),
        Ok(Some((uid, rotation))) if uid == target.uid => match rotation.disagrees(step) {
            Some(service) => {
                let still = if service.serves { "still" } else { "does not yet" };
                let verb = if service.serves { "names" } else { "name" };
                Observation::NotYet(format!("Service {} {still} {verb} {} as ready", service.name, target.pod))
            }
            None => Observation::Healthy { pod: target.pod.clone(), lasted: u64::MAX },
        },
        Ok(_) => Observation::Unknown("the pod is gone, and its place with it".into()),
    }
}

/// Brings pods back that are out of rotation on behalf of a policy that would not bring them back: it is gone, or does not
/// select them any more, or does not re-route any more. So no turn of ours outlives its reason.
pub(super) async fn sweep(ctx: &Context) {
    // Who does not know all policies does not know that one is gone.
    let own = ctx.own_facts();
    if ctx.stores.waiting().is_some() || !own.schema_current || own.cache_age > FRESH {
        return;
    }
    for pod in ctx.stores.pods.list() {
        if let Some(why) = orphaned(ctx, &pod) {
            bring_back(ctx, &pod, &why).await;
        }
    }
}

/// Older news of the pods (milliseconds) are no reason to touch one.
const FRESH: u64 = 30_000;

fn orphaned(ctx: &Context, pod: &Arc<PodView>) -> Option<String> {
    let rotation = pod.rotation(ctx.now().server);
    if rotation.place != Place::Out || rotation.by.is_empty() || pod.terminating || pod.ignored {
        return None;
    }
    // One that cannot be read may be the one; the pod stays as it is until somebody mends it.
    if ctx.stores.policies.invalid().iter().any(|invalid| invalid.key.namespace == pod.namespace) {
        return None;
    }
    let stored = ctx.stores.policies.list();
    let known = stored.iter().find(|policy| policy.metadata.uid.as_ref() == Some(&rotation.by));
    let Some(known) = known.filter(|policy| policy.metadata.deletion_timestamp.is_none()) else {
        return Some("the policy that took it out of rotation is gone".into());
    };
    let name = known.metadata.name.clone().unwrap_or_default();
    // Stored, and not run: it is invalid, and the last state stays.
    let policy = ctx.world().policy(&rotation.by)?;
    if policy.ladder.reroute.is_none() || !policy.mode.acts() {
        return Some(format!("policy {name} does not re-route any more"));
    }
    (!policy.selector.matches(&pod.labels)).then(|| format!("policy {name} does not select it any more"))
}

async fn bring_back(ctx: &Context, pod: &PodView, why: &str) {
    let actuator = &ctx.clients.actuator;
    let now = ctx.now().server;
    let protected = |pod: &PodView| ctx.is_protected(pod);
    let live = effect::read_live(
        actuator,
        &pod.namespace,
        &pod.name,
        &ctx.stop,
        now,
        effect::Also::default(),
        &protected,
    )
    .await;
    let Ok(live) = live else { return };
    let (Stop::Go, PodFacts::Present(found)) = (live.stop, live.pod) else { return };
    if found.uid != pod.uid || found.rotation.place != Place::Out || found.rotation.by != pod.rotated_by {
        return;
    }
    let order = RotationOrder {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        resource_version: found.resource_version,
        switch: found.rotation.switch,
        serves: true,
        policy: pod.rotated_by.clone(),
        now,
    };
    let outcome = effect::rotate(actuator, &order).await;
    report::effect(&ctx.metrics, Step::Rejoin.name(), outcome.label());
    tracing::info!(pod = pod.name, namespace = pod.namespace, why, outcome = outcome.label(), "back in rotation");
    if outcome == effect::Outcome::Done {
        let told = Told {
            warning: false,
            reason: "InRotation".into(),
            action: Step::Rejoin.name().into(),
            note: format!("{} serves again: {why}", pod.name),
        };
        ctx.events.tell(&object_ref(pod), told).await;
    }
}
