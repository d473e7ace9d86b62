//! Nodes that do everything wrong, against a whole gate: its protocol, its desk and its disk. What it signs is looked at from
//! outside.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay::{
    failover::gate::{Part, Refusal},
    gate::{
        Counts, Outcome, converse,
        desk::lock,
        frame::{Broken, LONGEST},
        privval::{
            Place, Step,
            message::{PRECOMMIT, PREVOTE, PROPOSAL},
        },
    },
};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::{
    node::{Ask, KINDS, Signatures, prevote},
    pieces::{Memory, Process},
    signer,
    vectors::exchanges,
};

const START: i64 = 100;

/// A gate that may sign 101 to 121, its record, and what it has signed so far: nothing.
fn holder() -> (Process, Memory, Signatures) {
    let record = Memory::adopted(START.try_into().unwrap());
    record.offer("a");
    let (gate, mut signatures) = (Process::new("a", 1), Signatures::default());
    assert_eq!(signatures.hear(&prevote(START + 1, 9).frame(), &mut Arc::clone(&gate.desk)).unwrap(), (0, 1));
    gate.look(&record).unwrap();
    (gate, record, signatures)
}

/// What is signed, what is on the disk and what is in the diary are one.
fn is_sound(gate: &Process, signatures: &Signatures) {
    let places = signatures.places();
    let desk = lock(&gate.desk);
    let last = desk.gate().disk.last.as_ref().map(|entry| (entry.at.height.0, entry.at.round));
    assert_eq!(last, places.last().map(|place| (place.height, place.round)));
    let lines = gate.lines();
    assert_eq!(lines.len(), places.len());
    for (line, place) in lines.iter().zip(places) {
        assert_eq!((line.height, line.round), (place.height, place.round));
    }
}

#[test]
fn every_place_in_any_order_is_signed_at_most_once() {
    let (gate, record, mut signatures) = holder();
    let mut desk = Arc::clone(&gate.desk);
    // Each height, round and step there is, in an order that jumps to and fro, for two blocks.
    let mut asked = 0_u64;
    let all: Vec<_> = (0..21 * 3 * 3 * 2).map(|at| at * 101 % (21 * 3 * 3 * 2)).collect();
    for at in all {
        let (height, round, kind, block) = (at / 18, at / 6 % 3, at / 2 % 3, at % 2);
        let kind = KINDS[usize::try_from(kind).unwrap()];
        let ask = Ask {
            kind,
            height: START + 1 + i64::from(height),
            round,
            block: Some(u8::try_from(block).unwrap()),
            seconds: i64::from(at),
        };
        let (signed, others) = signatures.hear(&ask.frame(), &mut desk).unwrap();
        assert_eq!(signed + others, 1);
        asked += 1;
        gate.look(&record).unwrap();
    }
    is_sound(&gate, &signatures);
    let signed: u64 = [Step::Propose, Step::Prevote, Step::Precommit].map(|step| of(&gate, step)).iter().sum();
    let refused: u64 =
        [Refusal::Behind, Refusal::Conflict].map(|why| gate.counts.refused_so_far(why)).iter().sum();
    assert_eq!((signed + refused, signed), (asked, signatures.places().len() as u64));
    assert!(signed > 3, "{signed} signed");
}

fn of(gate: &Process, step: Step) -> u64 {
    use mainstay::failover::gate::Step as Of;
    gate.counts.signed_so_far(match step {
        Step::Propose => Of::Propose,
        Step::Prevote => Of::Prevote,
        Step::Precommit => Of::Precommit,
    })
}

#[test]
fn replays_get_the_last_signature_or_none() {
    let (gate, _, mut signatures) = holder();
    let mut desk = Arc::clone(&gate.desk);
    let mut life = Vec::new();
    for height in START + 1..=START + 5 {
        for kind in KINDS {
            life.push(Ask { kind, height, round: 0, block: Some(1), seconds: height }.frame());
        }
    }
    assert_eq!(signatures.hear(&life.concat(), &mut desk).unwrap(), (15, 0));
    // All of it again, a thousand times: the last of it gets what it got.
    for _ in 0..10 {
        assert_eq!(signatures.hear(&life.concat().repeat(100), &mut desk).unwrap(), (100, 1400));
    }
    let last = Ask { kind: PRECOMMIT, height: START + 5, round: 0, block: Some(1), seconds: START + 5 };
    // Another time gets the time of then, which `Signatures` looks at; anything else gets nothing.
    assert_eq!(signatures.hear(&Ask { seconds: 9_999, ..last }.frame(), &mut desk).unwrap(), (1, 0));
    for other in [
        Ask { block: Some(2), ..last },
        Ask { block: None, ..last },
        Ask { kind: PREVOTE, ..last },
        Ask { kind: PROPOSAL, ..last },
        Ask { height: START + 4, round: 7, ..last },
    ] {
        assert_eq!(signatures.hear(&other.frame(), &mut desk).unwrap(), (0, 1), "{other:?}");
    }
    is_sound(&gate, &signatures);
}

