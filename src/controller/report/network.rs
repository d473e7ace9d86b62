//! What a network shows, and the one alert about a chain that stands still.

use std::collections::BTreeMap;

use crate::{
    api::{Network, NetworkStatus, ReferenceHeadStatus, ReferenceStatus},
    controller::{context::Context, world::NetworkSnapshot},
    notify::{Notice, Severity, State},
    signal::Now,
};

use super::{
    conditions::{Told, condition, time},
    show, timestamp,
};

/// The head in the status is refreshed at most so often (milliseconds), and whenever a condition changes.
const REFRESH: i64 = 60_000;

/// Writes the status of a network, if a condition changed or a minute has passed, and tells of a stall.
pub async fn network(ctx: &Context, object: &Network, snapshot: &NetworkSnapshot, now: Now) {
    let known = object.status.clone().unwrap_or_default();
    let stalled = snapshot.stalled_since.is_some();
    let told = [
        Told {
            kind: "Ready",
            holds: Some(snapshot.head.is_some()),
            reason: if snapshot.head.is_some() { "Quorum" } else { "NoQuorum" },
            message: String::new(),
        },
        Told {
            kind: "Stalled",
            holds: snapshot.head.is_some().then_some(stalled).or(stalled.then_some(true)),
            reason: if stalled { "HeadRests" } else { "HeadRises" },
            message: if stalled {
                "no new block for longer than stalledAfter: nobody is restarted for it".into()
            } else {
                String::new()
            },
        },
    ];
    let conditions: Vec<_> = told
        .into_iter()
        .map(|told| condition(&known.conditions, told, object.metadata.generation, now.wall))
        .collect();
    let flipped = conditions != known.conditions;
    if flipped {
        tell_stall(ctx, object, snapshot, stalled, now);
    }
    let fresh = known
        .reference_head
        .as_ref()
        .and_then(|head| head.risen_at.as_ref())
        .is_some_and(|at| now.wall.0 - at.0.as_millisecond() < REFRESH);
    if !flipped && (fresh || snapshot.head.is_none()) {
        return;
    }
    let next = NetworkStatus {
        observed_generation: object.metadata.generation,
        reference_head: snapshot.head.as_ref().map(|head| ReferenceHeadStatus {
            height: i64::try_from(head.height).unwrap_or(i64::MAX),
            risen_at: Some(time(now.wall_of(head.risen_at))),
            agree: i32::try_from(head.agree).unwrap_or(i32::MAX),
            of: i32::try_from(head.of).unwrap_or(i32::MAX),
        }),
        references: snapshot
            .references
            .iter()
            .map(|(name, told)| ReferenceStatus {
                name: name.clone(),
                height: told.as_ref().ok().map(|height| i64::try_from(*height).unwrap_or(i64::MAX)),
                problem: told.as_ref().err().map(ToString::to_string),
            })
            .collect(),
        conditions,
    };
    show::<Network, _>(ctx, "network", &object.metadata, object.status.as_ref(), &next).await;
}

/// One alert, one key: it fires when the chain stops and resolves when it goes on.
fn tell_stall(ctx: &Context, object: &Network, snapshot: &NetworkSnapshot, stalled: bool, now: Now) {
    let condition = |known: &NetworkStatus| {
        known.conditions.iter().any(|condition| condition.type_ == "Stalled" && condition.status == "True")
    };
    let was = object.status.as_ref().is_some_and(condition);
    if was == stalled {
        return;
    }
    let sinks: std::collections::BTreeSet<String> = {
        let world = ctx.world();
        let policies = world.policies();
        policies
            .iter()
            .filter_map(|key| world.snapshot(key, now.mono, now.server))
            .filter(|policy| policy.network.name == snapshot.plan.name)
            .flat_map(|policy| policy.policy.sinks.clone())
            .collect()
    };
    let began = snapshot.stalled_since.map_or(now.wall, |since| now.wall_of(since));
    let notice = Notice {
        dedupe_key: format!("{}/Stalled", snapshot.plan.uid),
        severity: Severity::Page,
        state: if stalled {
            State::Firing { expires_after: Notice::DAY }
        } else {
            State::Resolved { at: timestamp(now.wall) }
        },
        title: format!("network {} stands still", snapshot.plan.name),
        text: "Its head has not risen for longer than stalledAfter. Mainstay restarts nobody for it.".into(),
        labels: BTreeMap::from([("network".into(), snapshot.plan.name.clone())]),
        starts_at: timestamp(began),
    };
    tracing::warn!(network = snapshot.plan.name, stalled, "the chain stands still, or goes on");
    drop(ctx.notifier.send(&sinks.into_iter().collect::<Vec<_>>(), notice));
}

/// Says that a stored network cannot be used, and why.
pub async fn invalid_network(ctx: &Context, object: &Network, now: Now) {
    let Err(problem) = crate::policy::validate_network(object) else { return };
    let known = object.status.clone().unwrap_or_default();
    let told = Told { kind: "Ready", holds: Some(false), reason: "Invalid", message: problem.to_string() };
    let next = NetworkStatus {
        observed_generation: object.metadata.generation,
        conditions: vec![condition(&known.conditions, told, object.metadata.generation, now.wall)],
        ..NetworkStatus::default()
    };
    show::<Network, _>(ctx, "network", &object.metadata, object.status.as_ref(), &next).await;
}
