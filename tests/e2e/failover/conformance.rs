//! Whether every write of the record was one that the protocol makes: the API server's audit log, played again over the
//! very functions that the model checker has checked.

use std::{fs, sync::Arc};

use mainstay::{
    api::SigningIdentityStatus,
    failover::{
        Epoch, Event, HandOver, Height, Held, PATIENCE, Phase, Proof, Record, Share,
        gate::{self, Act, Content, Disk, Entry, Gate, Hold, Hrs, Launcher, Limits, Me, Part, Step},
        step,
    },
};
use serde_json::Value;

use crate::rig::{state, time};

/// Where the API server puts the pod that a token is bound to.
const POD: &str = "authentication.kubernetes.io/pod-uid";
/// The instants of two lines are not those of two looks at a clock (milliseconds).
const SLACK: i64 = 500;

/// One write of the record that the API server accepted.
#[derive(Clone, Debug)]
pub struct Write {
    /// When (milliseconds since the epoch).
    pub at: i64,
    /// The resourceVersion that it made.
    version: u64,
    /// Who wrote.
    pub user: String,
    /// The pod that the writer's token is bound to.
    pod: Option<String>,
    /// What stood there afterwards.
    pub record: Record,
}

/// The writes of one identity's record that the cluster's audit log has.
pub fn written(identity: &str) -> Vec<Write> {
    writes(&fs::read_to_string(state().join("audit.log")).expect("an audit log"), identity)
}

/// The user of the operator in this namespace.
pub fn operator(system: &str) -> String {
    format!("system:serviceaccount:{system}:mainstay")
}

/// The writes of one identity's record in an audit log, in the order in which they took effect.
fn writes(log: &str, identity: &str) -> Vec<Write> {
    let lines = log.lines().filter(|line| line.contains(identity) && line.contains("signingidentities"));
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut writes: Vec<_> = lines.filter_map(|line| write(&line, identity)).collect();
    writes.sort_by_key(|write| write.version);
    // A write that changes nothing makes no version.
    writes.dedup_by_key(|write| write.version);
    writes
}

fn write(line: &Value, identity: &str) -> Option<Write> {
    let of = &line["objectRef"];
    let is_status =
        of["resource"] == "signingidentities" && of["subresource"] == "status" && of["name"] == identity;
    let changed = ["update", "patch"].contains(&line["verb"].as_str()?) && line["responseStatus"]["code"] == 200;
    if !is_status || !changed {
        return None;
    }
    let object = &line["responseObject"];
    let status: SigningIdentityStatus = serde_json::from_value(object["status"].clone()).expect("a status");
    Some(Write {
        at: time(line),
        version: object["metadata"]["resourceVersion"].as_str()?.parse().ok()?,
        user: line["user"]["username"].as_str()?.to_owned(),
        pod: line["user"]["extra"][POD][0].as_str().map(Into::into),
        record: Record::try_from(&status).expect("a record"),
    })
}

/// The writes that nobody may make, in words; `operator` is the user of the operator, `window` the identity's.
pub fn strangers(writes: &[Write], operator: &str, window: u64) -> Vec<String> {
    let mut strangers = Vec::new();
    let mut revoking = None;
    for (index, write) in writes.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &writes[before].record);
        let legal = match before {
            None => write.user == operator && is_first(&write.record),
            Some(old) if write.user == operator => moved(old, &write.record),
            Some(old) => {
                write.pod.is_some() && write.pod.as_deref() == holder(old) && members(old, &write.record, window)
            }
        };
        // The chance to seal is given in full, and so is the end of a hold.
        let least = match write.record.phase {
            Phase::Fenced(Proof::WindowFrozen) => Some(PATIENCE),
            Phase::Fenced(Proof::KubeletConfirmed(_)) => Some(hold(&write.record)),
            _ => None,
        };
        let early = least.is_some_and(|least| {
            let least = i64::try_from(least).unwrap_or(i64::MAX) - SLACK;
            revoking.is_none_or(|since| write.at - since < least)
        });
        if !legal || early {
            strangers.push(format!("{} wrote {:?} over {before:?}", write.user, write.record));
        }
        match write.record.phase {
            Phase::Revoking { .. } => revoking = revoking.or(Some(write.at)),
            Phase::Active(_) => revoking = None,
            Phase::Fenced(_) => {}
        }
    }
    strangers
}

fn holder(record: &Record) -> Option<&str> {
    record.holder().map(|holder| holder.pod.uid.as_str())
}

