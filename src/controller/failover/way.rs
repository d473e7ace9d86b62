//! In which way an epoch will end.

use crate::{
    api::{self, Duration, FailoverGroupSpec},
    failover::{HandOver, Held, LONGEST, Record, SHORTEST, Timing},
};

use super::Trouble;

/// The way in which a group hands over.
pub fn way(group: &FailoverGroupSpec) -> Result<HandOver, Trouble> {
    match group.handover.way() {
        Some(api::Way::Gate) => Ok(HandOver::Gate),
        Some(api::Way::Label(_)) => Ok(HandOver::Label),
        Some(api::Way::Job(_)) => Ok(HandOver::Job),
        Some(api::Way::Launcher(launcher)) => held(
            Held::Command,
            "launcher",
            launcher.hold,
            ", which is two questions of a launcher that come to nothing and the time that its command has to stop",
        ),
        // The stay of a key or an identity in a client is held and sealed as a launcher's command is.
        Some(api::Way::Keymanager(keys)) => held(Held::Key, "keymanager", keys.hold, ""),
        Some(api::Way::SolanaIdentity(identity)) => held(Held::Identity, "solanaIdentity", identity.hold, ""),
        None => Err(Trouble::Invalid("handover: write exactly one way".into())),
    }
}

fn held(what: Held, whose: &str, hold: Duration, why: &str) -> Result<HandOver, Trouble> {
    Timing::of(hold.as_millis()).map(|timing| HandOver::Launcher(what, timing)).ok_or_else(|| {
        let (least, most) = (SHORTEST / 1_000, LONGEST / 1_000);
        Trouble::Invalid(format!(
            "handover.{whose}.hold is {hold}: write {least} s or more{why}, and {most} s or less"
        ))
    })
}

/// How the next epoch of a group will end.
pub fn hand_over(record: &Record, group: &FailoverGroupSpec) -> Result<HandOver, Trouble> {
    let next = way(group)?;
    if record.leads_to(next) {
        return Ok(next);
    }
    Err(Trouble::Invalid(format!(
        "epoch {} ended another way than handover says, and what was signed is known there and not here: write the former \
         way, or have a person begin an epoch with `mainstay adopt`",
        record.tenure.epoch.0
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{GateHandover, Handover, LauncherHandover, Standby},
        failover::{Activation, Epoch, Event, Height, Phase, Pod, Proof, step},
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
        let HandOver::Launcher(_, timing) = keys else { panic!("{keys:?}") };
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

    /// What was signed is known in the client, its slashing protection or its tower, and no other way looks there.
    #[test]
    fn what_holds_a_key_follows_another_on_a_persons_word_alone() {
        let ways = ["launcher", "keymanager", "solanaIdentity"].map(|way| group(&json!({way: {}})));
        for (which, of) in ways.iter().enumerate() {
            let pod = Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() };
            let offered =
                Event::Offered { pod: pod.into(), activation: Activation(3), hand_over: way(of).unwrap() };
            let mut ended = step(&Record::adopted(Epoch(1), Activation(2), Height(3)), offered).0;
            ended.phase = Phase::Fenced(Proof::SignerRefuses);
            let adopted = Event::Adopted { above: Epoch(2), floor: Height(9), activation: Activation(4) };
            let adopted = step(&ended, adopted).0;
            for (other, next) in ways.iter().enumerate() {
                let found = hand_over(&ended, next);
                assert_eq!(found.is_ok(), which == other, "{found:?}");
                assert!(found.is_ok() || found.unwrap_err().to_string().contains("mainstay adopt"));
                assert!(hand_over(&adopted, next).is_ok());
            }
        }
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
        let HandOver::Launcher(_, timing) = way(&holds(false, Some(30))).unwrap() else { panic!("a gate") };
        assert_eq!(timing.hold, 30_000);
        for short in [holds(false, Some(19)), holds(false, Some(601))] {
            let said = way(&short).unwrap_err().to_string();
            assert!(said.contains("20 s or more") && said.contains("600 s or less"), "{said}");
        }
        assert!(way(&holds(true, Some(30))).is_err() && way(&holds(false, None)).is_err());
    }
}
