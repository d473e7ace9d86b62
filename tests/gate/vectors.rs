//! Held against what `CometBFT`'s own code made, byte for byte; `vectors/README.md` says how.

use std::sync::LazyLock;

use mainstay::gate::{
    Outcome,
    privval::{Malformed, Proposal, Reply, Vote, canonical, canonical::Signed, message::PROPOSAL},
};
use serde_json::Value;

use crate::{
    CHAIN,
    arbiters::{Confused, LikeCometBft, No, Yes},
    key, signer, unhex,
};

pub fn files() -> &'static Value {
    static FILES: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("vectors/files.json")).unwrap());
    &FILES
}

/// Requests as whole frames, with the answers of `CometBFT`'s signer.
pub fn exchanges() -> &'static [Exchange] {
    static EXCHANGES: LazyLock<Vec<Exchange>> = LazyLock::new(|| {
        let file: Value = serde_json::from_str(include_str!("vectors/exchanges.json")).unwrap();
        assert_eq!(file["chain"], CHAIN);
        let exchanges = file["exchanges"].as_array().unwrap().iter().map(|exchange| Exchange {
            name: string(exchange, "name"),
            request: bytes(exchange, "request"),
            answer: bytes(exchange, "answer"),
            refused: string(exchange, "refused"),
        });
        exchanges.collect()
    });
    &EXCHANGES
}

#[derive(Clone, Debug)]
pub struct Exchange {
    /// What it is about; nothing where the life of one signer begins.
    pub name: String,
    pub request: Vec<u8>,
    pub answer: Vec<u8>,
    pub refused: String,
}

fn string(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    unhex(&string(value, field))
}

fn read(file: &str, kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).unwrap();
    file[kind].as_array().unwrap().clone()
}

#[test]
fn votes_are_signed_as_cometbft_signs_them() {
    let votes = read(include_str!("vectors/canonical.json"), "votes");
    assert!(votes.len() >= 30);
    for case in votes {
        let (name, chain, message) = (string(&case, "name"), string(&case, "chain"), bytes(&case, "message"));
        let vote = Vote::read(&message).unwrap();
        assert_eq!(canonical::vote(&chain, &vote), bytes(&case, "sign_bytes"), "{name}");
        assert_eq!(canonical::extension(&chain, &vote), bytes(&case, "extension_sign_bytes"), "{name}");
    }
}

#[test]
fn proposals_are_signed_as_cometbft_signs_them() {
    let proposals = read(include_str!("vectors/canonical.json"), "proposals");
    assert!(proposals.len() >= 10);
    for case in proposals {
        let (name, chain, message) = (string(&case, "name"), string(&case, "chain"), bytes(&case, "message"));
        let proposal = Proposal::read(&message).unwrap();
        assert_eq!(canonical::proposal(&chain, &proposal), bytes(&case, "sign_bytes"), "{name}");
    }
}

#[test]
fn sign_bytes_say_where_and_when_they_were_signed() {
    let file = include_str!("vectors/canonical.json");
    for case in read(file, "votes") {
        let (message, sign_bytes) = (bytes(&case, "message"), bytes(&case, "sign_bytes"));
        let vote = Vote::read(&message).unwrap();
        let signed = Signed::read(&sign_bytes);
        if let Ok(place) = vote.place() {
            let signed = signed.unwrap();
            assert_eq!((signed.place, signed.time), (place, vote.time));
        }
    }
    for case in read(file, "proposals") {
        let (message, sign_bytes) = (bytes(&case, "message"), bytes(&case, "sign_bytes"));
        let proposal = Proposal::read(&message).unwrap();
        if let Ok(place) = proposal.place() {
            let signed = Signed::read(&sign_bytes).unwrap();
            assert_eq!((signed.place, signed.time, proposal.kind), (place, proposal.time, PROPOSAL));
        }
    }
}

/// All sign-bytes of the vectors against each other: only those that differ in nothing but the time say the same.
#[test]
fn only_the_time_may_differ_in_what_says_the_same() {
    let all: Vec<_> = read(include_str!("vectors/canonical.json"), "votes")
        .iter()
        .map(|case| {
            (string(case, "name"), string(case, "chain"), bytes(case, "message"), bytes(case, "sign_bytes"))
        })
        .filter(|(_, _, message, _)| Vote::read(message).unwrap().place().is_ok())
        .collect();
    let mut same = 0;
    for (one, first_chain, first, first_bytes) in &all {
        for (other, second_chain, second, second_bytes) in &all {
            let (first, second) = (Vote::read(first).unwrap(), Vote::read(second).unwrap());
            let expected = (first.kind, first.height, first.round, first.block, first_chain)
                == (second.kind, second.height, second.round, second.block, second_chain);
            let found = Signed::read(first_bytes).unwrap().says_the_same(&Signed::read(second_bytes).unwrap());
            assert_eq!(found, expected, "{one} and {other}");
            same += usize::from(found && first.time != second.time);
        }
    }
    assert!(same > 20, "{same}");
}