/// For how long an operator waits beside a proof.
fn hold(record: &Record) -> u64 {
    match record.hand_over {
        HandOver::Launcher(_, timing) => timing.wait(),
        HandOver::Gate | HandOver::Label | HandOver::Job => 0,
    }
}

/// From a person's hand: `init` begins epoch 0 at the bottom, `adopt` a later one.
fn is_first(record: &Record) -> bool {
    let (tenure, floor) = (record.tenure, record.floor);
    let fits = if tenure.epoch == Epoch(0) { floor == Height(0) } else { floor > Height(0) };
    fits && *record == Record::adopted(tenure.epoch, tenure.activation, floor)
}

/// Whether an operator's step leads from one record to the other.
fn moved(old: &Record, new: &Record) -> bool {
    let epoch = old.tenure.epoch;
    let mut events = vec![
        Event::Wanted { epoch },
        Event::Shut(mainstay::failover::Shut::Punished),
        Event::Begun { epoch },
        Event::Unproven { epoch },
    ];
    for share in [Share::Small, Share::Third, Share::Unknown] {
        events.extend([0, PATIENCE].map(|waited| Event::Found { proof: None, share, waited }));
    }
    if let Some(holder) = old.holder() {
        events.push(Event::Released { epoch, uid: holder.pod.uid.clone() });
        let proofs = [None, Some(Proof::KubeletConfirmed(Arc::clone(&holder.pod)))];
        let proofs = proofs.into_iter().chain([Some(Proof::SignerRefuses), Some(Proof::JobSucceeded)]);
        events.extend(proofs.map(|proof| Event::Found { proof, share: Share::Unknown, waited: hold(old) }));
    }
    let activation = new.tenure.activation;
    if let Some(holder) = new.holder() {
        events.push(Event::Offered { pod: Arc::clone(&holder.pod), activation, hand_over: new.hand_over });
    }
    if let Some(above) = new.tenure.epoch.0.checked_sub(1).map(Epoch) {
        events.push(Event::Adopted { above, floor: new.floor, activation });
    }
    events.into_iter().any(|event| step(old, event).0 == *new)
}

/// Whether some process of the holder's makes this of that record, where one of ours writes it at all.
fn members(old: &Record, new: &Record, window: u64) -> bool {
    match old.hand_over {
        HandOver::Gate => gates(old, new, window),
        HandOver::Launcher(kept, _) => launches(old, new, kept),
        HandOver::Label | HandOver::Job => false,
    }
}

/// Whether some process of the holder's launcher makes this of that record: it claims, or has seen its command end.
fn launches(old: &Record, new: &Record, kept: Held) -> bool {
    let (Some(was), Some(boot)) = (old.holder(), new.holder().and_then(|will| will.boot)) else { return false };
    let fresh = Launcher::new(Me { pod: Arc::clone(&was.pod), boot }, kept);
    let candidates = [fresh.clone(), fresh.retired()];
    candidates.into_iter().any(|launcher| launcher.seen(old, 0).1.as_ref() == Some(new))
}

/// Whether some process of the holder's gate makes this of that record.
fn gates(old: &Record, new: &Record, window: u64) -> bool {
    let (Some(was), Some(will)) = (old.holder(), new.holder()) else { return false };
    let Some(boot) = will.boot else { return false };
    let me = Me { pod: Arc::clone(&was.pod), boot };
    let fresh = Gate::new(me.clone(), Disk::default());
    // It holds from the floor at least, and has signed exactly what it says it has.
    let hold = Hold { tenure: old.tenure, start: old.floor, ceiling: old.ceiling };
    let holding = Gate { part: Part::Holding(hold), ..fresh.clone() };
    let with = holding.clone();
    let signed = |height: Height| {
        let mut gate = with.clone();
        let at = Hrs { height, round: 0, step: Step::Prevote };
        let content = Content { what: [0; 32], when: 0 };
        gate.disk.last = Some(Entry { key: gate.key(old.tenure), at, content });
        gate
    };
    let limits = Limits { window, jump: window.saturating_mul(50), reach: Height(u64::MAX) };
    let asked = Height(new.ceiling.0.saturating_sub(window));
    let candidates = [
        (fresh, Height(0)),
        (holding, asked),
        (Gate { stopping: true, ..signed(new.ceiling) }, Height(0)),
        (signed(new.sealed.unwrap_or_default()), Height(0)),
    ];
    candidates.into_iter().any(|(gate, asked)| {
        let (_, acts) = gate::step(&gate, &gate::Event::Seen { record: old.clone(), asked }, &limits);
        acts.iter().any(|act| matches!(act, Act::Put(put) if put == new))
    })
}

