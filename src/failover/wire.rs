//! The record as it stands in the status of a `SigningIdentity`. What is not exactly a record is none: nobody signs on a
//! guess.

use std::{borrow::Cow, sync::Arc};

use super::{
    Activation, Boot, Carried, Epoch, HandOver, Height, Held, Holder, Missing, Phase, Pod, Proof, Record, Shut,
    Tenure, Timing,
};
use crate::api::{
    CarriedFile, ProofKind, SigningBlock, SigningCarried, SigningHandover, SigningHolder, SigningIdentityStatus,
    SigningPhase, SigningProof, SigningShut, SigningTiming,
};

/// Why a status is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("status.{field}: {why}: {}", advice(*later))]
pub struct Unreadable {
    /// Where.
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub why: Cow<'static, str>,
    /// Whether a later version of Mainstay may have written it: it may say what forbids a signature.
    pub later: bool,
}

const fn advice(later: bool) -> &'static str {
    if later {
        "a later version of Mainstay may have written it, and only that one can adopt it: upgrade this one. If it is nothing but \
         damage, an administrator deletes the SigningIdentity and creates it again; then adopt it"
    } else {
        "adopt the identity anew"
    }
}

const fn wrong<T>(field: &'static str, why: &'static str) -> Result<T, Unreadable> {
    Err(Unreadable { field: Cow::Borrowed(field), why: Cow::Borrowed(why), later: false })
}

impl From<&Record> for SigningIdentityStatus {
    fn from(record: &Record) -> Self {
        let (handover, timing) = match record.hand_over {
            HandOver::Gate => (SigningHandover::Gate, None),
            HandOver::Launcher(held, timing) => (held.into(), Some(timing)),
            HandOver::Label => (SigningHandover::Label, None),
            HandOver::Job => (SigningHandover::Job, None),
        };
        let (phase, holder, blocked, proof) = match &record.phase {
            Phase::Active(holder) => (SigningPhase::Active, Some(holder), None, None),
            Phase::Revoking { holder, blocked } => (SigningPhase::Revoking, Some(holder), *blocked, None),
            Phase::Fenced(proof) => (SigningPhase::Fenced, None, None, Some(proof)),
        };
        Self {
            epoch: written(record.tenure.epoch.0),
            activation: format!("{:032x}", record.tenure.activation.0),
            adopted: written(record.adopted.0),
            handover,
            timing: timing.map(|timing| SigningTiming {
                hold: written(timing.hold),
                drift: i32::from(timing.drift),
                margin: written(timing.margin),
            }),
            phase,
            holder: holder.map(|holder| named(&holder.pod, holder.boot)),
            blocked: blocked.map(|why| match why {
                Missing::Proof => SigningBlock::Proof,
                Missing::ChainNeedsUs => SigningBlock::ChainNeedsUs,
            }),
            proof: proof.map(proven),
            floor: written(record.floor.0),
            ceiling: written(record.ceiling.0),
            claims: i64::from(record.claims),
            lowered: record.lowered,
            sealed: record.sealed.map(|height| written(height.0)),
            shut: record.shut.map(|why| match why {
                Shut::Foreign => SigningShut::Foreign,
                Shut::Punished => SigningShut::Punished,
            }),
            carried: record.carried.as_deref().map(carried_out),
        }
    }
}

impl From<Held> for SigningHandover {
    fn from(held: Held) -> Self {
        match held {
            Held::Command => Self::Launcher,
            Held::Key => Self::Keymanager,
            Held::Identity => Self::SolanaIdentity,
        }
    }
}

fn carried_out(carried: &Carried) -> SigningCarried {
    let file = |(name, data): &(String, Vec<u8>)| CarriedFile::of(name, data);
    SigningCarried {
        epoch: written(carried.epoch.0),
        member: carried.member.clone(),
        files: carried.files.iter().map(file).collect(),
    }
}

fn carried_in(of: &SigningCarried) -> Result<Arc<Carried>, Unreadable> {
    let files = of.files.iter().map(|file| (file.name.clone(), file.bytes().to_vec())).collect();
    Ok(Arc::new(Carried { epoch: Epoch(read("carried.epoch", of.epoch)?), member: of.member.clone(), files }))
}

