//! Broken answers by the million, through the very code that real ones go through. The run that is part of the tests is
//! short; `make fuzz` is the long one, and prints how much it did.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use mainstay::{
    policy::SourceKind,
    signal::{Unknown, Value},
    telemetry::{Client, Source},
};

use crate::{ERROR, NET_INFO, STATUS, clock, contracts, hostile::asked};

/// `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.roll() % most.max(1) as u64).unwrap()
    }
}

/// Pieces that parsers stumble over.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\0",
    b"\xff",
    b"-",
    b"NaN",
    b"+Inf",
    b"1e999",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"0x",
    b"0xffffffffffffffffffff",
    b"null",
    b"true",
    b"\"\"",
    b"# EOF",
    b" # {",
    b"# TYPE x ",
    b"\\u0000",
    b"\xe2\x80\xae",
    b"99999999999",
    b"0001-01-01T00:00:00Z",
];

fn mutate(body: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(body.len() + 1);
        match dice.below(7) {
            0 => body.truncate(at),
            1 => {
                let piece = PIECES[dice.below(PIECES.len())];
                body.splice(at..at, piece.iter().copied());
            }
            2 if at < body.len() => body[at] = u8::try_from(dice.below(256)).unwrap(),
            3 if at < body.len() => drop(body.remove(at)),
            4 => {
                // A run of the body once more, somewhere else.
                let to = (at + dice.below(40)).min(body.len());
                let run = body[at..to].to_vec();
                let place = dice.below(body.len() + 1);
                body.splice(place..place, run);
            }
            5 => {
                let to = (at + dice.below(20)).min(body.len());
                let piece = PIECES[dice.below(PIECES.len())];
                body.splice(at..to, piece.iter().copied());
            }
            _ => {
                let piece = PIECES[dice.below(PIECES.len())].repeat(dice.below(30));
                body.splice(at..at, piece);
            }
        }
    }
}

/// An honest answer of the software that a source asks.
fn honest(kind: &SourceKind, question: &str) -> Option<String> {
    let of = |text| contracts::book(text).answer(question);
    match kind {
        SourceKind::CometBft { .. } => match question {
            "/status" => Some(STATUS.to_owned()),
            "/net_info" => Some(NET_INFO.to_owned()),
            _ => of(include_str!("cometbft/cosmos.json")),
        },
        SourceKind::Execution(_) => of(include_str!("execution/geth.json")),
        SourceKind::Consensus(_) => of(include_str!("consensus/lighthouse.json")),
        SourceKind::Substrate(_) => of(include_str!("substrate/polkadot.json")),
        SourceKind::Solana { .. } => of(include_str!("solana/agave.json")),
        SourceKind::Web3Signer(_) => of(include_str!("services/web3signer.json")),
        SourceKind::Hermes(_) => of(include_str!("services/hermes.json")),
        SourceKind::Chainlink(_) => of(include_str!("services/chainlink.json")),
        SourceKind::Scrape { .. } => Some(include_str!("metrics/hermes.txt").to_owned()),
        _ => Some(r#"{"height": "81204", "peers": [1, 2.5, null]}"#.to_owned()),
    }
}

/// So many broken answers for one kind of source.
async fn fuzz(kind: SourceKind, answers: u64) -> u64 {
    let given = Arc::new(AtomicU64::new(0));
    let dice = Arc::new(Mutex::new(Dice(0x5eed)));
    let (of, count) = (kind.clone(), Arc::clone(&given));
    let books = Mutex::new(std::collections::HashMap::<String, Vec<u8>>::new());
    let canned = move |url: &str, body: &[u8]| {
        count.fetch_add(1, Relaxed);
        let path = url.strip_prefix("http://127.0.0.1:1").unwrap_or(url);
        let question = asked(path, body);
        let mut answer = {
            let mut books = books.lock().unwrap();
            let read = || honest(&of, &question).unwrap_or_else(|| ERROR.to_owned()).into_bytes();
            books.entry(question.clone()).or_insert_with(read).clone()
        };
        let mut dice = dice.lock().unwrap();
        // Half of the answers are honest, so that the questions behind the first are reached as well.
        if dice.below(2) == 0 {
            mutate(&mut answer, &mut dice);
        }
        let status = [200, 200, 200, 200, 200, 200, 404, 500, 503][dice.below(9)];
        (status, answer)
    };
    let client = Client::canned(Arc::new(canned)).unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    let timeout = std::time::Duration::from_secs(30);
    let mut source = contracts::through(&client, &kind, address, timeout, None);
    let (signals, clock) = (source.signals().to_vec(), clock());
    while given.load(Relaxed) < answers {
        let poll = source.poll(&clock, &[2, 1_262_195, 22_000_000, 302_000_000]).await;
        assert_eq!(poll.values.len(), signals.len(), "{}", kind.name());
        for (signal, value) in &poll.values {
            match value {
                Ok(Value::Text(text)) => assert!(text.chars().count() <= 200, "{signal:?}: {text}"),
                Ok(Value::Whole(whole)) if signal.unit() == mainstay::signal::Unit::Flag => {
                    assert!(*whole <= 1, "{signal:?} is {whole}");
                }
                Err(Unknown::Invalid(why) | Unknown::WrongChain(why) | Unknown::OurSide(why)) => {
                    let fit = why.chars().count() <= 230 && !why.contains(char::is_control);
                    assert!(fit, "{signal:?}: {why}");
                }
                _ => {}
            }
        }
    }
    given.load(Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_answers_never_break_a_source() {
    let answers = std::env::var("FUZZ_ANSWERS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000);
    for kind in contracts::kinds() {
        let (name, began) = (kind.name(), std::time::Instant::now());
        let given = fuzz(kind, answers).await;
        println!("{name}: {given} answers in {:.1} s", began.elapsed().as_secs_f64());
    }
}