#[cfg(test)]
mod tests {
    use mainstay::failover::{Activation, Boot, Holder, Pod, Timing};
    use serde_json::json;

    use super::*;

    const OPERATOR: &str = "system:serviceaccount:s:mainstay";
    const WINDOW: u64 = 12;

    /// What is changed in a life that was legal.
    type Spoil = fn(&mut Vec<(&'static str, i64, &'static str, Record)>);

    fn pod(uid: &str) -> Arc<Pod> {
        Arc::new(Pod { member: "a".into(), uid: uid.into(), node: "n".into() })
    }

    fn offered(uid: &str, activation: u128) -> Event {
        Event::Offered { pod: pod(uid), activation: Activation(activation), hand_over: HandOver::Gate }
    }

    const HELD: HandOver =
        HandOver::Launcher(mainstay::failover::Held::Command, Timing { hold: 20_000, drift: 10, margin: 5_000 });

    /// A whole epoch of a launcher that vanishes, and the claim of the next one.
    fn launched() -> Vec<(&'static str, i64, &'static str, Record)> {
        let offer = |uid, activation| Event::Offered {
            pod: pod(uid),
            activation: Activation(activation),
            hand_over: HELD,
        };
        let first = Record::adopted(Epoch(0), Activation(1), Height(0));
        let active = step(&first, offer("u1", 2)).0;
        let mut claimed = active.clone();
        claimed.phase = Phase::Active(Holder { pod: pod("u1"), boot: Some(Boot(5)) });
        claimed.claims = 1;
        let revoking = step(&claimed, Event::Wanted { epoch: Epoch(1) }).0;
        let look = |proof, waited| Event::Found { proof, share: Share::Unknown, waited };
        let blocked = step(&revoking, look(None, 60_000)).0;
        let fenced = step(&blocked, look(Some(Proof::KubeletConfirmed(pod("u1"))), 60_000)).0;
        let next = step(&fenced, offer("u2", 3)).0;
        vec![
            (OPERATOR, 1, "o", first),
            (OPERATOR, 2, "o", active),
            ("launcher", 3, "u1", claimed),
            (OPERATOR, 5, "o", revoking),
            (OPERATOR, 31, "o", blocked),
            (OPERATOR, 40, "o", fenced),
            (OPERATOR, 41, "o", next),
        ]
    }

    fn found(waited: u64) -> Event {
        Event::Found { proof: None, share: Share::Small, waited }
    }

    /// A line of the audit log for each write: who, at which second, with which pod, and what.
    fn log(writes: &[(&str, i64, &str, Record)]) -> String {
        let lines = writes.iter().enumerate().map(|(index, (user, at, pod, record))| {
            let at = jiff::Timestamp::from_second(*at).expect("a time").to_string();
            let line = json!({
                "verb": "update", "stageTimestamp": at, "responseStatus": {"code": 200},
                "objectRef": {"resource": "signingidentities", "subresource": "status", "name": "c.k"},
                "user": {"username": user, "extra": {POD: [pod]}},
                "responseObject": {"metadata": {"resourceVersion": (index + 90).to_string()},
                                   "status": SigningIdentityStatus::from(record)},
            });
            format!("{line}\n")
        });
        // The log is in no order.
        let mut lines: Vec<_> = lines.collect();
        lines.reverse();
        lines.concat()
    }

    /// From `init` over a whole epoch to the next one, as it should be: `u1` never seals.
    fn life() -> Vec<(&'static str, i64, &'static str, Record)> {
        let first = Record::adopted(Epoch(0), Activation(1), Height(0));
        let active = step(&first, offered("u1", 2)).0;
        let mut claimed = active.clone();
        claimed.phase = Phase::Active(Holder { pod: pod("u1"), boot: Some(Boot(5)) });
        claimed.claims = 1;
        let mut raised = claimed.clone();
        raised.ceiling = Height(15);
        let revoking = step(&raised, Event::Wanted { epoch: Epoch(1) }).0;
        let fenced = step(&revoking, found(PATIENCE)).0;
        let next = step(&fenced, offered("u2", 3)).0;
        vec![
            (OPERATOR, 1, "o", first),
            (OPERATOR, 2, "o", active),
            ("gate", 3, "u1", claimed),
            ("gate", 4, "u1", raised),
            (OPERATOR, 5, "o", revoking),
            (OPERATOR, 15, "o", fenced),
            (OPERATOR, 16, "o", next),
        ]
    }

