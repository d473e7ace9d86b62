//! What a network shows, and the one alert about a chain that stands still.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    api::{Network, NetworkStatus, ReferenceHeadStatus, ReferenceStatus, UpgradeStatus},
    controller::context::Context,
    network::Split,
    notify::{Notice, Severity, State},
    signal::{Now, Upgrade, Wall},
    world::NetworkSnapshot,
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
        diverged(snapshot.split.as_ref()),
        upgrading(snapshot.upgrade.as_ref()),
    ];
    let conditions: Vec<_> = told
        .into_iter()
        .map(|told| {
            condition(&known.conditions, frozen(told, &known.conditions), object.metadata.generation, now.wall)
        })
        .collect();
    let flipped = conditions != known.conditions;
    if flipped {
        for alert in alerts(snapshot, now) {
            tell(ctx, object, snapshot, &alert, now);
        }
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
        upgrade: snapshot.upgrade.as_ref().map(|(upgrade, _)| UpgradeStatus {
            name: upgrade.name.clone(),
            height: i64::try_from(upgrade.height).unwrap_or(i64::MAX),
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

/// What was told when it began stands: heights rise, and a status is no ticker.
fn frozen(told: Told, known: &[Condition]) -> Told {
    let before = known.iter().find(|known| known.type_ == told.kind && known.status == "True");
    match before.filter(|before| told.holds == Some(true) && before.reason == told.reason) {
        Some(before) => Told { message: before.message.clone(), ..told },
        None => told,
    }
}

/// Who disagrees about which block.
fn diverged(split: Option<&Split>) -> Told {
    let side = |(hash, voters): &(crate::signal::Hash, Vec<String>)| {
        let shown = voters.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        let more = voters.len().saturating_sub(4);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{} by {shown}{more}", hash.short())
    };
    Told {
        kind: "Diverged",
        holds: Some(split.is_some()),
        reason: match split {
            None => "OneChain",
            Some(split) if split.decided => "MinorityLeft",
            Some(_) => "Undecided",
        },
        message: split.map_or_else(String::new, |split| {
            let sides: Vec<_> = split.sides.iter().take(3).map(side).collect();
            let held = if split.decided { "" } else { ": nobody is restarted until a person decides" };
            format!("at height {} the block is {}{held}", split.height, sides.join("; "))
        }),
    }
}

/// Which upgrade holds everything still.
fn upgrading(upgrade: Option<&(Upgrade, bool)>) -> Told {
    let near = upgrade.filter(|(_, near)| *near).map(|(upgrade, _)| upgrade);
    Told {
        kind: "Upgrading",
        holds: Some(near.is_some()),
        reason: if near.is_some() { "HeightNear" } else { "None" },
        message: near.map_or_else(String::new, |upgrade| {
            format!(
                "{} at height {}: nodes halt there until they run it, and nobody is restarted",
                upgrade.name, upgrade.height
            )
        }),
    }
}

/// Something about the chain as a whole that a person must know.
struct Alert {
    /// The condition that says so.
    kind: &'static str,
    fires: bool,
    began: Wall,
    title: &'static str,
    text: String,
}

fn alerts(snapshot: &NetworkSnapshot, now: Now) -> [Alert; 3] {
    let (split, upgrade) = (snapshot.split.as_ref(), snapshot.upgrade.as_ref());
    [
        Alert {
            kind: "Stalled",
            fires: snapshot.stalled_since.is_some(),
            began: snapshot.stalled_since.map_or(now.wall, |since| now.wall_of(since)),
            title: "stands still",
            text: "Its head has not risen for longer than stalledAfter. Mainstay restarts nobody for it.".into(),
        },
        Alert {
            kind: "Diverged",
            fires: split.is_some(),
            began: now.wall,
            title: "has nodes that disagree about the chain",
            text: diverged(split).message,
        },
        Alert {
            kind: "Upgrading",
            fires: upgrade.is_some_and(|(_, near)| *near),
            began: now.wall,
            title: "is about to be upgraded",
            text: upgrading(upgrade).message,
        },
    ]
}

/// One alert, one key: it fires when it begins and resolves when it is over.
fn tell(ctx: &Context, object: &Network, snapshot: &NetworkSnapshot, alert: &Alert, now: Now) {
    let condition = |known: &NetworkStatus| {
        known.conditions.iter().any(|condition| condition.type_ == alert.kind && condition.status == "True")
    };
    let was = object.status.as_ref().is_some_and(condition);
    if was == alert.fires {
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
    let name = &snapshot.plan.name;
    let notice = Notice {
        dedupe_key: format!("{}/{}", snapshot.plan.uid, alert.kind),
        severity: Severity::Page,
        state: if alert.fires {
            State::Firing { expires_after: Notice::DAY }
        } else {
            State::Resolved { at: timestamp(now.wall) }
        },
        title: format!("network {name} {}", alert.title),
        text: alert.text.clone(),
        labels: BTreeMap::from([("network".into(), name.clone())]),
        starts_at: timestamp(alert.began),
    };
    tracing::warn!(network = name, what = alert.kind, fires = alert.fires, "the chain as a whole");
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