/// Numbers beyond what the API server stores have no meaning on any chain.
fn written(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn named(pod: &Pod, boot: Option<Boot>) -> SigningHolder {
    SigningHolder {
        member: pod.member.clone(),
        pod_uid: pod.uid.clone(),
        node: pod.node.clone(),
        boot_id: boot.map(|boot| format!("{:032x}", boot.0)),
    }
}

fn proven(proof: &Proof) -> SigningProof {
    let (kind, pod) = match proof {
        Proof::SignerRefuses => (ProofKind::SignerRefuses, None),
        Proof::WindowFrozen => (ProofKind::WindowFrozen, None),
        Proof::KubeletConfirmed(pod) => (ProofKind::KubeletConfirmed, Some(pod)),
        Proof::NodeOff(pod) => (ProofKind::NodeOff, Some(pod)),
        Proof::JobSucceeded => (ProofKind::JobSucceeded, None),
        Proof::Asserted => (ProofKind::Asserted, None),
    };
    SigningProof { kind, pod: pod.map(|pod| named(pod, None)) }
}

impl TryFrom<&SigningIdentityStatus> for Record {
    type Error = Unreadable;

    fn try_from(status: &SigningIdentityStatus) -> Result<Self, Unreadable> {
        let floor = Height(read("floor", status.floor)?);
        let ceiling = Height(read("ceiling", status.ceiling)?);
        let sealed = status.sealed.map(|height| read("sealed", height)).transpose()?.map(Height);
        if ceiling < floor {
            return wrong("ceiling", "is below the floor");
        }
        let tenure =
            Tenure { epoch: Epoch(read("epoch", status.epoch)?), activation: activation(&status.activation)? };
        let adopted = Epoch(read("adopted", status.adopted)?);
        if adopted > tenure.epoch {
            return wrong("adopted", "is beyond the epoch");
        }
        let Ok(claims) = u32::try_from(status.claims) else {
            return wrong("claims", "is no count");
        };
        Ok(Self {
            tenure,
            adopted,
            hand_over: hand_over(status)?,
            phase: phase(status)?,
            floor,
            ceiling,
            claims,
            lowered: status.lowered,
            sealed,
            shut: status.shut.map(|why| match why {
                SigningShut::Foreign => Shut::Foreign,
                SigningShut::Punished => Shut::Punished,
            }),
            carried: status.carried.as_ref().map(carried_in).transpose()?,
        })
    }
}

fn read(field: &'static str, number: i64) -> Result<u64, Unreadable> {
    u64::try_from(number).or(wrong(field, "is negative"))
}

fn hex(text: &str) -> Option<u128> {
    let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

fn activation(text: &str) -> Result<Activation, Unreadable> {
    hex(text).map_or_else(|| wrong("activation", "is no 32 hexadecimal digits"), |drawn| Ok(Activation(drawn)))
}

fn hand_over(status: &SigningIdentityStatus) -> Result<HandOver, Unreadable> {
    match (status.handover, &status.timing) {
        (SigningHandover::Gate, None) => Ok(HandOver::Gate),
        (SigningHandover::Label, None) => Ok(HandOver::Label),
        (SigningHandover::Job, None) => Ok(HandOver::Job),
        (SigningHandover::Launcher, Some(timing)) => held(Held::Command, timing),
        (SigningHandover::Keymanager, Some(timing)) => held(Held::Key, timing),
        (SigningHandover::SolanaIdentity, Some(timing)) => held(Held::Identity, timing),
        (SigningHandover::Gate | SigningHandover::Label | SigningHandover::Job, Some(_)) => {
            wrong("timing", "belongs to launchers")
        }
        (SigningHandover::Launcher | SigningHandover::Keymanager | SigningHandover::SolanaIdentity, None) => {
            wrong("timing", "is missing")
        }
    }
}

fn held(what: Held, timing: &SigningTiming) -> Result<HandOver, Unreadable> {
    let hold = read("timing.hold", timing.hold)?;
    let margin = read("timing.margin", timing.margin)?;
    let Ok(drift) = u16::try_from(timing.drift) else {
        return wrong("timing.drift", "is no thousandth");
    };
    Ok(HandOver::Launcher(what, Timing { hold, drift, margin }))
}

fn phase(status: &SigningIdentityStatus) -> Result<Phase, Unreadable> {
    let blocked = status.blocked.map(|why| match why {
        SigningBlock::Proof => Missing::Proof,
        SigningBlock::ChainNeedsUs => Missing::ChainNeedsUs,
    });
    match (status.phase, &status.holder, &status.proof) {
        (SigningPhase::Active, Some(of), None) if blocked.is_none() => Ok(Phase::Active(holder(of)?)),
        (SigningPhase::Revoking, Some(of), None) => Ok(Phase::Revoking { holder: holder(of)?, blocked }),
        (SigningPhase::Fenced, None, Some(why)) if blocked.is_none() => Ok(Phase::Fenced(proof(why)?)),
        (_, _, _) => wrong("phase", "does not go with holder, proof and blocked"),
    }
}

fn pod(of: &SigningHolder) -> Arc<Pod> {
    Arc::new(Pod { member: of.member.clone(), uid: of.pod_uid.clone(), node: of.node.clone() })
}

fn holder(of: &SigningHolder) -> Result<Holder, Unreadable> {
    let boot = match &of.boot_id {
        Some(text) => match hex(text) {
            Some(drawn) => Some(Boot(drawn)),
            None => return wrong("holder.bootId", "is no 32 hexadecimal digits"),
        },
        None => None,
    };
    if of.pod_uid.is_empty() {
        return wrong("holder.podUid", "is empty");
    }
    Ok(Holder { pod: pod(of), boot })
}

fn proof(of: &SigningProof) -> Result<Proof, Unreadable> {
    match (of.kind, &of.pod) {
        (ProofKind::SignerRefuses, None) => Ok(Proof::SignerRefuses),
        (ProofKind::WindowFrozen, None) => Ok(Proof::WindowFrozen),
        (ProofKind::KubeletConfirmed, Some(of)) => Ok(Proof::KubeletConfirmed(pod(of))),
        (ProofKind::NodeOff, Some(of)) => Ok(Proof::NodeOff(pod(of))),
        (ProofKind::JobSucceeded, None) => Ok(Proof::JobSucceeded),
        (ProofKind::Asserted, None) => Ok(Proof::Asserted),
        (_, _) => wrong("proof", "names a pod where none belongs, or none where one does"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{Event, step};

    type Spoil = fn(&mut SigningIdentityStatus);

    fn records() -> Vec<Record> {
        let pod = Arc::new(Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() });
        let fenced = Record::adopted(Epoch(3), Activation(u128::MAX), Height(100));
        let offer = |hand_over| Event::Offered { pod: Arc::clone(&pod), activation: Activation(7), hand_over };
        let launcher = HandOver::Launcher(Held::Command, Timing { hold: 10_000, drift: 10, margin: 500 });
        let files = vec![("tower.bin".to_owned(), vec![0, 1, 255])];
        let carried = Carried { epoch: Epoch(3), member: "a".into(), files };
        let mut all = vec![fenced.clone(), Record { carried: Some(Arc::new(carried)), ..fenced.clone() }];
        for way in [HandOver::Gate, launcher, HandOver::Label, HandOver::Job] {
            let mut active = step(&fenced, offer(way)).0;
            all.push(active.clone());
            let holder = Holder { pod: Arc::clone(&pod), boot: Some(Boot(1)) };
            active.phase = Phase::Active(holder);
            (active.claims, active.ceiling) = (1, Height(120));
            let revoking = step(&active, Event::Wanted { epoch: Epoch(4) }).0;
            let mut sealed = revoking.clone();
            sealed.sealed = Some(Height(110));
            let released = Event::Released { epoch: Epoch(4), uid: "u1".into() };
            let asserted = step(&revoking, released).0;
            all.extend([active, revoking, sealed, asserted]);
        }
        let proofs = [
            Proof::KubeletConfirmed(Arc::clone(&pod)),
            Proof::NodeOff(pod),
            Proof::WindowFrozen,
            Proof::JobSucceeded,
        ];
        for proof in proofs {
            all.push(Record {
                phase: Phase::Fenced(proof),
                shut: Some(Shut::Punished),
                lowered: true,
                ..fenced.clone()
            });
        }
        all
    }

    #[test]
    fn every_record_comes_back_as_it_was() {
        for record in records() {
            let status = SigningIdentityStatus::from(&record);
            let text = serde_json::to_string(&status).unwrap();
            let status: SigningIdentityStatus = serde_json::from_str(&text).unwrap();
            assert_eq!(Record::try_from(&status), Ok(record), "{text}");
        }
    }

    #[test]
    fn what_is_not_exactly_a_record_is_none() {
        let good = SigningIdentityStatus::from(&records()[3]);
        let bad: &[(&str, Spoil)] = &[
            ("floor", |status| status.floor = -1),
            ("ceiling", |status| status.ceiling = status.floor - 1),
            ("activation", |status| status.activation = "7".into()),
            ("activation", |status| status.activation = "+".repeat(32)),
            ("adopted", |status| status.adopted = status.epoch + 1),
            ("claims", |status| status.claims = -1),
            ("phase", |status| status.holder = None),
            ("phase", |status| status.blocked = Some(SigningBlock::Proof)),
            ("holder.bootId", |status| status.holder.as_mut().unwrap().boot_id = Some("x".into())),
            ("holder.podUid", |status| status.holder.as_mut().unwrap().pod_uid.clear()),
            ("carried.epoch", |status| {
                status.carried = Some(SigningCarried { epoch: -1, member: String::new(), files: Vec::new() });
            }),
            ("timing", |status| status.handover = SigningHandover::Launcher),
        ];
        for (field, spoil) in bad {
            let mut status = good.clone();
            spoil(&mut status);
            assert_eq!(Record::try_from(&status).expect_err(field).field, *field);
        }
    }
}
