//! Nodes that do everything wrong. None of them gets more than an error, and none makes us wait.

use std::time::{Duration, Instant};

use mainstay::gate::{
    Counts, Outcome, converse,
    frame::{Broken, LONGEST},
    privval::{
        Malformed, Place, Step, Timestamp, reply,
        wire::{put_bytes, put_delimited, put_int, put_message},
    },
};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::{
    arbiters::{No, Yes},
    messages, signer, talk,
    vectors::exchanges,
};

const PING: [u8; 3] = [2, 0x3a, 0];
const PONG: [u8; 3] = [2, 0x42, 0];

fn request(name: &str) -> Vec<u8> {
    exchanges().iter().find(|exchange| exchange.name == name).unwrap().request.clone()
}

fn with_length(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    put_delimited(&mut frame, message);
    frame
}

#[test]
fn a_node_that_goes_is_no_error() {
    let (answers, ended, counts) = talk(&PING, &mut Yes);
    assert!(ended.is_ok());
    assert_eq!((answers.as_slice(), counts.of(Outcome::Ping), counts.connections.get()), (&PONG[..], 1, 1));
    assert!(talk(&[], &mut Yes).1.is_ok());
}

#[test]
fn a_length_beyond_reason_is_not_even_read() {
    let lengths: [&[u8]; 5] = [
        &[0x81, 0x80, 0x40],
        &[0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x80, 0x80, 0x80, 0x00],
    ];
    for length in lengths {
        let said = [&PING, length, &[0; 64], &PING].concat();
        let (answers, ended, counts) = talk(&said, &mut Yes);
        assert!(matches!(ended, Err(Broken::TooLong)), "{length:x?}: {ended:?}");
        assert_eq!((answers.as_slice(), counts.given_up("too_long")), (&PONG[..], 1));
    }
}

#[test]
fn the_longest_message_is_read() {
    // A ping with an unknown field in it, which is passed over.
    let filling = LONGEST - 2 - 4 - 4;
    let mut inner = vec![0x7a];
    put_delimited(&mut inner, &vec![0; filling]);
    let mut message = Vec::new();
    put_message(&mut message, 7, &inner);
    message.resize(message.len().min(LONGEST), 0);
    assert!(LONGEST - message.len() < 8, "{}", message.len());
    let (answers, ended, _) = talk(&with_length(&message), &mut Yes);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(answers, PONG);
}

#[test]
fn a_message_that_ends_too_early_is_an_error() {
    let whole = request("vote: a precommit with an extension");
    for end in 1..whole.len() {
        let (answers, ended, counts) = talk(&whole[..end], &mut Yes);
        assert!(matches!(ended, Err(Broken::Truncated)), "{end}: {ended:?}");
        assert_eq!((answers.len(), counts.given_up("truncated")), (0, 1));
    }
}

#[test]
fn what_is_no_request_ends_the_connection() {
    // Nothing, something of tomorrow, every answer there is, two requests in one, an old kind of field, a vote without
    // a vote.
    let mut wrong: Vec<Vec<u8>> = vec![vec![], vec![0x4a, 0], vec![0x3a, 0, 0x3a, 0], vec![0x3b], vec![0x1a, 0]];
    wrong.extend(exchanges().iter().filter_map(|exchange| Some(messages(&exchange.answer).first()?.to_vec())));
    assert!(wrong.len() > 30);
    for message in wrong {
        let said = [with_length(&message), PING.to_vec()].concat();
        let (answers, ended, counts) = talk(&said, &mut Yes);
        assert!(matches!(ended, Err(Broken::Malformed(_))), "{message:x?}: {ended:?}");
        assert_eq!((answers.len(), counts.given_up("malformed")), (0, 1));
    }
}

#[test]
fn a_field_that_occurs_twice_is_an_error() {
    // A vote of height 5, and then of height 6.
    let vote = [0x10, 5, 0x10, 6];
    let mut body = Vec::new();
    put_message(&mut body, 1, &vote);
    let mut message = Vec::new();
    put_message(&mut message, 3, &body);
    let (_, ended, _) = talk(&with_length(&message), &mut Yes);
    assert!(matches!(ended, Err(Broken::Malformed(Malformed::Repeated(2)))), "{ended:?}");
}

