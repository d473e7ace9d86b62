//! What answers say: recorded ones, garbage, and arbitrary bytes.

use mainstay::{
    signal::{Unknown, Wall},
    telemetry::cometbft::decode::{self, Status, complaint, peers},
};
use proptest::prelude::*;

use crate::{CHAIN, ERROR, NET_INFO, STATUS, WALL};

fn status(body: &[u8]) -> Result<Status, Unknown> {
    decode::status(body, CHAIN, WALL)
}

/// The recorded answer with one part replaced.
fn changed(from: &str, to: &str) -> Result<Status, Unknown> {
    assert!(STATUS.contains(from));
    status(STATUS.replace(from, to).as_bytes())
}

#[test]
fn the_recorded_answers_are_understood() {
    let expected = Status {
        chain: CHAIN.into(),
        version: "0.38.25".into(),
        head: 1_262_196,
        hash: "790BA84C3545FCCC49A5C629CEE6EA58A6E875C3862175BDC11EE7AF54703501".into(),
        block_time_skew: Ok(2_499_238),
        syncing: false,
        signing: false,
        address: "5D6A51A8E9899C44079C6AF90618BA0369070E6E".into(),
    };
    assert_eq!(status(STATUS.as_bytes()), Ok(expected));
    assert_eq!(peers(NET_INFO.as_bytes()), Ok(1));
    assert!(changed("\"voting_power\":\"0\"", "\"voting_power\":\"12\"").unwrap().signing);
    assert!(changed("\"catching_up\":false", "\"catching_up\":true").unwrap().syncing);
}

#[test]
fn the_greatest_height_is_exact() {
    assert_eq!(changed("1262196", "9223372036854775807").unwrap().head, 9_223_372_036_854_775_807);
    assert_eq!(changed("1262196", "9007199254740993").unwrap().head, 9_007_199_254_740_993);
}

#[test]
fn a_node_of_another_chain_is_told_apart_whatever_else_it_says() {
    let wrong = changed("cosmoshub-2", "osmosis-1\u{202e}\\u0000").unwrap_err();
    assert_eq!(wrong, Unknown::WrongChain("osmosis-1\\u{202e}\\0".into()));
    let odd = br#"{"result":{"node_info":{"network":"osmosis-1"},"sync_info":7}}"#;
    assert_eq!(status(odd), Err(Unknown::WrongChain("osmosis-1".into())));
}

/// T07, T17, T18, T19
#[test]
fn garbage_is_invalid() {
    let deep = |open: &str, count: usize| open.repeat(count);
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"<!DOCTYPE html><html><body>Bad gateway</body></html>".to_vec(),
        b"\xff\xfe\xfd".to_vec(),
        b"{\"result\":{}}".to_vec(),
        b"{\"result\":null}".to_vec(),
        b"{\"error\":null}".to_vec(),
        ERROR.into(),
        deep("[", 100_000).into(),
        deep("{\"result\":", 100_000).into(),
        deep("{\"error\":", 100_000).into(),
        format!("{{\"result\":{{\"node_info\":{}", deep("[", 100_000)).into(),
        STATUS[..STATUS.len() / 2].into(),
        format!("{STATUS}{STATUS}").into(),
        STATUS.replace("aib-home-node", "a\0b").into(),
        [STATUS.replace("aib-home-node", "MARK").replace("MARK", "\u{1}").as_bytes(), b"\xff"].concat(),
    ];
    for body in &bodies {
        let told = status(body);
        let Err(Unknown::Invalid(why)) = &told else { panic!("{:?}: {told:?}", &body[..body.len().min(60)]) };
        assert!(why.chars().count() <= 200 && !why.contains(char::is_control), "{why}");
        assert!(matches!(peers(body), Err(Unknown::Invalid(_))) || body.starts_with(STATUS.as_bytes()));
    }
}

/// T07
#[test]
fn numbers_that_are_none_are_invalid() {
    for number in [
        "\"-1\"",
        "\"+1\"",
        "\"1e6\"",
        "\"\"",
        "\" 1\"",
        "\"1.0\"",
        "\"NaN\"",
        "\"0x10\"",
        "\"9223372036854775808\"",
        "\"18446744073709551616\"",
        "\"١\"",
        "1262196",
        "1e400",
        "null",
        "true",
        "[]",
    ] {
        let told = changed("\"1262196\"", number);
        assert!(matches!(told, Err(Unknown::Invalid(_))), "{number}: {told:?}");
    }
}

/// T18: the parser skips unknown fields without recursion.
#[test]
fn a_deep_field_that_nobody_reads_is_skipped() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        changed("{\"tx_index\":\"on\",\"rpc_address\":\"tcp:0.0.0.0:26657\"}", &deep).unwrap().head,
        1_262_196
    );
}

/// T21, T22: the skew is measured, whichever clock is wrong; it never touches the other values.
#[test]
fn only_the_skew_suffers_from_times() {
    for time in ["0001-01-01T00:00:00Z", "yesterday", "", "2019-13-01T00:00:00Z"] {
        let told = changed("2019-08-01T11:52:22.818762194Z", time).unwrap();
        assert_eq!(told.head, 1_262_196);
        assert!(matches!(told.block_time_skew, Err(Unknown::Invalid(_))), "{time}: {told:?}");
    }
    let behind = decode::status(STATUS.as_bytes(), CHAIN, Wall(WALL.0 - 3_600_000)).unwrap();
    assert_eq!(behind.block_time_skew, Ok(2_499_238 - 3_600_000_000));
    let nonsense = decode::status(STATUS.as_bytes(), CHAIN, Wall(i64::MIN)).unwrap();
    assert!(nonsense.block_time_skew.is_err());
}

#[test]
fn a_failed_call_says_what_failed() {
    let said = complaint(500, ERROR.as_bytes()).to_string();
    assert!(
        said.starts_with("unusable answer: HTTP 500: RPC error -32603: Internal error height 1262197 must"),
        "{said}"
    );
    assert_eq!(complaint(502, b"<html>\n"), Unknown::Invalid("HTTP 502: not JSON: <html>".into()));
    assert_eq!(complaint(503, STATUS.as_bytes()), Unknown::Invalid("HTTP 503".into()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_never_more_than_invalid(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(status(&body).is_err());
        prop_assert!(peers(&body).is_err());
    }

    #[test]
    fn mutated_answers_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
        wall in any::<i64>(),
    ) {
        let mut body = STATUS.as_bytes().to_vec();
        for (index, byte, kind) in changes {
            let index = index.index(body.len());
            match kind {
                0 => body[index] = byte,
                1 => body.insert(index, byte),
                _ => drop(body.remove(index)),
            }
        }
        let told = decode::status(&body, CHAIN, Wall(wall));
        if let Err(why) = told {
            prop_assert!(why.to_string().chars().count() <= 230);
        }
    }
}
