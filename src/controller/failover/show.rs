//! What a group shows, and the page about what is missing.

use std::collections::BTreeMap;

use crate::{
    api::{FailoverGroup, FailoverGroupStatus, MemberStatus},
    effect::signing::Identity,
    failover::{Missing, Phase, Record},
    notify::{Notice, Severity, State},
};

use super::{
    super::{
        context::Context,
        report::{Told, condition, show, timestamp},
    },
    Watched,
    choose::{self, Candidate},
};

/// Writes the status of a group, if it says anything new.
pub async fn group(
    ctx: &Context,
    group: &FailoverGroup,
    identity: Option<&Identity>,
    memory: &Watched,
    message: &str,
) {
    let record = identity.and_then(|identity| identity.record.as_ref().ok()?.as_ref());
    let known = group.status.clone().unwrap_or_default();
    let claimed =
        record.is_some_and(|record| matches!(&record.phase, Phase::Active(holder) if holder.boot.is_some()));
    let blocked = record.and_then(|record| match record.phase {
        Phase::Revoking { blocked, .. } => blocked,
        Phase::Active(_) | Phase::Fenced(_) => None,
    });
    let told = [
        Told {
            kind: "Ready",
            holds: identity.is_some().then_some(claimed),
            reason: match (identity, record) {
                (None, _) => "Unreadable",
                (_, None) => "NotAdopted",
                (_, Some(_)) if claimed => "Held",
                (_, Some(_)) => "Changing",
            },
            message: message.to_owned(),
        },
        Told {
            kind: "Blocked",
            holds: Some(blocked.is_some()),
            reason: match blocked {
                Some(Missing::Proof) => "Proof",
                Some(Missing::ChainNeedsUs) => "ChainNeedsUs",
                None => "Nothing",
            },
            message: blocked.map_or_else(String::new, |why| missing(why).to_owned()),
        },
    ];
    let now = ctx.now();
    let told = told.into_iter();
    let namespace = group.metadata.namespace.clone().unwrap_or_default();
    let conditions =
        told.map(|told| condition(&known.conditions, told, group.metadata.generation, now.wall)).collect();
    let members = match choose::candidates(ctx, &namespace, group).await {
        Ok(candidates) => group.spec.members.iter().map(|member| shown(&member.name, &candidates)).collect(),
        Err(_) => known.members.clone(),
    };
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let next = FailoverGroupStatus {
        observed_generation: group.metadata.generation,
        conditions,
        holder: record
            .and_then(Record::holder)
            .map(|holder| holder.pod.member.clone())
            .or_else(|| memory.former.clone()),
        phase: record.map(|record| phase(record).to_owned()),
        epoch: record.map(|record| number(record.tenure.epoch.0)),
        members,
    };
    show::<FailoverGroup, _>(ctx, "failover", &group.metadata, group.status.as_ref(), &next).await;
}

fn shown(name: &str, candidates: &[Candidate]) -> MemberStatus {
    let found = candidates.iter().find(|candidate| candidate.member == name);
    let rank = found.map(|candidate| candidate.rank.clone());
    MemberStatus {
        name: name.to_owned(),
        pod: found.map(|candidate| candidate.pod.uid.clone()),
        fit: matches!(rank, Some(Ok(_))),
        message: match rank {
            None => "it has no pod".into(),
            Some(Err(why)) => why,
            Some(Ok(0)) => String::new(),
            Some(Ok(_)) => "no policy knows whether it follows the chain".into(),
        },
    }
}

const fn phase(record: &Record) -> &'static str {
    match record.phase {
        Phase::Active(_) => "Active",
        Phase::Revoking { .. } => "Revoking",
        Phase::Fenced(_) => "Fenced",
    }
}

/// What is missing, and what helps.
pub const fn missing(why: Missing) -> &'static str {
    match why {
        Missing::Proof => {
            "nothing proves that the former signer has stopped: bring its node back, or make sure that it is off and \
             then `mainstay release`"
        }
        Missing::ChainNeedsUs => {
            "no block passes the former holder's ceiling without this key, or nobody knows whether one would: bring its \
             gate back to seal, or make sure that it is off and then `mainstay release`"
        }
    }
}

/// Calls a person, once for an epoch and a reason.
pub fn page(ctx: &Context, group: &FailoverGroup, record: &Record, why: Missing, paged: &mut Option<Missing>) {
    if *paged == Some(why) {
        return;
    }
    *paged = Some(why);
    let name = group.metadata.name.as_deref().unwrap_or_default();
    let namespace = group.metadata.namespace.as_deref().unwrap_or_default();
    let labels = [("network", group.spec.network.as_str()), ("namespace", namespace), ("group", name)];
    let labels: BTreeMap<_, _> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let epoch = record.tenure.epoch.0;
    let notice = Notice {
        dedupe_key: format!("failover/{}/{epoch}", group.spec.identity),
        severity: Severity::Page,
        state: State::Firing { expires_after: Notice::DAY },
        title: format!("the failover of {namespace}/{name} is blocked in epoch {epoch}"),
        text: missing(why).to_owned(),
        labels,
        starts_at: timestamp(ctx.now().wall),
    };
    drop(ctx.notifier.send(&group.spec.notify, notice));
}