#[test]
fn a_refusal_leaves_the_connection_as_it_was() {
    let said = [
        request("vote: a high height"),
        request("proposal: a proposal"),
        request("vote: the last height"),
        request("vote: the first height"),
        PING.to_vec(),
    ]
    .concat();
    let mut arbiter = No::default();
    let (answers, ended, counts) = talk(&said, &mut arbiter);
    assert!(ended.is_ok());
    let answers = messages(&answers);
    assert_eq!((answers.len(), counts.of(Outcome::Refused), counts.of(Outcome::Ping)), (5, 4, 1));
    let at = |height, round, step| Place { height, round, step };
    let asked = [
        at(1 << 62, 1, Step::Precommit),
        at(81_204, 0, Step::Propose),
        at((1 << 63) - 1, 1, Step::Precommit),
        at(1, 0, Step::Prevote),
    ];
    assert_eq!(arbiter.asked, asked);
    // A later step of one round comes after an earlier one, whatever the order in which they are asked for.
    assert!(asked[3] < asked[1] && asked[1] < asked[0] && asked[0] < asked[2]);
}

#[test]
fn what_nobody_signs_is_refused_before_anybody_is_asked() {
    let block = {
        let mut parts = Vec::new();
        put_int(&mut parts, 1, 1);
        put_bytes(&mut parts, 2, &[2; 32]);
        let mut block = Vec::new();
        put_bytes(&mut block, 1, &[1; 32]);
        put_message(&mut block, 2, &parts);
        block
    };
    let vote = |kind, height, round, block: &[u8], address: usize, index, extension: &[u8]| {
        let mut vote = Vec::new();
        put_int(&mut vote, 1, kind);
        put_int(&mut vote, 2, height);
        put_int(&mut vote, 3, round);
        put_message(&mut vote, 4, block);
        put_bytes(&mut vote, 6, &vec![7; address]);
        put_int(&mut vote, 7, index);
        put_bytes(&mut vote, 9, extension);
        (3, vote)
    };
    let proposal = |kind, height, round, pol_round, block: &[u8]| {
        let mut proposal = Vec::new();
        put_int(&mut proposal, 1, kind);
        put_int(&mut proposal, 2, height);
        put_int(&mut proposal, 3, round);
        put_int(&mut proposal, 4, pol_round);
        put_message(&mut proposal, 5, block);
        (5, proposal)
    };
    let half = &block[..34];
    let cases = [
        (true, vote(2, 5, 0, &block, 20, 0, b"extension")),
        (true, vote(1, 5, 0, &[], 20, 0, b"")),
        (false, vote(0, 5, 0, &block, 20, 0, b"")),
        (false, vote(32, 5, 0, &block, 20, 0, b"")),
        (false, vote(1, 0, 0, &block, 20, 0, b"")),
        (false, vote(1, -5, 0, &block, 20, 0, b"")),
        (false, vote(1, 5, -1, &block, 20, 0, b"")),
        (false, vote(1, 5, 0, half, 20, 0, b"")),
        (false, vote(1, 5, 0, &block, 0, 0, b"")),
        (false, vote(1, 5, 0, &block, 200_000, 0, b"")),
        (false, vote(1, 5, 0, &block, 20, -1, b"")),
        (false, vote(1, 5, 0, &block, 20, 0, b"extension")),
        (false, vote(2, 5, 0, &[], 20, 0, b"extension")),
        (true, proposal(32, 5, 1, 0, &block)),
        (true, proposal(32, 5, 1, -1, &block)),
        (false, proposal(1, 5, 1, 0, &block)),
        (false, proposal(32, 0, 1, 0, &block)),
        (false, proposal(32, 5, -1, 0, &block)),
        (false, proposal(32, 5, 1, -2, &block)),
        (false, proposal(32, 5, 1, 0, &[])),
        (false, proposal(32, 5, 1, 0, half)),
    ];
    for (fit, (number, content)) in cases {
        let mut body = Vec::new();
        put_message(&mut body, 1, &content);
        put_bytes(&mut body, 2, crate::CHAIN.as_bytes());
        let mut message = Vec::new();
        put_message(&mut message, number, &body);
        let (mut arbiter, mut out) = (No::default(), Vec::new());
        let outcome = signer().answer(&message, &mut arbiter, &mut out).unwrap();
        let expected = if fit { Outcome::Refused } else { Outcome::Unfit };
        assert_eq!((outcome, arbiter.asked.len()), (expected, usize::from(fit)), "{content:x?}");
        assert!(out.len() < 200);
    }
}

