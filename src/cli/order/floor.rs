//! The floor of an adoption, from what a person has at hand.

use super::AdoptArgs;
use crate::{
    failover::{HandOver, Height, Record, above_head},
    gate::past::{self, Past, PastError},
};

/// Why no floor comes of what a person has at hand.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// A state does not tell.
    #[error(transparent)]
    Past(#[from] PastError),
    /// Neither a state nor a head.
    #[error(
        "an adoption needs a floor: --state with what signed before, --head with a height of the chain that you have verified, \
         or both"
    )]
    Nothing,
    /// A copy tells what was signed when it was made.
    #[error(
        "a priv_validator_state.json tells what was signed when it was copied: give --head too, with a height of the chain that \
         you have verified"
    )]
    NoHead,
    /// A pod and nothing of it.
    #[error(
        "what the pod {0} signed last is in its state: give --state, the folder of its volume or its signatures.log"
    )]
    NoState(String),
    /// A head does not tell.
    #[error(
        "--pod counts what that pod has signed, by a state of the gate, and --head with a window on top is above that: leave one \
         of them out"
    )]
    Head,
    /// A number that cannot be.
    #[error("{0} is no height of any chain")]
    Height(u64),
}

/// Above all that can have been signed: by what signed before, and by the chain.
pub fn floor(args: &AdoptArgs, window: i64, record: Option<&Record>) -> Result<i64, FloorError> {
    let past = args.state.iter().map(|path| past::read(path)).collect::<Result<Vec<_>, _>>()?;
    let of_gates = past.iter().filter_map(|past| if let Past::Gate(height) = past { Some(*height) } else { None });
    let of_gates = of_gates.max().map(Height);
    let copied = past.iter().filter_map(|past| if let Past::Plain(height) = past { Some(*height) } else { None });
    let copied = copied.max().map(Height);
    let window = u64::try_from(window).unwrap_or(0);
    let head = args.head.map(|head| above_head(Height(head), window, record));
    let of_gate = record.is_some_and(|record| record.hand_over == HandOver::Gate);
    let floor = match (&args.pod, head) {
        (Some(_), Some(_)) if of_gate => return Err(FloorError::Head),
        (Some(uid), None) if of_gate => {
            let signed = of_gates.ok_or_else(|| FloorError::NoState(uid.clone()))?;
            // What is at or below this is of epochs before.
            record.and_then(|record| record.outlived(uid)).map_or(signed, |least| signed.max(least))
        }
        (_, None) if copied.is_some() => return Err(FloorError::NoHead),
        (_, head) => head.max(copied).max(of_gates).ok_or(FloorError::Nothing)?,
    };
    i64::try_from(floor.0).map_err(|_| FloorError::Height(floor.0))
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;
    use crate::{
        cli::order::Whose,
        failover::{Activation, Epoch, Event, Pod, step},
    };

    fn args(state: &[&PathBuf], head: Option<u64>, pod: Option<&str>) -> AdoptArgs {
        let whose = Whose { group: "val".into(), namespace: None, no_wait: false };
        let state = state.iter().map(|path| (*path).clone()).collect();
        AdoptArgs { whose, state, head, epoch: None, pod: pod.map(Into::into), assertion: "stopped".into() }
    }

    /// Epoch 4 of u1, revoked, from 100 to 120.
    fn revoking() -> Record {
        let pod = Arc::new(Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() });
        let offer = Event::Offered { pod, activation: Activation(2), hand_over: HandOver::Gate };
        let mut record = step(&Record::adopted(Epoch(3), Activation(1), Height(100)), offer).0;
        (record.claims, record.ceiling) = (1, Height(120));
        step(&record, Event::Wanted { epoch: Epoch(4) }).0
    }

    #[test]
    fn a_floor_is_the_highest_of_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("state.json");
        std::fs::write(&copy, r#"{"height":"500","round":0,"step":3}"#).unwrap();
        let record = revoking();
        let floor = |args: &AdoptArgs, record| super::floor(args, 20, record);
        assert_eq!(floor(&args(&[&copy], Some(400), None), None).unwrap(), 500);
        assert_eq!(floor(&args(&[&copy], Some(490), None), None).unwrap(), 511);
        assert_eq!(floor(&args(&[], Some(490), None), None).unwrap(), 511);
        assert_eq!(floor(&args(&[], Some(50), None), Some(&record)).unwrap(), 120, "the record lets it sign");
        assert!(matches!(floor(&args(&[&copy], None, None), None), Err(FloorError::NoHead)));
        assert!(matches!(floor(&args(&[], None, None), None), Err(FloorError::Nothing)));
        assert!(matches!(floor(&args(&[], Some(u64::MAX), None), None), Err(FloorError::Height(_))));
    }

    #[test]
    fn what_a_pod_signed_is_in_its_state_and_in_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let log = |height: u64| {
            let path = folder.path().join(format!("{height}.log"));
            let line = format!(
                r#"{{"at":1,"member":"a","podUid":"u1","boot":"b","epoch":4,"activation":"c","height":{height},"round":0,"type":"prevote","block":null,"timestamp":2}}"#
            );
            std::fs::write(&path, line + "\n").unwrap();
            path
        };
        let copy = folder.path().join("state.json");
        std::fs::write(&copy, r#"{"height":"105","round":0,"step":3}"#).unwrap();
        let (record, low, high) = (revoking(), log(90), log(105));
        let floor = |state: &[&PathBuf], head, pod| super::floor(&args(state, head, pod), 20, Some(&record));
        assert_eq!(floor(&[&high], None, Some("u1")).unwrap(), 105, "and not 120");
        assert_eq!(floor(&[&low, &high], None, Some("u1")).unwrap(), 105);
        assert_eq!(floor(&[&low], None, Some("u1")).unwrap(), 100, "it signed nothing in this epoch");
        assert_eq!(floor(&[&high], None, Some("u2")).unwrap(), 105, "refused where the record is read anew");
        assert_eq!(floor(&[&high], None, None).unwrap(), 105, "refused: the window counts");
        assert!(matches!(floor(&[&copy], None, Some("u1")), Err(FloorError::NoState(_))));
        assert!(matches!(floor(&[&high], Some(104), Some("u1")), Err(FloorError::Head)));
    }
}