/// A proposal that differs in its time alone is another proposal.
#[test]
fn a_proposal_is_never_signed_with_another_time() {
    let (gate, _, mut signatures) = holder();
    let mut desk = Arc::clone(&gate.desk);
    let first = Ask { kind: PROPOSAL, height: START + 1, round: 0, block: Some(1), seconds: 5 };
    assert_eq!(signatures.hear(&first.frame().repeat(3), &mut desk).unwrap(), (3, 0));
    assert_eq!(signatures.hear(&Ask { seconds: 6, ..first }.frame(), &mut desk).unwrap(), (0, 1));
    is_sound(&gate, &signatures);
}

#[test]
fn heights_and_rounds_at_the_ends_of_their_types_change_nothing() {
    let (gate, record, mut signatures) = holder();
    let mut desk = Arc::clone(&gate.desk);
    let before = record.record();
    for height in [i64::MIN, -1, 0, START, 1 << 53, 1 << 62, i64::MAX] {
        for round in [i32::MIN, -1, 0, i32::MAX] {
            for kind in KINDS {
                let ask = Ask { kind, height, round, block: Some(1), seconds: 1 };
                assert_eq!(signatures.hear(&ask.frame(), &mut desk).unwrap(), (0, 1), "{ask:?}");
                gate.look(&record).unwrap();
            }
        }
    }
    assert_eq!(record.record(), before);
    assert_eq!(signatures.places(), []);
    // The last round there is stands in the way of none but its height's.
    let last = Ask { round: i32::MAX, ..prevote(START + 1, 1) };
    assert_eq!(signatures.hear(&last.frame(), &mut desk).unwrap(), (1, 0));
    assert_eq!(signatures.hear(&prevote(START + 1, 1).frame(), &mut desk).unwrap(), (0, 1));
    assert_eq!(signatures.hear(&prevote(START + 2, 1).frame(), &mut desk).unwrap(), (1, 0));
    is_sound(&gate, &signatures);
}

#[test]
fn a_vote_of_nearly_a_mebibyte_is_a_vote() {
    let (gate, _, mut signatures) = holder();
    let mut desk = Arc::clone(&gate.desk);
    let vote = Ask { kind: PRECOMMIT, ..prevote(START + 1, 1) };
    assert_eq!(signatures.hear(&vote.extended(LONGEST - 300), &mut desk).unwrap(), (1, 0));
    // One byte more than is read ends the connection, and nothing else.
    let ended = signatures.hear(&Ask { height: START + 2, ..vote }.extended(LONGEST), &mut desk);
    assert!(matches!(ended, Err(Broken::TooLong)), "{ended:?}");
    assert_eq!(signatures.hear(&prevote(START + 2, 1).frame(), &mut desk).unwrap(), (1, 0));
    is_sound(&gate, &signatures);
}

#[test]
fn a_standby_signs_nothing_whatever_is_said() {
    let record = Memory::adopted(100);
    record.offer("b");
    let (gate, mut signatures) = (Process::new("a", 1), Signatures::default());
    gate.look(&record).unwrap();
    let before = lock(&gate.desk).gate().clone();
    let mut desk = Arc::clone(&gate.desk);
    for exchange in exchanges() {
        let _ = signatures.hear(&exchange.request, &mut desk);
        gate.look(&record).unwrap();
    }
    for height in 1..200 {
        assert_eq!(signatures.hear(&prevote(height, 1).frame(), &mut desk).unwrap(), (0, 1));
    }
    assert!(matches!(before.part, Part::Idle));
    assert_eq!((lock(&gate.desk).gate(), signatures.places()), (&before, vec![]));
    assert!(gate.counts.refused_so_far(Refusal::NotHolder) > 200);
}

