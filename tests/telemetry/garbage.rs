//! A table of bad answers: each gives exactly one reason per signal and poll, and only silence speaks against a node.

use std::time::Duration;

use mainstay::{
    signal::{Signal, Unknown, Value},
    telemetry::Source,
};

use crate::{
    ERROR, STATUS, clock, contracts,
    hostile::{Act, Server, answer, ok},
    of,
};

const TIMEOUT: Duration = Duration::from_millis(1500);

/// Row of the fault table, what the server does, whether that speaks against the node.
pub fn table() -> Vec<(&'static str, Act, bool)> {
    let body = |text: &str| Act::Say(ok(text));
    let head = |text: &str| text.as_bytes().to_vec();
    vec![
        ("T01 reset", Act::SayAndReset(Vec::new()), true),
        ("T03 hang", Act::Hang, true),
        ("T04 drip", Act::Drip(head("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{")), false),
        ("T07 negative height", body(&STATUS.replace("\"1262196\"", "\"-1\"")), false),
        ("T07 height beyond 64 bits", body(&STATUS.replace("1262196", "99999999999999999999")), false),
        ("T12 endless", Act::Flood(head("HTTP/1.1 200 OK\r\n\r\n")), false),
        ("T12 announced", Act::Flood(head("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")), false),
        ("T13 gzip", Act::Say(gzip()), false),
        (
            "T14 redirect",
            Act::Say(head("HTTP/1.1 307 X\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")),
            false,
        ),
        ("T17 not UTF-8", Act::Say(ok([STATUS.as_bytes(), b"\xff"].concat())), false),
        ("T17 NUL", Act::Say(ok([0; 100])), false),
        ("T17 a label of 10 MB", Act::Flood(ok("")[..17].to_vec()), false),
        ("T18 deep", body(&"[".repeat(100_000)), false),
        ("T18 deep objects", body(&"{\"result\":".repeat(100_000)), false),
        ("T19 HTML", body("<html>502</html>"), false),
        ("T19 error with 200", body(ERROR), false),
        ("T19 error with 500", Act::Say(answer(500, ERROR)), false),
        ("T19 answer with 503", Act::Say(answer(503, STATUS)), false),
        ("truncated", Act::SayAndClose(ok(STATUS)[..300].to_vec()), false),
        ("reset in the middle", Act::SayAndReset(ok(STATUS)[..300].to_vec()), false),
        ("closed without a word", Act::SayAndClose(Vec::new()), false),
        ("not HTTP", Act::SayAndClose(head("\x16\x03\x01\x02\x00")), false),
        ("no fields", body("{\"result\":{}}"), false),
        ("nothing", body(""), false),
    ]
}

fn gzip() -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    bytes
}

/// Every row against every kind of source that asks a target.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_refusal_and_silence_speak_against_a_node() {
    for (row, act, against) in table() {
        let mut polls = tokio::task::JoinSet::new();
        for kind in contracts::kinds() {
            let act = act.clone();
            polls.spawn(async move {
                let server = Server::start(move |_| act.clone()).await;
                let mut source = contracts::source(&kind, server.address, TIMEOUT, None);
                let signals = source.signals().to_vec();
                (kind.name(), signals, source.poll(&clock(), &[1, 2]).await)
            });
        }
        while let Some(polled) = polls.join_next().await {
            let (kind, signals, poll) = polled.unwrap();
            assert_eq!(poll.values.len(), signals.len(), "{row}, {kind}");
            for signal in signals {
                match of(&poll, signal) {
                    Ok(Value::Whole(0)) if against && signal == Signal::Reachable => {}
                    // To it every document is one; what it looks for is not in there.
                    Ok(_) if kind == "httpJson" && !against && signal != Signal::Head => {}
                    Err(Unknown::NoAnswer) if against && signal != Signal::Reachable => {}
                    Err(Unknown::Invalid(why)) if !against => {
                        assert!(why.chars().count() <= 230 && !why.contains(char::is_control), "{row}: {why}");
                    }
                    other => panic!("{row}, {kind}: {signal:?} is {other:?}"),
                }
            }
        }
    }
}