    fn judged(life: &[(&str, i64, &str, Record)]) -> usize {
        let writes = writes(&log(life), "c.k");
        assert_eq!(writes.len(), life.len());
        strangers(&writes, OPERATOR, WINDOW).len()
    }

    #[test]
    fn what_the_protocol_writes_is_legal() {
        assert_eq!(judged(&life()), 0);
        let mut sealed = life();
        let mut seal = sealed[4].3.clone();
        seal.sealed = Some(Height(9));
        let fenced = step(&seal, found(0)).0;
        let next = step(&fenced, offered("u2", 3)).0;
        sealed.truncate(5);
        sealed.extend([("gate", 6, "u1", seal), (OPERATOR, 6, "o", fenced), (OPERATOR, 6, "o", next)]);
        assert_eq!(judged(&sealed), 0);
        let mut lowered = life();
        let mut gave_back = lowered[3].3.clone();
        (gave_back.ceiling, gave_back.lowered) = (Height(9), true);
        lowered.truncate(4);
        lowered.push(("gate", 5, "u1", gave_back));
        assert_eq!(judged(&lowered), 0);
    }

    #[test]
    fn a_launcher_claims_and_seals_and_nothing_else() {
        assert_eq!(judged(&launched()), 0);
        let mut sealed = launched();
        let mut seal = sealed[3].3.clone();
        seal.sealed = Some(seal.bound());
        let fenced = step(&seal, found(0)).0;
        sealed.truncate(4);
        sealed.extend([("launcher", 6, "u1", seal), (OPERATOR, 6, "o", fenced)]);
        assert_eq!(judged(&sealed), 0);
        let spoils: [(&str, Spoil); 4] = [
            ("a launcher that raises", |life| life[2].3.ceiling = Height(9)),
            ("a launcher that is not the holder's", |life| life[2].2 = "u2"),
            ("a hold that is not waited for", |life| life[5].1 = 20),
            ("the proof of another pod", |life| {
                life[5].3.phase = Phase::Fenced(Proof::KubeletConfirmed(pod("u2")));
            }),
        ];
        for (what, spoil) in spoils {
            let mut life = launched();
            spoil(&mut life);
            assert!(judged(&life) > 0, "{what}");
        }
    }

    #[test]
    fn where_no_process_of_ours_signs_none_writes() {
        for (hand_over, proof) in [(HandOver::Label, Proof::SignerRefuses), (HandOver::Job, Proof::JobSucceeded)] {
            let first = Record::adopted(Epoch(0), Activation(1), Height(0));
            let offer = Event::Offered { pod: pod("u1"), activation: Activation(2), hand_over };
            let active = step(&first, offer).0;
            let begun = step(&active, Event::Begun { epoch: Epoch(1) }).0;
            let revoking = step(&begun, Event::Wanted { epoch: Epoch(1) }).0;
            let fenced = step(&revoking, Event::Found { proof: Some(proof), share: Share::Unknown, waited: 0 }).0;
            let records = [first, active, begun, revoking, fenced];
            let mut life = records.map(|record| (OPERATOR, 1, "o", record));
            assert_eq!(judged(&life), 0);
            (life[2].0, life[2].2) = ("pod", "u1");
            assert_eq!(judged(&life), 1);
        }
    }

    #[test]
    fn everything_else_is_not() {
        let spoils: [(&str, Spoil); 9] = [
            ("a gate that raises too far", |life| life[3].3.ceiling = Height(5_000)),
            ("a gate that is not the holder's", |life| life[3].2 = "u2"),
            ("a gate that moves the place", |life| life[4].0 = "gate"),
            ("a person's hand", |life| life[4].0 = "admin"),
            ("an operator that raises", |life| life[3].0 = OPERATOR),
            ("a floor below the ceiling", |life| life[6].3.floor = Height(14)),
            ("an epoch that is left out", |life| life[6].3.tenure.epoch = Epoch(3)),
            ("a step that is left out", |life| drop(life.remove(5))),
            ("no patience", |life| life[5].1 = 6),
        ];
        for (what, spoil) in spoils {
            let mut life = life();
            spoil(&mut life);
            assert!(judged(&life) > 0, "{what}");
        }
    }
}
