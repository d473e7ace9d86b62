//! What must never have happened, told from the union of all gates' logs, which are kept outside their pods, and from the
//! records that were written. The chain's own evidence tells of few conflicts: peers ignore votes that come late.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use mainstay::failover::{Activation, Epoch, Record, Tenure};
pub use mainstay::gate::diary::Line;
use mainstay::gate::diary::files;

use super::conformance::Write;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crime {
    /// Two blocks at one height, round and type, which the chain punishes; or two times of one block.
    Conflict { height: u64, round: u32, kind: String, said: BTreeSet<(Option<String>, i128)> },
    /// A height that two processes signed at: of two epochs, or of one.
    TwoOwners { height: u64, owners: BTreeSet<(u64, String, String)> },
    /// A signature of an epoch that no record tells of.
    NoSuchEpoch { epoch: u64, height: u64 },
    /// A signature at or below the floor of its epoch, or above what its epoch ever owned.
    OutsideTheWindow { epoch: u64, height: u64, floor: u64, ceiling: u64 },
    /// A signature above what its epoch was known to have signed at most when it ended.
    AboveTheBound { epoch: u64, height: u64, bound: u64 },
}

/// The lines of one member's log, the oldest part first. The last one may be half written.
pub fn read(state: &Path) -> Vec<Line> {
    let mut text: Vec<_> = files(state).filter_map(|path| fs::read_to_string(path).ok()).collect();
    text.reverse();
    let text = text.concat();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
}

/// The heights that each epoch has signed, from the lowest to the highest.
pub fn ranges(lines: &[Line]) -> BTreeMap<(u64, String, String), (u64, u64)> {
    let mut ranges = BTreeMap::new();
    for line in lines {
        let key = (line.epoch, line.activation.clone(), line.member.clone());
        let range = ranges.entry(key).or_insert((line.height, line.height));
        *range = (range.0.min(line.height), range.1.max(line.height));
    }
    ranges
}

/// What an epoch owned: above the floor, up to the highest ceiling that was ever written, and what it left behind.
struct Owned {
    floor: u64,
    ceiling: u64,
    bound: Option<u64>,
}

/// Judges the signatures by themselves.
pub fn conflicts(lines: &[Line]) -> Vec<Crime> {
    let (mut said, mut owners) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
    for line in lines {
        let at = (line.height, line.round, line.kind.clone());
        said.entry(at).or_default().insert((line.block.clone(), line.timestamp));
        owners.entry(line.height).or_default().insert((line.epoch, line.activation.clone(), line.boot.clone()));
    }
    let conflicts = said.into_iter().filter(|(_, said)| said.len() > 1);
    let conflicts = conflicts.map(|((height, round, kind), said)| Crime::Conflict { height, round, kind, said });
    let shared = owners.into_iter().filter(|(_, owners)| owners.len() > 1);
    conflicts.chain(shared.map(|(height, owners)| Crime::TwoOwners { height, owners })).collect()
}

/// Judges them by all that was written, too: who signs on the word of a record has seen it, so the logs are read first.
pub fn judged(lines: &[Line], writes: &[Write]) -> Vec<Crime> {
    let records: Vec<_> = writes.iter().map(|write| write.record.clone()).collect();
    crimes(lines, &records)
}

/// Judges them by the records, which are in the order in which they were written.
fn crimes(lines: &[Line], records: &[Record]) -> Vec<Crime> {
    let owned = owned(records);
    let mut crimes = conflicts(lines);
    for Line { epoch, height, activation, .. } in lines {
        let (epoch, height) = (*epoch, *height);
        let activation = u128::from_str_radix(activation, 16).map(Activation).unwrap_or_default();
        let tenure = Tenure { epoch: Epoch(epoch), activation };
        let Some(Owned { floor, ceiling, bound }) = owned.get(&tenure) else {
            crimes.push(Crime::NoSuchEpoch { epoch, height });
            continue;
        };
        if height <= *floor || height > *ceiling {
            crimes.push(Crime::OutsideTheWindow { epoch, height, floor: *floor, ceiling: *ceiling });
        }
        if let Some(bound) = bound.filter(|bound| height > *bound) {
            crimes.push(Crime::AboveTheBound { epoch, height, bound });
        }
    }
    crimes
}

