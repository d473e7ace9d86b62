//! In which way an epoch will end.

use crate::{
    api::{self, Duration, FailoverGroupSpec},
    failover::{HandOver, LONGEST, Record, SHORTEST, Timing},
};

use super::Trouble;

/// The way in which a group hands over.
pub fn way(group: &FailoverGroupSpec) -> Result<HandOver, Trouble> {
    match group.handover.way() {
        Some(api::Way::Gate) => Ok(HandOver::Gate),
        Some(api::Way::Label(_)) => Ok(HandOver::Label),
        Some(api::Way::Job(_)) => Ok(HandOver::Job),
        Some(api::Way::Launcher(launcher)) => held(
            "launcher",
            launcher.hold,
            ", which is two questions of a launcher that come to nothing and the time that its command has to stop",
        ),
        // The stay of a key or an identity in a client is held and sealed as a launcher's command is.
        Some(api::Way::Keymanager(keys)) => held("keymanager", keys.hold, ""),
        Some(api::Way::SolanaIdentity(identity)) => held("solanaIdentity", identity.hold, ""),
        None => Err(Trouble::Invalid("handover: write exactly one way".into())),
    }
}

fn held(whose: &str, hold: Duration, why: &str) -> Result<HandOver, Trouble> {
    Timing::of(hold.as_millis()).map(HandOver::Launcher).ok_or_else(|| {
        let (least, most) = (SHORTEST / 1_000, LONGEST / 1_000);
        Trouble::Invalid(format!(
            "handover.{whose}.hold is {hold}: write {least} s or more{why}, and {most} s or less"
        ))
    })
}

/// How the next epoch of a group will end.
pub fn hand_over(record: &Record, group: &FailoverGroupSpec) -> Result<HandOver, Trouble> {
    let next = way(group)?;
    if record.leads_to(next) && !leaves_a_tower(record, group) {
        return Ok(next);
    }
    Err(Trouble::Invalid(format!(
        "epoch {} ended another way than handover says, and what was signed is known there and not here: write the former \
         way, or have a person begin an epoch with `mainstay adopt`",
        record.tenure.epoch.0
    )))
}

/// Whether a Solana validator has sealed the last epoch, and the next one would not ask for its tower. The record has one word for
/// all that is held as a launcher's command is; of this one what has travelled with the seal tells.
fn leaves_a_tower(record: &Record, group: &FailoverGroupSpec) -> bool {
    let travels = record.carried.as_deref().is_some_and(|carried| !carried.files.is_empty());
    travels && group.handover.solana_identity.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{GateHandover, Handover, LauncherHandover, Standby},
        failover::{Activation, Carried, Epoch, Event, Height, Phase, Pod, Proof, step},
    };

    fn group(handover: &serde_json::Value) -> FailoverGroupSpec {
        let spec = json!({"network": "hub", "identity": "hub-1.k", "members": [], "handover": handover});
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_group_hands_over_in_one_way_and_as_its_epoch_did() {
        let begun = Record::adopted(Epoch(1), Activation(2), Height(3));
        let (label, job) = (json!({"label": {"service": "s"}}), json!({"job": {"cronJob": "c"}}));
        assert_eq!(hand_over(&begun, &group(&label)).unwrap(), HandOver::Label);
        assert_eq!(hand_over(&begun, &group(&job)).unwrap(), HandOver::Job);
        assert_eq!(hand_over(&begun, &group(&json!({"gate": {}}))).unwrap(), HandOver::Gate);
        let keys = hand_over(&begun, &group(&json!({"keymanager": {}}))).unwrap();
        let HandOver::Launcher(timing) = keys else { panic!("{keys:?}") };
        assert_eq!(timing.hold, 300_000);
        for odd in [
            json!({}),
            json!({"label": {"service": "s"}, "job": {"cronJob": "c"}}),
            json!({"gate": {}, "label": {"service": "s"}}),
            json!({"gate": {}, "keymanager": {}}),
            json!({"keymanager": {"hold": "5s"}}),
            json!({"keymanager": {}, "solanaIdentity": {}}),
            json!({"solanaIdentity": {"hold": "5s"}}),
        ] {
            assert!(hand_over(&begun, &group(&odd)).is_err(), "{odd}");
        }
        let ended = Record { tenure: crate::failover::Tenure { epoch: Epoch(2), ..begun.tenure }, ..begun };
        let said = hand_over(&ended, &group(&label)).unwrap_err().to_string();
        assert!(said.contains("mainstay adopt"), "{said}");
    }

    /// What a Solana validator has signed is in its tower, and no other way looks there.
    #[test]
    fn a_tower_that_travels_is_left_behind_on_a_persons_word_alone() {
        let solana = group(&json!({"solanaIdentity": {}}));
        let pod = Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() };
        let offered =
            Event::Offered { pod: pod.into(), activation: Activation(3), hand_over: way(&solana).unwrap() };
        let mut ended = step(&Record::adopted(Epoch(1), Activation(2), Height(3)), offered).0;
        ended.phase = Phase::Fenced(Proof::SignerRefuses);
        let files = vec![("tower.bin".to_owned(), vec![1])];
        ended.carried = Some(Carried { epoch: Epoch(2), member: "a".into(), files }.into());
        assert!(hand_over(&ended, &solana).is_ok());
        for other in [json!({"launcher": {}}), json!({"keymanager": {}})] {
            let said = hand_over(&ended, &group(&other)).unwrap_err().to_string();
            assert!(said.contains("mainstay adopt"), "{said}");
        }
        let adopted = Event::Adopted { above: Epoch(2), floor: Height(9), activation: Activation(4) };
        assert!(hand_over(&step(&ended, adopted).0, &group(&json!({"launcher": {}}))).is_ok());
    }

    fn holds(gate: bool, hold: Option<u64>) -> FailoverGroupSpec {
        let handover = Handover {
            gate: gate.then_some(GateHandover {}),
            launcher: hold.map(|secs| LauncherHandover { hold: Duration::from_secs(secs) }),
            ..Handover::default()
        };
        FailoverGroupSpec {
            network: "n".into(),
            identity: "n.k".into(),
            members: Vec::new(),
            handover,
            standby: Standby::default(),
            automatic: false,
            notify: Vec::new(),
        }
    }

    #[test]
    fn a_hold_that_cannot_be_kept_is_refused_with_the_shortest_that_can() {
        assert_eq!(way(&holds(true, None)).unwrap(), HandOver::Gate);
        let HandOver::Launcher(timing) = way(&holds(false, Some(30))).unwrap() else { panic!("a gate") };
        assert_eq!(timing.hold, 30_000);
        for short in [holds(false, Some(19)), holds(false, Some(601))] {
            let said = way(&short).unwrap_err().to_string();
            assert!(said.contains("20 s or more") && said.contains("600 s or less"), "{said}");
        }
        assert!(way(&holds(true, Some(30))).is_err() && way(&holds(false, None)).is_err());
    }
}