#[test]
fn requests_are_answered_as_cometbft_answers_them() {
    let mut compared = 0;
    for Exchange { name, request, answer, refused } in exchanges() {
        if name.is_empty() {
            break;
        }
        let mut found = Vec::new();
        let outcome = signer().answer(crate::messages(request)[0], &mut Yes, &mut found).unwrap();
        if outcome == Outcome::OtherChain {
            // The same answer but for its words.
            assert!(!refused.is_empty(), "{name}");
            let theirs = match name.as_str() {
                "the key of another chain" => Reply::NoPubKey("unable to provide pubkey"),
                "a vote on another chain" => Reply::NoVote("unable to sign vote"),
                "a proposal on another chain" => Reply::NoProposal("unable to sign proposal"),
                other => panic!("{other}"),
            };
            found.clear();
            theirs.write(&mut found);
        } else {
            assert_eq!(refused, "", "{name}");
        }
        assert_eq!(&found, answer, "{name}");
        compared += 1;
    }
    assert!(compared >= 28, "{compared}");
}

#[test]
fn a_life_of_repeated_requests_is_that_of_cometbfts_signer() {
    let mut arbiter = LikeCometBft::default();
    let mut outcomes = Vec::new();
    for Exchange { name, request, answer, refused } in exchanges().iter().skip_while(|at| !at.name.is_empty()) {
        if name.is_empty() {
            continue;
        }
        arbiter.words.clone_from(refused);
        let mut found = Vec::new();
        outcomes.push(signer().answer(crate::messages(request)[0], &mut arbiter, &mut found).unwrap().name());
        assert_eq!(&found, answer, "{name}");
    }
    let expected = [
        "signed",
        "signed",
        "signed_again",
        "signed_again",
        "refused",
        "refused",
        "signed",
        "signed_again",
        "refused",
        "refused",
        "signed",
    ];
    assert_eq!(outcomes, expected);
}

/// Each vote and proposal, taken for each other one: it is refused unless nothing but its time is different.
#[test]
fn nothing_is_signed_again_that_says_something_else() {
    let canonical = include_str!("vectors/canonical.json");
    let earlier: Vec<_> = ["votes", "proposals"]
        .iter()
        .flat_map(|kind| read(canonical, kind))
        .filter(|case| string(case, "chain") == CHAIN)
        .map(|case| bytes(&case, "sign_bytes"))
        .collect();
    let requests = exchanges().iter().take_while(|exchange| !exchange.name.is_empty());
    let (mut again, mut refused) = (0, 0);
    for Exchange { name, request, .. } in requests {
        let request = crate::messages(request)[0];
        let mut asked = No::default();
        signer().answer(request, &mut asked, &mut Vec::new()).unwrap();
        let pairs = asked.sign_bytes.iter().flat_map(|asked| earlier.iter().map(move |earlier| (asked, earlier)));
        for (asked, earlier) in pairs {
            let same =
                Signed::read(earlier).is_ok_and(|earlier| earlier.says_the_same(&Signed::read(asked).unwrap()));
            let outcome = signer().answer(request, &mut Confused(earlier.clone()), &mut Vec::new()).unwrap();
            let expected = if same { Outcome::SignedAgain } else { Outcome::Refused };
            assert_eq!(outcome, expected, "{name}");
            again += usize::from(same);
            refused += usize::from(!same);
        }
        let broken = signer().answer(request, &mut Confused(vec![]), &mut Vec::new()).unwrap();
        assert!(!matches!(broken, Outcome::Signed | Outcome::SignedAgain));
    }
    assert!(again > 50 && refused > 500, "{again} {refused}");
}

/// We may refuse more than `CometBFT` does: what occurs twice, and numbers that it would cut to size. What both take they sign
/// alike; what it does not take we do not sign.
#[test]
fn what_is_broken_is_never_signed_otherwise_than_cometbft_would() {
    let file = include_str!("vectors/mutants.json");
    let (mut alike, mut refused, mut stricter) = (0, 0, 0);
    let cases = ["votes", "proposals"].map(|kind| read(file, kind).into_iter().map(move |case| (kind, case)));
    for (kind, case) in cases.into_iter().flatten() {
        let message = unhex(case[0].as_str().unwrap());
        let theirs = unhex(case[1].as_str().unwrap());
        let ours = if kind == "votes" {
            Vote::read(&message).map(|vote| (canonical::vote(CHAIN, &vote), vote.place().is_ok()))
        } else {
            Proposal::read(&message)
                .map(|proposal| (canonical::proposal(CHAIN, &proposal), proposal.place().is_ok()))
        };
        match ours {
            Ok((ours, fit)) if theirs.is_empty() => assert!(!fit, "{case}: {ours:?}"),
            Ok((ours, _)) => {
                assert_eq!(ours, theirs, "{case}");
                alike += 1;
            }
            Err(_) if theirs.is_empty() => refused += 1,
            Err(Malformed::Repeated(_) | Malformed::Range(_) | Malformed::Overlong) => stricter += 1,
            Err(other) => panic!("{case}: {other}"),
        }
    }
    assert!(alike > 100 && refused > 100 && stricter > 20, "{alike} {refused} {stricter}");
}

#[test]
fn the_key_of_a_file_signs() {
    let file: Value = serde_json::from_str(include_str!("vectors/exchanges.json")).unwrap();
    assert_eq!(key().public().as_slice(), bytes(&file, "public"));
    assert_eq!(Value::from(key().address()), files()["address"]);
}
