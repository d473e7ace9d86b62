//! What a policy shows.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    api::{
        NodeHealthPolicy,
        policy::{Counts, HeldGuard, NodeHealthPolicyStatus, TargetStatus},
    },
    controller::{context::Context, policy::Decided},
    judge::VerdictKind,
    notify::{Notice, Severity, State},
    plan::{Decision, Guard, Held, Step},
    signal::Now,
    world::PolicySnapshot,
};

use super::{
    conditions::{Told, condition, time},
    show, timestamp,
};

/// Targets that are listed; the counts say how many more there are.
const MOST_TARGETS: usize = 32;
const MOST_TEXT: usize = 512;
/// Guards that are listed of one target, and how much of what each says: 32 targets are to fit into one object.
const MOST_GUARDS: usize = 32;
const MOST_GUARD_TEXT: usize = 160;
const BLIND: &str = "most targets cannot be judged, or all of them are unhealthy at once: suspect the telemetry, the \
                     network or a release. Nobody is restarted until it is known which";

/// The counts and the targets that are not healthy.
#[must_use]
pub fn policy_status(snapshot: &PolicySnapshot, decided: &[Decided<'_>], now: Now) -> NodeHealthPolicyStatus {
    let mut counts = Counts::default();
    for Decided { target, acting, .. } in decided {
        counts.targets += 1;
        counts.acting += i32::from(*acting);
        match target.facts.verdict.kind {
            VerdictKind::Healthy => counts.healthy += 1,
            VerdictKind::Suspect => counts.suspect += 1,
            VerdictKind::Unhealthy => counts.unhealthy += 1,
            VerdictKind::Unknown => counts.unknown += 1,
        }
    }
    let unwell = decided.iter().filter(|decided| {
        decided.target.facts.verdict.kind != VerdictKind::Healthy
            || !decided.target.facts.verdict.findings.is_empty()
    });
    NodeHealthPolicyStatus {
        observed_generation: Some(snapshot.policy.generation),
        counts,
        targets: unwell.take(MOST_TARGETS).map(|decided| target_status(decided, now)).collect(),
        conditions: Vec::new(),
    }
}

fn target_status(decided: &Decided<'_>, now: Now) -> TargetStatus {
    let facts = &decided.target.facts;
    let verdict = &facts.verdict;
    let evidence = verdict.findings.iter().map(|finding| finding.evidence.as_str()).collect::<Vec<_>>().join("; ");
    let evidence = if evidence.is_empty() { verdict.unknown.clone() } else { evidence };
    let mut status = TargetStatus {
        pod: facts.pod.clone(),
        verdict: verdict.kind.name().to_owned(),
        since: Some(time(now.wall_of(verdict.since))),
        evidence: evidence.chars().take(MOST_TEXT).collect(),
        next: String::new(),
        guard: String::new(),
        guard_message: String::new(),
        until: None,
        holding: Vec::new(),
    };
    match &decided.decision {
        Decision::Nothing => {
            if decided.acting {
                let next = if decided.asked { "an answer: it waits for approval" } else { "under way" };
                next.clone_into(&mut status.next);
            }
        }
        Decision::Proposed(proposal) => proposal.step.name().clone_into(&mut status.next),
        Decision::Refused(refusal) => {
            refusal.step.map_or("", Step::name).clone_into(&mut status.next);
            refusal.guard.name().clone_into(&mut status.guard);
            status.guard_message = refusal.held.why.chars().take(MOST_TEXT).collect();
            status.until = refusal.held.until.map(|until| time(now.wall_of(until)));
            let holding = refusal.results.iter().filter_map(|said| Some((said.guard, said.held.as_ref()?)));
            status.holding = holding.take(MOST_GUARDS).map(|(guard, held)| holds(guard, held, now)).collect();
        }
    }
    status
}

fn holds(guard: Guard, held: &Held, now: Now) -> HeldGuard {
    HeldGuard {
        guard: guard.name().to_owned(),
        message: held.why.chars().take(MOST_GUARD_TEXT).collect(),
        until: held.until.map(|until| time(now.wall_of(until))),
    }
}

/// Writes the status of a policy, if it says anything new.
pub async fn policy(
    ctx: &Context,
    object: &NodeHealthPolicy,
    snapshot: &PolicySnapshot,
    mut next: NodeHealthPolicyStatus,
    now: Now,
) {
    let known = object.status.clone().unwrap_or_default();
    for target in &mut next.targets {
        freeze(target, &known.targets);
    }
    let policy = &snapshot.policy;
    let counts = next.counts;
    let held = |guard: Guard| next.targets.iter().find(|target| target.guard == guard.name());
    let lost = held(Guard::TelemetryLost).map(|target| target.guard_message.clone());
    let conflict = held(Guard::Conflict).map(|target| target.guard_message.clone());
    let storm = held(Guard::Storm).map(|target| target.guard_message.clone());
    let pause = &policy.limits.pause;
    let blind = is_blind(snapshot, now);
    let lost_sight = lost.is_some() || blind;
    let told = [
        Told {
            kind: "Ready",
            holds: Some(conflict.is_none()),
            reason: if conflict.is_none() { "Watching" } else { "Conflict" },
            message: format!("watching the pods with {}", policy.selector.notation()),
        },
        Told {
            kind: "Healthy",
            holds: match (counts.unhealthy + counts.suspect, counts.unknown) {
                (0, 0) => Some(true),
                (0, _) => None,
                _ => Some(false),
            },
            reason: if counts.healthy == counts.targets { "AllHealthy" } else { "NotAllHealthy" },
            message: format!("{} of {} targets are healthy", counts.healthy, counts.targets),
        },
        Told {
            kind: "Acting",
            holds: Some(counts.acting > 0),
            reason: if counts.acting > 0 { "Remediating" } else { "Idle" },
            message: format!("{} remediations under way", counts.acting),
        },
        Told {
            kind: "TelemetryLost",
            holds: Some(lost_sight),
            reason: if lost_sight { "Suspected" } else { "Seeing" },
            message: lost.unwrap_or_else(|| if blind { BLIND.into() } else { String::new() }),
        },
        Told {
            kind: "Paused",
            holds: Some(!pause.is_empty()),
            reason: if pause.is_empty() { "NotPaused" } else { "Asked" },
            message: pause.join("; "),
        },
        Told {
            kind: "Conflict",
            holds: Some(conflict.is_some()),
            reason: if conflict.is_some() { "Contested" } else { "None" },
            message: conflict.unwrap_or_default(),
        },
        Told {
            kind: "StormActive",
            holds: Some(storm.is_some()),
            reason: if storm.is_some() { "Storm" } else { "Calm" },
            message: storm.unwrap_or_default(),
        },
        Told { kind: "Invalid", holds: Some(false), reason: "Valid", message: String::new() },
    ];
    let conditions = told.map(|told| condition(&known.conditions, told, object.metadata.generation, now.wall));
    tell_lost_sight(ctx, snapshot, &known.conditions, lost_sight, now);
    next.conditions = conditions.into();
    show::<NodeHealthPolicy, _>(ctx, "policy", &object.metadata, object.status.as_ref(), &next).await;
}

/// Whether most targets cannot be judged, and have not been for longer than evidence lives. A policy that has just been
/// taken up has seen nothing yet.
fn is_blind(snapshot: &PolicySnapshot, now: Now) -> bool {
    let unknown = snapshot.targets.iter().map(|target| &target.facts.verdict).filter(|verdict| {
        verdict.kind == VerdictKind::Unknown
            && now.mono.since(verdict.since) > snapshot.policy.limits.evidence_max_age
    });
    unknown.count() * 2 > snapshot.targets.len()
}

/// Mainstay does nothing about what it cannot see, so it calls somebody: once, and once more when it sees again.
fn tell_lost_sight(ctx: &Context, snapshot: &PolicySnapshot, known: &[Condition], lost: bool, now: Now) {
    let was = known.iter().any(|known| known.type_ == "TelemetryLost" && known.status == "True");
    let policy = &snapshot.policy;
    if was == lost || policy.sinks.is_empty() {
        return;
    }
    let id = &policy.id;
    let at = timestamp(now.wall);
    let notice = Notice {
        dedupe_key: format!("{}/TelemetryLost", id.uid),
        severity: Severity::Page,
        state: if lost { State::Firing { expires_after: Notice::DAY } } else { State::Resolved { at } },
        title: format!("policy {}/{} cannot see its targets", id.namespace, id.name),
        text: BLIND.into(),
        labels: BTreeMap::from([
            ("namespace".into(), id.namespace.clone()),
            ("network".into(), policy.network.clone()),
            ("policy".into(), id.name.clone()),
        ]),
        starts_at: at,
    };
    drop(ctx.notifier.send(&policy.sinks, notice));
}

/// Numbers freeze at the transition: as long as the same guard holds the same target, its first words stand.
fn freeze(target: &mut TargetStatus, known: &[TargetStatus]) {
    let before = known.iter().find(|before| before.pod == target.pod && before.verdict == target.verdict);
    let Some(before) = before else { return };
    target.since.clone_from(&before.since);
    let names = |of: &TargetStatus| of.holding.iter().map(|held| held.guard.clone()).collect::<Vec<_>>();
    if names(before) == names(target) {
        target.holding.clone_from(&before.holding);
    }
    if before.guard == target.guard {
        target.guard_message.clone_from(&before.guard_message);
        target.until.clone_from(&before.until);
    }
}

/// Says that a stored policy cannot be run, and why; every other policy goes on.
pub async fn invalid(ctx: &Context, object: &NodeHealthPolicy, now: Now) {
    let family = ctx
        .world()
        .networks()
        .into_iter()
        .find(|network| network.name == object.spec.network)
        .map(|network| network.family);
    let Some(why) = crate::controller::policy::problem(object, family) else { return };
    let known = object.status.clone().unwrap_or_default();
    let told = [
        Told { kind: "Ready", holds: Some(false), reason: "Invalid", message: why.clone() },
        Told { kind: "Invalid", holds: Some(true), reason: "Refused", message: why },
    ];
    let conditions = told.map(|told| condition(&known.conditions, told, object.metadata.generation, now.wall));
    let next = NodeHealthPolicyStatus {
        observed_generation: object.metadata.generation,
        conditions: conditions.into(),
        ..NodeHealthPolicyStatus::default()
    };
    show::<NodeHealthPolicy, _>(ctx, "policy", &object.metadata, object.status.as_ref(), &next).await;
}
