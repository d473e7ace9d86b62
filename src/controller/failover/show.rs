//! What a group shows.

use crate::{
    api::{FailoverGroup, FailoverGroupStatus, MemberStatus},
    effect::signing::Identity,
    failover::{HandOver, Phase, Record, Unreadable},
};

use super::{
    super::report::{Told, condition, show},
    Context, Rest, Trouble,
    choose::{self, Candidate},
    keys::{self, Whereabouts},
    label,
    memory::Watched,
    page, window,
};

/// Writes the status of a group, if it says anything new.
pub async fn group(
    ctx: &Context,
    group: &FailoverGroup,
    identity: Option<&Identity>,
    memory: &Watched,
    ended: &Result<Rest, Trouble>,
) {
    // Somebody else wrote first: the next look tells.
    if let Err(Trouble::Api(failed)) = ended
        && matches!(failed.outcome, crate::effect::Outcome::Moved(_))
    {
        return;
    }
    let record = identity.and_then(Identity::readable);
    let known = group.status.clone().unwrap_or_default();
    let now = ctx.now();
    let namespace = group.metadata.namespace.clone().unwrap_or_default();
    let wide =
        window::told(identity.and_then(|identity| Some(identity.spec.as_ref().ok()?.window)), memory.misses);
    let latch = Told {
        kind: "Unlatched",
        holds: Some(memory.unlatched),
        reason: if memory.unlatched { "FinalizerGone" } else { "Latched" },
        message: if memory.unlatched { page::UNLATCHED.to_owned() } else { String::new() },
    };
    // Gates need no latch.
    let latch = group.spec.handover.needs_latch().then_some(latch);
    let label = label::told(ctx, &namespace, group);
    let told = told(group, record, ended, &memory.key).into_iter();
    let told = told.chain([memory.key.told(), wide]).chain(latch).chain(label);
    let conditions =
        told.map(|told| condition(&known.conditions, told, group.metadata.generation, now.wall)).collect();
    let members = match choose::candidates(ctx, &namespace, group, &memory.key).await {
        Ok(candidates) => group.spec.members.iter().map(|member| shown(&member.name, &candidates)).collect(),
        Err(_) => known.members.clone(),
    };
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let next = FailoverGroupStatus {
        observed_generation: group.metadata.generation,
        conditions,
        // Also while nobody holds it: a later operator finds here who is to go on by itself.
        holder: memory.former.clone().or_else(|| known.holder.clone()),
        identity: if record.is_some() { Some(group.spec.identity.clone()) } else { known.identity.clone() },
        phase: record.map(|record| phase(record).to_owned()),
        epoch: record.map(|record| number(record.tenure.epoch.0)),
        members,
    };
    show::<FailoverGroup, _>(ctx, "failover", &group.metadata, group.status.as_ref(), &next).await;
}

fn told(
    group: &FailoverGroup,
    record: Option<&Record>,
    ended: &Result<Rest, Trouble>,
    key: &Whereabouts,
) -> [Told; 4] {
    let (ready, reason, message) = match (ended, key.astray()) {
        (Ok(rest), Some(why)) if rest.reason == "Held" => (Some(false), keys::KIND, why.to_owned()),
        (Ok(rest), _) if rest.reason == "HeadUnknown" => (None, rest.reason, rest.message.clone()),
        (Ok(rest), _) => (Some(rest.reason == "Held"), rest.reason, rest.message.clone()),
        (Err(Trouble::Invalid(why) | Trouble::Unreadable(why)), _) => (Some(false), "Invalid", why.clone()),
        (Err(Trouble::Broken(why)), _) => (Some(false), broken(why), why.to_string()),
        (Err(trouble @ Trouble::Api(_)), _) => (None, "Unreadable", trouble.to_string()),
    };
    let (signs, how) = match (record, ended) {
        (Some(record), Ok(rest)) => signing(record, rest.reason),
        (None, Ok(_)) => (Some(false), "NotBegun"),
        (_, Err(_)) => (None, "Unreadable"),
    };
    let blocked = record.and_then(|record| match record.phase {
        Phase::Revoking { blocked, .. } => blocked,
        Phase::Active(_) | Phase::Fenced(_) => None,
    });
    let (invalid, wrong) = match ended {
        Err(Trouble::Invalid(why)) => ("Mismatch", Some(why.clone())),
        Err(Trouble::Unreadable(why)) => ("Unreadable", Some(why.clone())),
        Err(Trouble::Broken(why)) => (broken(why), Some(why.to_string())),
        Ok(_) | Err(Trouble::Api(_)) => ("Valid", None),
    };
    [
        Told { kind: "Ready", holds: ready, reason, message },
        Told { kind: "Signing", holds: signs, reason: how, message: String::new() },
        Told {
            kind: "Blocked",
            holds: Some(blocked.is_some()),
            reason: blocked.map_or("Nothing", page::reason),
            message: record.and_then(|record| page::missing(group, record)).unwrap_or_default(),
        },
        Told {
            kind: "Invalid",
            holds: Some(wrong.is_some()),
            reason: invalid,
            message: wrong.unwrap_or_default(),
        },
    ]
}

