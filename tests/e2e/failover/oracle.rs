//! Who signed what, by the logs that the gates keep outside their pods. The chain's own evidence tells of few conflicts:
//! peers ignore votes that come late.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

pub use mainstay::gate::diary::Line;

/// The lines of one member's log, the older part first. The last one may be half written.
pub fn read(state: &Path) -> Vec<Line> {
    let text = ["signatures.log.1", "signatures.log"].map(|name| fs::read_to_string(state.join(name)));
    let text: Vec<_> = text.into_iter().filter_map(Result::ok).collect();
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

/// Whatever must not be: two contents at one place, or two epochs at one height.
pub fn conflicts(lines: &[Line]) -> Vec<String> {
    let mut contents = BTreeMap::<_, BTreeSet<_>>::new();
    let mut owners = BTreeMap::<_, BTreeSet<_>>::new();
    for line in lines {
        let place = (line.height, line.round, line.kind.clone());
        contents.entry(place).or_default().insert((line.block.clone(), line.timestamp));
        owners.entry(line.height).or_default().insert((line.epoch, line.activation.clone()));
    }
    let twice = contents.into_iter().filter(|(_, said)| said.len() > 1);
    let twice = twice.map(|(place, said)| format!("{place:?} signed {} times: {said:?}", said.len()));
    let shared = owners.into_iter().filter(|(_, of)| of.len() > 1);
    twice.chain(shared.map(|(height, of)| format!("height {height} signed by {of:?}"))).collect()
}

#[test]
fn the_oracle_cries_over_what_must_not_be() {
    let line = |epoch: u64, height, kind: &str, block: &str| Line {
        at: 0,
        member: format!("m{epoch}"),
        pod_uid: String::new(),
        boot: String::new(),
        epoch,
        activation: epoch.to_string(),
        height,
        round: 0,
        kind: kind.into(),
        block: Some(block.into()),
        timestamp: 0,
    };
    let fine = [line(1, 5, "prevote", "x"), line(1, 5, "precommit", "x"), line(2, 6, "prevote", "y")];
    assert_eq!(conflicts(&fine), Vec::<String>::new());
    assert_eq!(ranges(&fine).len(), 2);
    let two = conflicts(&[line(1, 5, "prevote", "x"), line(1, 5, "prevote", "y")]);
    assert!(two.len() == 1 && two[0].contains("signed 2 times"), "{two:?}");
    let shared = conflicts(&[line(1, 5, "prevote", "x"), line(2, 5, "precommit", "x")]);
    assert!(shared.len() == 1 && shared[0].contains("height 5 signed by"), "{shared:?}");
}
