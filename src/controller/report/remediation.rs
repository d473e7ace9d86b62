//! What a remediation shows of itself.

use std::{collections::BTreeMap, sync::PoisonError};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;

use crate::{
    api::{NodeRemediation, NodeRemediationStatus, Phase, RemediationRef, Transition},
    controller::{context::Context, entry::step_of},
    effect::event::Told,
    notify::{Notice, Severity, State},
    plan::Step,
    remedy::Entry,
    serve::{ActionResult, Stage},
    signal::{Now, Server},
};

/// Changes of phase that are kept; a life has fewer.
const MOST_TRANSITIONS: usize = 32;
const MOST_TEXT: usize = 1024;

/// The status after a journal entry.
#[must_use]
pub fn journal_status(object: &NodeRemediation, entry: &Entry, now: Server) -> NodeRemediationStatus {
    let mut status = object.status.clone().unwrap_or_default();
    let at = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::UNIX_EPOCH);
    if status.timeline.len() < MOST_TRANSITIONS {
        let reason = entry.reason.clone();
        status.timeline.push(Transition { phase: entry.phase, at: Time(at), reason });
    }
    NodeRemediationStatus {
        phase: entry.phase,
        reason: entry.reason.clone(),
        message: entry.message.chars().take(MOST_TEXT).collect(),
        deadline: entry.deadline.or(status.deadline),
        acted_at: entry.acted_at.or(status.acted_at),
        replacement: if entry.replacement.is_empty() { status.replacement } else { entry.replacement.clone() },
        timeline: status.timeline,
    }
}

/// Tells of a change of phase that is written down already.
pub async fn transition(ctx: &Context, object: &NodeRemediation, before: Phase, entry: &Entry, now: Now) {
    let action = action(object);
    tracing::info!(
        remediation = object.metadata.name,
        namespace = object.metadata.namespace,
        pod = object.spec.target.pod,
        action,
        phase = ?entry.phase,
        reason = entry.reason,
        message = entry.message,
        "remediation"
    );
    let breach = Server(object.spec.breach_at);
    // Milliseconds of a healing fit a float to the last digit.
    #[expect(clippy::cast_precision_loss)]
    let seconds = |at: Server| at.since(breach) as f64 / 1000.0;
    match (entry.phase, action) {
        (Phase::Verifying, _) => {
            ctx.metrics.healed(Stage::Detected, seconds(Server(object.spec.detected_at)));
            ctx.metrics.healed(Stage::Acted, seconds(Server(entry.acted_at.unwrap_or(now.server.0))));
        }
        (Phase::Succeeded, "restart" | "job") => ctx.metrics.healed(Stage::Healthy, seconds(now.server)),
        _ => {}
    }
    if entry.phase.is_final() {
        let result = result(entry.phase);
        ctx.metrics.remediations.get_or_create(&ActionResult { action, result }).inc();
    }
    let told = Told {
        warning: matches!(entry.phase, Phase::Failed | Phase::Withdrawn),
        reason: format!("{:?}", entry.phase),
        action: format!("{action}-{}", object.spec.attempt),
        note: format!("{}: {} ({})", object.spec.target.pod, entry.message, entry.reason),
    };
    ctx.events.tell(&object.object_ref(&()), told).await;
    if entry.phase.is_final() || entry.phase == Phase::Verifying {
        tell_sinks(ctx, object, entry, now);
    }
    if before == Phase::AwaitingApproval {
        ctx.known.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid(object));
        tell_question(ctx, object, State::Resolved { at: super::timestamp(now.wall) }, now);
    }
}

/// Asks people about a step that waits for them: once by each process that looks after it, under one key for each slot, so
/// that no question is lost with the process that wrote it down.
pub fn ask(ctx: &Context, object: &NodeRemediation, now: Now) {
    if ctx.known.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(uid(object)) {
        tell_question(ctx, object, State::Firing { expires_after: Notice::DAY }, now);
    }
}

fn tell_question(ctx: &Context, object: &NodeRemediation, state: State, now: Now) {
    let (spec, meta) = (&object.spec, &object.metadata);
    let sinks = sinks(ctx, object, now);
    let (name, namespace) =
        (meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default());
    let notice = Notice {
        dedupe_key: format!("{}/{}/approval", spec.policy.uid, spec.target.slot),
        severity: Severity::Page,
        state,
        title: format!("{} {} waits for approval", action(object), spec.target.pod),
        text: format!(
            "rules: {}; look: mainstay approve {name} -n {namespace} --show; say yes: without --show",
            spec.rules.join(", ")
        ),
        labels: labels(object),
        starts_at: super::timestamp(now.wall),
    };
    if !sinks.is_empty() {
        drop(ctx.notifier.send(&sinks, notice));
    }
}

/// Who is to be told: the sinks of the policy as it is now.
fn sinks(ctx: &Context, object: &NodeRemediation, now: Now) -> Vec<String> {
    let policy = super::super::remediation::policy_of(object)
        .and_then(|key| ctx.world().snapshot(&key, now.mono, now.server));
    policy.map(|snapshot| snapshot.policy.sinks.clone()).unwrap_or_default()
}

fn uid(object: &NodeRemediation) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

/// Sinks hear of each act and of each end. An end that leaves a person to look is a page.
fn tell_sinks(ctx: &Context, object: &NodeRemediation, entry: &Entry, now: Now) {
    let spec = &object.spec;
    let sinks = sinks(ctx, object, now);
    if sinks.is_empty() || spec.action.page.is_some() {
        return;
    }
    let loud = entry.reason == "Unverified";
    let uid = uid(object);
    let notice = Notice {
        dedupe_key: format!("{uid}/{:?}", entry.phase),
        severity: if loud { Severity::Page } else { Severity::Notify },
        state: State::Firing { expires_after: Notice::DAY },
        title: format!("{} {}: {}", action(object), spec.target.pod, entry.reason),
        text: entry.message.clone(),
        labels: labels(object),
        starts_at: super::timestamp(now.wall),
    };
    // Nobody waits: the notifier retries on its own, off the path of any action.
    drop(ctx.notifier.send(&sinks, notice));
}

/// Tells of a step that was written down and will be taken.
pub fn proposed(_ctx: &Context, object: &NodeRemediation, step: Step) {
    tracing::info!(
        remediation = object.metadata.name,
        namespace = object.metadata.namespace,
        pod = object.spec.target.pod,
        step = step.name(),
        rules = ?object.spec.rules,
        "written down"
    );
}

/// What a notice about a remediation is about.
#[must_use]
pub fn labels(object: &NodeRemediation) -> BTreeMap<String, String> {
    let spec = &object.spec;
    BTreeMap::from([
        ("namespace".into(), object.metadata.namespace.clone().unwrap_or_default()),
        ("network".into(), spec.network.clone()),
        ("policy".into(), spec.policy.name.clone()),
        ("pod".into(), spec.target.pod.clone()),
        ("slot".into(), spec.target.slot.clone()),
    ])
}

/// A remediation by name and uid.
#[must_use]
pub fn reference(object: &NodeRemediation) -> RemediationRef {
    RemediationRef {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
    }
}

fn action(object: &NodeRemediation) -> &'static str {
    step_of(&object.spec.action).name()
}

fn result(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::AwaitingApproval => "awaiting_approval",
        Phase::Acting => "acting",
        Phase::Verifying => "verifying",
        Phase::Succeeded => "succeeded",
        Phase::Failed => "failed",
        Phase::Superseded => "superseded",
        Phase::Withdrawn => "withdrawn",
        Phase::DryRun => "dry_run",
    }
}