/// Most of them ask for signatures, each in a wrong way; some get one. `make bench-gate` has a million.
#[test]
fn a_hundred_thousand_requests_leave_it_as_it_was() {
    let (gate, record, mut signatures) = holder();
    let mut desk = Arc::clone(&gate.desk);
    assert_eq!(signatures.hear(&prevote(START + 2, 1).frame(), &mut desk).unwrap(), (1, 0));
    let round = [
        prevote(START + 2, 1).frame(),
        prevote(START + 1, 1).frame(),
        prevote(START + 2, 2).frame(),
        prevote(1 << 62, 1).frame(),
        prevote(START, 1).frame(),
        prevote(-1, 1).frame(),
        prevote(START + 22, 1).frame(),
        Ask { block: None, ..prevote(START + 2, 1) }.frame(),
        Ask { kind: PROPOSAL, ..prevote(START + 2, 1) }.frame(),
        vec![2, 0x3a, 0],
    ]
    .concat();
    let (begun, counts) = (Instant::now(), Counts::default());
    let said = round.repeat(10_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // What it answers is looked at above; here nobody keeps it.
    let stream = tokio::io::join(&said[..], tokio::io::sink());
    runtime.block_on(converse(stream, signer(), &mut desk, &counts, &CancellationToken::new())).unwrap();
    println!("a hundred thousand requests: {:?}", begun.elapsed());
    let outcomes = [Outcome::Refused, Outcome::Unfit, Outcome::Ping, Outcome::SignedAgain, Outcome::Signed];
    assert_eq!(outcomes.map(|outcome| counts.of(outcome)), [70_000, 10_000, 10_000, 10_000, 0]);
    gate.look(&record).unwrap();
    assert_eq!(record.record().ceiling.0, 121);
    assert_eq!(signatures.hear(&prevote(START + 3, 1).frame(), &mut desk).unwrap(), (1, 0));
    is_sound(&gate, &signatures);
}

/// Whoever keeps the door busy does not keep the record from being seen, nor the other way round.
#[tokio::test]
async fn a_flood_does_not_keep_it_from_the_record() {
    use mainstay::gate::{dial, follow::follow};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("privval.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let record = Memory::adopted(100);
    let gate = Process::new("a", 1);
    let (mut desk, counts, stop) = (Arc::clone(&gate.desk), Counts::default(), CancellationToken::new());
    let node = async {
        let (mut from, mut to) = listener.accept().await.unwrap().0.into_split();
        let said = [prevote(101, 1).frame(), prevote(1 << 62, 1).frame(), vec![2, 0x3a, 0]].concat().repeat(100);
        let (shout, hear) = (async { while to.write_all(&said).await.is_ok() {} }, async {
            let mut heard = vec![0; 1 << 16];
            while from.read(&mut heard).await.is_ok_and(|read| read > 0) {}
        });
        tokio::join!(shout, hear);
    };
    let operator = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        record.offer("a");
        let begun = Instant::now();
        while gate.counts.holding.get() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "it never saw the record");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("seen within a flood after {:?}", begun.elapsed());
        stop.cancel();
    };
    let every = Duration::from_millis(200);
    tokio::join!(
        dial(&socket, signer(), &mut desk, &counts, &stop),
        follow(&gate.desk, &record, every, &counts, &stop),
        async { tokio::join!(node, operator) }
    );
    assert!(counts.of(Outcome::Refused) > 1_000, "{} refused", counts.of(Outcome::Refused));
    let record = record.record();
    assert!(record.lowered && record.ceiling.0 >= 100, "{record:?}");
}

/// Every request of the vectors, and some that this gate would sign, without their lengths.
fn known() -> Vec<Vec<u8>> {
    let mut known: Vec<_> = exchanges().iter().map(|exchange| exchange.request.clone()).collect();
    for height in START + 1..START + 6 {
        known.extend(KINDS.map(|kind| Ask { kind, height, round: 0, block: Some(1), seconds: 1 }.frame()));
    }
    known.iter().filter_map(|frame| Some(crate::messages(frame).first()?.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// One gate, and a conversation of messages each of which was changed somewhere.
    #[test]
    fn what_was_changed_gets_no_second_signature(
        said in proptest::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..5_u8), 1..60,
        ),
    ) {
        let (gate, record, mut signatures) = holder();
        let (mut desk, known) = (Arc::clone(&gate.desk), known());
        let mut looks = 0;
        for (which, at, byte, how) in said {
            let mut message = which.get(&known).clone();
            let index = at.index(message.len());
            match how {
                0 => message[index] = byte,
                1 => message.insert(index, byte),
                2 => drop(message.remove(index)),
                3 => message.truncate(index),
                _ => {}
            }
            let mut frame = Vec::new();
            mainstay::gate::privval::wire::put_delimited(&mut frame, &message);
            let _ = signatures.hear(&frame, &mut desk);
            if byte & 1 == 0 {
                gate.look(&record).unwrap();
                looks += 1;
            }
        }
        is_sound(&gate, &signatures);
        let above: Vec<Place> = signatures.places();
        prop_assert!(above.iter().all(|place| place.height > 100 && place.height <= record.record().ceiling.0));
        // However far it is asked to go, it goes in steps.
        prop_assert!(record.record().ceiling.0 <= 121 + 1_020 * looks);
    }
}