const fn broken(why: &Unreadable) -> &'static str {
    if why.later { "LaterRecord" } else { "BrokenRecord" }
}

/// Whether somebody signs, as far as the record shows: a gate raises its ceiling only when its node asks for signatures.
fn signing(record: &Record, reason: &'static str) -> (Option<bool>, &'static str) {
    match &record.phase {
        _ if record.shut.is_some() => (Some(false), reason),
        Phase::Active(_) if matches!(reason, "HolderGone" | "HeadUnknown") => (None, reason),
        Phase::Active(_) if reason != "Held" => (Some(false), reason),
        // A launcher sees no signatures.
        Phase::Active(_) if record.hand_over != HandOver::Gate => (None, reason),
        Phase::Active(_) if record.ceiling == record.floor => (Some(false), "NotAsked"),
        Phase::Active(_) => (Some(true), "Held"),
        Phase::Revoking { .. } if record.is_tight() => (Some(false), "Changing"),
        Phase::Revoking { .. } => (None, "Frozen"),
        Phase::Fenced(_) => (Some(false), "Changing"),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{
        super::held::{Around, held, unbegun},
        *,
    };
    use crate::{
        effect::{Failed, Outcome},
        failover::{Activation, Boot, Epoch, Event, Height, Held, Holder, Missing, Pod, Timing, step},
    };

    /// `Ready`, `Signing`, `Blocked` and `Invalid`, each with its reason.
    fn shows(record: Option<&Record>, ended: &Result<Rest, Trouble>) -> String {
        shows_with(record, ended, &Whereabouts::Here)
    }

    fn shows_with(record: Option<&Record>, ended: &Result<Rest, Trouble>, key: &Whereabouts) -> String {
        let one = |told: Told| format!("{}={:?} {}", told.kind, told.holds, told.reason);
        let spec = json!({"network": "hub", "identity": "hub-1.k", "members": [], "handover": {"gate": {}}});
        let group = FailoverGroup::new("val", serde_json::from_value(spec).unwrap());
        told(&group, record, ended, key).map(one).join("; ").replace("Some(", "").replace(')', "")
    }

    fn active() -> (Record, Holder) {
        let pod = Arc::new(Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() });
        let fenced = Record::adopted(Epoch(3), Activation(1), Height(100));
        let offer = Event::Offered { pod: Arc::clone(&pod), activation: Activation(2), hand_over: HandOver::Gate };
        (step(&fenced, offer).0, Holder { pod, boot: Some(Boot(1)) })
    }

    #[test]
    fn a_group_says_whether_it_signs() {
        let (mut record, holder) = active();
        let at = |head: Option<u64>, record: &Record| {
            let around = Around { head: head.map(Height), window: 20, waits: "" };
            let rest = held(record, record.holder().unwrap(), around);
            shows(Some(record), &Ok(rest))
        };
        let look = |record: &Record| at(Some(100), record);
        let valid = "Blocked=false Nothing; Invalid=false Valid";
        assert_eq!(look(&record), format!("Ready=false NotClaimed; Signing=false NotClaimed; {valid}"));
        (record.phase, record.claims) = (Phase::Active(holder.clone()), 1);
        assert_eq!(look(&record), format!("Ready=true Held; Signing=false NotAsked; {valid}"));
        record.ceiling = Height(120);
        assert_eq!(look(&record), format!("Ready=true Held; Signing=true Held; {valid}"));
        assert_eq!(at(None, &record), format!("Ready=None HeadUnknown; Signing=None HeadUnknown; {valid}"));
        assert_eq!(at(Some(120), &record), look(&record));
        assert_eq!(at(Some(121), &record), format!("Ready=false Passed; Signing=false Passed; {valid}"));
        assert_eq!(at(Some(60), &record), look(&record), "as high as a failover and an adoption come");
        assert_eq!(at(Some(59), &record), format!("Ready=false Ahead; Signing=false Ahead; {valid}"));
        let astray = Whereabouts::Astray { reason: "Elsewhere", why: "b has it".into(), unfit: Vec::new() };
        let around = Around { head: Some(Height(100)), window: 20, waits: "" };
        let told = shows_with(Some(&record), &Ok(held(&record, &holder, around)), &astray);
        assert_eq!(told, format!("Ready=false DuplicateKey; Signing=true Held; {valid}"));
        let lowered = Record { lowered: true, ..record.clone() };
        assert_eq!(look(&lowered), format!("Ready=false Stopped; Signing=false Stopped; {valid}"));
        let sealed = Record { sealed: Some(Height(110)), ..record.clone() };
        assert_eq!(look(&sealed), format!("Ready=false Sealed; Signing=false Sealed; {valid}"));
        let gone = Ok(Rest::new(0, "HolderGone", ""));
        assert_eq!(
            shows(Some(&record), &gone),
            format!("Ready=false HolderGone; Signing=None HolderGone; {valid}")
        );
        let blocked = Some(Missing::ChainNeedsUs);
        let revoking = Record { phase: Phase::Revoking { holder, blocked }, ..record };
        assert_eq!(
            shows(Some(&revoking), &Ok(Rest::new(0, "ChainNeedsUs", ""))),
            "Ready=false ChainNeedsUs; Signing=None Frozen; Blocked=true ChainNeedsUs; Invalid=false Valid"
        );
    }

    /// A gate's head tells whether it lives; of a launcher its pod does.
    #[test]
    fn a_launcher_that_does_not_stay_up_holds_nothing() {
        let (mut record, holder) = active();
        record.phase = Phase::Active(holder.clone());
        let around = Around { head: Some(Height(100)), window: 20, waits: "CrashLoopBackOff" };
        assert_eq!(held(&record, &holder, around).reason, "Held");
        record.hand_over = HandOver::Launcher(Held::Key, Timing { hold: 1, drift: 0, margin: 0 });
        let rest = held(&record, &holder, around);
        assert!(rest.reason == "NotUp" && rest.message.contains("CrashLoopBackOff"), "{}", rest.message);
        assert_eq!(held(&record, &holder, Around { waits: "", ..around }).reason, "Held");
    }

    #[test]
    fn a_record_that_was_there_and_is_gone_is_not_one_that_nobody_has_begun() {
        let spec = json!({"network": "hub", "identity": "hub-1.k", "members": [], "handover": {"gate": {}}});
        let mut group = FailoverGroup::new("val", serde_json::from_value(spec).unwrap());
        assert_eq!(unbegun(&group).reason, "NotBegun");
        let mut known = |identity: &str| {
            let (holder, identity) = (Some("b".into()), Some(identity.into()));
            group.status = Some(FailoverGroupStatus { holder, identity, ..FailoverGroupStatus::default() });
            unbegun(&group)
        };
        let rest = known("hub-1.k");
        assert!(rest.reason == "RecordGone" && rest.message.contains("b held the place"), "{}", rest.message);
        assert_eq!(known("hub-1.j").reason, "NotBegun", "that was another key");
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_called_well() {
        let wrong = Err(Trouble::Invalid("it is another's".into()));
        assert_eq!(
            shows(None, &wrong),
            "Ready=false Invalid; Signing=None Unreadable; Blocked=false Nothing; Invalid=true Mismatch"
        );
        let broken = |later| {
            let why = Unreadable { field: "holder".into(), why: "is missing".into(), later };
            shows(None, &Err(Trouble::Broken(why)))
        };
        assert!(broken(false).ends_with("Invalid=true BrokenRecord"));
        assert!(broken(true).ends_with("Invalid=true LaterRecord"));
        let silent = Err(Trouble::Api(Failed { doing: "read", outcome: Outcome::Unknown(String::new()) }));
        assert!(shows(Some(&active().0), &silent).starts_with("Ready=None Unreadable; Signing=None"));
        let rest = Ok(Rest::new(0, "NotBegun", "adopt it"));
        assert!(shows(None, &rest).starts_with("Ready=false NotBegun; Signing=false NotBegun"));
    }
}