#[test]
fn a_reason_without_end_is_cut() {
    let mut out = Vec::new();
    reply::Reply::NoVote(&"ü".repeat(100_000)).write(&mut out);
    assert!(out.len() < 600 && String::from_utf8_lossy(&out).contains("üüü"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_ends_is_given_up() {
    let (node, ours) = tokio::io::duplex(1024);
    let counts = Counts::default();
    let (mut from_us, mut to_us) = tokio::io::split(node);
    let ours = async { converse(ours, signer(), &mut Yes, &counts, &CancellationToken::new()).await };
    let node = async {
        // However long nothing comes, it is waited for.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        to_us.write_all(&PING).await.unwrap();
        let mut pong = [0; 3];
        from_us.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, PONG);
        to_us.write_all(&[0x81]).await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(from_us.read(&mut pong).await.unwrap(), 0);
        begun.elapsed()
    };
    let (ended, waited) = tokio::join!(ours, node);
    assert!(matches!(ended, Err(Broken::Slow)), "{ended:?}");
    assert_eq!((waited.as_secs(), counts.given_up("slow")), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_no_answers_is_given_up() {
    let (mut node, ours) = tokio::io::duplex(64);
    let counts = Counts::default();
    let stop = CancellationToken::new();
    let mut arbiter = Yes;
    let ours = converse(ours, signer(), &mut arbiter, &counts, &stop);
    let node = async {
        let key = request("the key");
        while node.write_all(&key).await.is_ok() {}
    };
    let (ended, ()) = tokio::join!(ours, node);
    assert!(matches!(ended, Err(Broken::Slow)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_it_is_told_to() {
    let (_node, ours) = tokio::io::duplex(64);
    let stop = CancellationToken::new();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    };
    let counts = Counts::default();
    let mut arbiter = Yes;
    let (ended, ()) = tokio::join!(converse(ours, signer(), &mut arbiter, &counts, &stop), stopping);
    assert!(ended.is_ok());
}

#[test]
fn a_million_small_requests_take_no_time_and_no_memory() {
    let begun = Instant::now();
    let (answers, ended, counts) = talk(&PING.repeat(1_000_000), &mut Yes);
    assert!(ended.is_ok());
    assert_eq!((answers.len(), counts.of(Outcome::Ping)), (3_000_000, 1_000_000));
    let took = begun.elapsed();
    println!("a million pings: {took:?}");
    // Seconds without optimisation. A node asks four times a second.
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn a_hundred_thousand_replays_are_each_refused() {
    let mut arbiter = crate::arbiters::LikeCometBft::default();
    let first = request("the next height");
    let before = request("the height before");
    let (answers, ended, counts) = talk(&[first, before.repeat(100_000)].concat(), &mut arbiter);
    assert!(ended.is_ok());
    assert_eq!(messages(&answers).len(), 100_001);
    assert_eq!((counts.of(Outcome::Signed), counts.of(Outcome::Refused)), (1, 100_000));
}

#[test]
fn times_that_are_none_are_errors() {
    assert!(Timestamp::new(-62_135_596_801, 0).is_none());
    assert!(Timestamp::new(253_402_300_800, 0).is_none());
    assert!(Timestamp::new(0, -1).is_none() && Timestamp::new(0, 1_000_000_000).is_none());
}

/// Every request of the vectors, without its length.
fn known() -> Vec<Vec<u8>> {
    exchanges().iter().filter_map(|exchange| Some(messages(&exchange.request).first()?.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn garbage_is_an_error(said in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (answers, _, _) = talk(&said, &mut Yes);
        for answer in messages(&answers) {
            prop_assert!(answer.len() <= reply::LONGEST);
        }
    }

    #[test]
    fn what_was_changed_is_an_error_or_has_a_short_answer(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let known = known();
        let mut message = which.get(&known).clone();
        for (at, byte, how) in changes {
            let index = at.index(message.len().max(1));
            match how {
                0 if !message.is_empty() => message[index] = byte,
                1 => message.insert(index, byte),
                2 if !message.is_empty() => drop(message.remove(index)),
                _ => message.truncate(index),
            }
        }
        let mut out = Vec::new();
        match signer().answer(&message, &mut Yes, &mut out) {
            Ok(_) => prop_assert!(!out.is_empty() && out.len() <= reply::LONGEST),
            Err(_) => prop_assert!(out.is_empty()),
        }
    }
}