fn owned(records: &[Record]) -> BTreeMap<Tenure, Owned> {
    let mut ranges = BTreeMap::<_, Owned>::new();
    for (index, record) in records.iter().enumerate() {
        let (floor, ceiling) = (record.floor.0, record.ceiling.0);
        let range = ranges.entry(record.tenure).or_insert(Owned { floor, ceiling, bound: None });
        range.ceiling = range.ceiling.max(ceiling);
        let ended = records.get(index + 1).is_some_and(|next| next.tenure != record.tenure);
        range.bound = ended.then(|| record.bound().0);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mainstay::failover::{Event, HandOver, Height, Holder, Phase, Pod, step};

    use super::*;

    fn line(epoch: u64, boot: &str, height: u64, kind: &str, block: Option<&str>) -> Line {
        Line {
            at: 0,
            member: "a".into(),
            pod_uid: "u".into(),
            boot: boot.into(),
            epoch,
            activation: format!("{epoch:032x}"),
            height,
            round: 0,
            kind: kind.into(),
            block: block.map(Into::into),
            timestamp: 0,
        }
    }

    /// Epoch 1 owned 101 to 120 and was sealed at 110, epoch 2 owns 111 to 130.
    fn records() -> Vec<Record> {
        let pod = Arc::new(Pod { member: "a".into(), uid: "u".into(), node: "n".into() });
        let offer = |epoch| Event::Offered {
            pod: Arc::clone(&pod),
            activation: Activation(epoch),
            hand_over: HandOver::Gate,
        };
        let first = step(&Record::adopted(Epoch(0), Activation(9), Height(100)), offer(1)).0;
        let mut raised = first.clone();
        raised.ceiling = Height(120);
        raised.phase = Phase::Active(Holder { pod: Arc::clone(&pod), boot: None });
        let mut sealed = step(&raised, Event::Wanted { epoch: Epoch(1) }).0;
        sealed.sealed = Some(Height(110));
        let fenced =
            step(&sealed, Event::Found { proof: None, share: mainstay::failover::Share::Small, waited: u64::MAX });
        let second = step(&fenced.0, offer(2)).0;
        let mut last = second.clone();
        last.ceiling = Height(130);
        vec![first, raised, sealed, fenced.0, second, last]
    }

    #[test]
    fn good_logs_are_good() {
        let lines = [
            line(1, "x", 101, "prevote", Some("b")),
            line(1, "x", 101, "precommit", None),
            line(1, "x", 101, "prevote", Some("b")),
            line(1, "x", 110, "prevote", Some("b")),
            line(2, "y", 111, "proposal", Some("c")),
            line(2, "y", 130, "prevote", None),
        ];
        assert_eq!(crimes(&lines, &records()), []);
    }

    #[test]
    fn two_blocks_at_one_place_are_seen_also_of_one_process() {
        let lines = [line(1, "x", 105, "prevote", Some("b")), line(1, "x", 105, "prevote", None)];
        assert!(matches!(&conflicts(&lines)[..], [Crime::Conflict { height: 105, .. }]));
        let later = [lines[0].clone(), Line { timestamp: 1, ..lines[0].clone() }];
        assert!(matches!(&conflicts(&later)[..], [Crime::Conflict { .. }]), "at another time");
        let other = [lines[0].clone(), line(1, "x", 105, "precommit", None)];
        assert_eq!(conflicts(&other), [], "of another type");
        let other = [lines[0].clone(), Line { round: 1, ..lines[1].clone() }];
        assert_eq!(conflicts(&other), [], "of another round");
    }

    #[test]
    fn a_height_has_one_owner_even_where_both_say_the_same() {
        let same = |epoch, boot| line(epoch, boot, 111, "prevote", Some("b"));
        for pair in [[same(1, "x"), same(2, "y")], [same(1, "x"), same(1, "y")]] {
            assert!(matches!(&conflicts(&pair)[..], [Crime::TwoOwners { height: 111, .. }]), "{pair:?}");
        }
    }

    #[test]
    fn nothing_is_signed_outside_of_what_the_epoch_owns() {
        let of = |epoch, height| crimes(&[line(epoch, "x", height, "prevote", None)], &records());
        assert!(matches!(of(1, 100)[..], [Crime::OutsideTheWindow { floor: 100, .. }]));
        assert!(matches!(
            of(1, 121)[..],
            [Crime::OutsideTheWindow { ceiling: 120, .. }, Crime::AboveTheBound { .. }]
        ));
        assert!(matches!(of(1, 111)[..], [Crime::AboveTheBound { bound: 110, .. }]));
        assert!(matches!(of(2, 110)[..], [Crime::OutsideTheWindow { .. }]));
        assert!(matches!(of(2, 131)[..], [Crime::OutsideTheWindow { .. }]));
        assert!(matches!(of(3, 131)[..], [Crime::NoSuchEpoch { epoch: 3, .. }]));
        let mut stranger = line(1, "x", 105, "prevote", None);
        stranger.activation = format!("{:032x}", 7);
        assert!(
            matches!(crimes(&[stranger], &records())[..], [Crime::NoSuchEpoch { .. }]),
            "of another activation"
        );
    }
}
