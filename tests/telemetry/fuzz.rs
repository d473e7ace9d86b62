//! Broken answers by the million, through the very code that real ones go through. The run that is part of the tests is
//! short; `make fuzz` is the long one, and prints how much it did.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mainstay::{
    api::{Family, policy::PortName},
    policy::{Reference, Source as Asked, SourceKind},
    signal::{Signal, Unit, Unknown, Value},
    telemetry::{AnySource, Client, Expected, Prometheus, Source},
};

use crate::{
    ERROR, NET_INFO, STATUS, clock,
    contracts::{self, PORT},
    dice::Dice,
    hostile::asked,
    pages::PAGES,
    rows,
};

const BASE: &str = "http://127.0.0.1:1";

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
    for _ in 0..=dice.index(4) {
        let at = dice.index(body.len() + 1);
        match dice.index(7) {
            0 => body.truncate(at),
            1 => {
                let piece = PIECES[dice.index(PIECES.len())];
                body.splice(at..at, piece.iter().copied());
            }
            2 if at < body.len() => body[at] = u8::try_from(dice.index(256)).unwrap(),
            3 if at < body.len() => drop(body.remove(at)),
            4 => {
                // A run of the body once more, somewhere else.
                let to = (at + dice.index(40)).min(body.len());
                let run = body[at..to].to_vec();
                let place = dice.index(body.len() + 1);
                body.splice(place..place, run);
            }
            5 => {
                let to = (at + dice.index(20)).min(body.len());
                let piece = PIECES[dice.index(PIECES.len())];
                body.splice(at..to, piece.iter().copied());
            }
            _ => {
                let piece = PIECES[dice.index(PIECES.len())].repeat(dice.index(30));
                body.splice(at..at, piece);
            }
        }
    }
}

/// An honest answer of the software that a source asks.
fn honest(kind: &SourceKind, family: Family, question: &str) -> Option<String> {
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
        SourceKind::Feed { .. } | SourceKind::Wallet { .. } => on_chain(family, question),
        _ => Some(r#"{"height": "81204", "peers": [1, 2.5, null]}"#.to_owned()),
    }
}

/// An honest answer of a chain about a wallet or a feed.
fn on_chain(family: Family, question: &str) -> Option<String> {
    let latest = r#"{"number":"0x10","hash":"0xaa","timestamp":"0x66321af8","gasLimit":"0x1","gasUsed":"0x0","transactions":[]}"#;
    let words = format!("\"0x{:064x}{:064x}{:064x}{:064x}{:064x}\"", 7, 123, 1, 1_714_560_000, 7);
    let result = match (family, question.split([' ', '?']).next().unwrap_or_default()) {
        (Family::CometBFT, path) if path.contains("/balances/") => {
            return Some(r#"{"balance":{"denom":"uatom","amount":"1500000"}}"#.to_owned());
        }
        (Family::CometBFT, _) => return contracts::book(include_str!("cometbft/cosmos.json")).answer(question),
        (_, "eth_chainId") => "\"0x1\"",
        (_, "eth_getBlockByNumber") => latest,
        (_, "eth_call") => &words,
        (_, "eth_getBalance") => "\"0x14d1120d7b160000\"",
        (_, "getGenesisHash") => "\"5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d\"",
        (_, "getBalance") => r#"{"context":{"slot":1},"value":1500000000}"#,
        _ => return None,
    };
    Some(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#))
}

/// Something that reads answers, and what it is asked with.
struct Parser {
    name: String,
    family: Family,
    kind: SourceKind,
    /// What it reads, if the same whatever is asked.
    page: Option<&'static str>,
}

/// Each kind of source, what chains tell of wallets and feeds, and each exporter's page.
fn parsers() -> Vec<Parser> {
    let mut kinds = contracts::kinds();
    kinds[0] = SourceKind::CometBft { port: PORT, rest: Some(PORT) };
    kinds.push(SourceKind::Feed { contract: format!("0x{}", "5".repeat(40)), heartbeat: 3_600_000 });
    let family = Family::EthereumExecution;
    let named = |kind: SourceKind| Parser { name: kind.name().to_owned(), family, kind, page: None };
    let mut parsers: Vec<_> = kinds.into_iter().map(named).collect();
    for family in [Family::EthereumExecution, Family::CometBFT, Family::Solana] {
        let kind = SourceKind::Wallet { address: "x".into(), denom: "uatom".into(), decimals: 6 };
        parsers.push(Parser { name: format!("wallet of {family:?}"), family, kind, page: None });
    }
    for (text, exporter, _) in PAGES {
        let (path, reads) = ("/metrics".into(), Some(*exporter));
        let kind = SourceKind::Scrape { port: PORT, path, reads, picks: Vec::new() };
        let name = text.lines().next().unwrap_or_default().trim_start_matches("# transcribed from ").to_owned();
        parsers.push(Parser { name, family: Family::Other, kind, page: Some(text) });
    }
    parsers
}

/// Answers of the honest, half of them broken.
struct Liar {
    client: Client,
    broken: Arc<AtomicU64>,
}

fn liar(honest: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Liar {
    let broken = Arc::new(AtomicU64::new(0));
    let (dice, count) = (Mutex::new(Dice(0x5eed)), Arc::clone(&broken));
    let books = Mutex::new(HashMap::<String, Vec<u8>>::new());
    let canned = move |url: &str, body: &[u8]| {
        let path = url.strip_prefix(BASE).unwrap_or(url);
        let question = asked(path, body);
        let mut answer = {
            let mut books = books.lock().unwrap();
            let read = || honest(&question).unwrap_or_else(|| ERROR.to_owned()).into_bytes();
            books.entry(question.clone()).or_insert_with(read).clone()
        };
        let mut dice = dice.lock().unwrap();
        // Half of the answers are honest, so that the questions behind the first are reached as well.
        if dice.index(2) == 0 {
            count.fetch_add(1, Relaxed);
            mutate(&mut answer, &mut dice);
        }
        let status = [200, 200, 200, 200, 200, 200, 404, 500, 503][dice.index(9)];
        (status, answer)
    };
    Liar { client: Client::canned(Arc::new(canned)).unwrap(), broken }
}

/// Whatever was answered: a value that its unit allows, or a reason that is short enough to be told.
fn sound(signal: Signal, value: &Result<Value, Unknown>) {
    match value {
        Ok(Value::Text(text)) => assert!(text.chars().count() <= 200, "{signal:?}: {text}"),
        Ok(Value::Whole(whole)) if signal.unit() == Unit::Flag => assert!(*whole <= 1, "{signal:?} is {whole}"),
        Err(Unknown::Invalid(why) | Unknown::WrongChain(why) | Unknown::OurSide(why)) => {
            assert!(why.chars().count() <= 230 && !why.contains(char::is_control), "{signal:?}: {why}");
        }
        _ => {}
    }
}

/// So many broken answers for one parser.
async fn fuzz(Parser { name, family, kind, page }: Parser, answers: u64) {
    let of = kind.clone();
    let liar = liar(move |question| page.map(str::to_owned).or_else(|| honest(&of, family, question)));
    let asked = Asked { name: "x".into(), kind, every: 5_000, timeout: 30_000 };
    let reference = Reference { name: "x".into(), url: BASE.into(), rest: Some(BASE.into()) };
    let base = |_: &PortName| Ok(BASE.to_owned());
    let mut source = AnySource::with(&asked, &liar.client, family, &[reference], Expected::any(), &base).unwrap();
    let (signals, clock, began) = (source.signals().to_vec(), clock(), Instant::now());
    let mut known = 0;
    while liar.broken.load(Relaxed) < answers {
        let poll = source.poll(&clock, &[2, 1_262_195, 22_000_000, 302_000_000]).await;
        assert_eq!(poll.values.len(), signals.len());
        poll.values.iter().for_each(|(signal, value)| sound(*signal, value));
        known += poll.values.iter().filter(|(_, value)| value.is_ok()).count();
    }
    assert!(known > 0, "{name}: even the honest answers were not understood");
    println!("{name}: {answers} broken answers in {:.1} s", began.elapsed().as_secs_f64());
}

/// The same for a Prometheus, which is asked about many at once, and about what was.
async fn fuzz_prometheus(answers: u64) {
    let liar = liar(|question| {
        let value = if question.contains("timestamp%28") { "1564660340" } else { "7" };
        let (kind, values) = if question.contains("query_range") {
            ("matrix", format!(r#""values":[[1564660300,"1"],[1564660315,"{value}"]]"#))
        } else {
            ("vector", format!(r#""value":[1564660345,"{value}"]"#))
        };
        let series = |pod: &str| format!(r#"{{"metric":{{"pod":"{pod}","namespace":"cosmos"}},{values}}}"#);
        let result = format!("{},{}", series("val-0"), series("val-1"));
        Some(format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{result}]}}}}"#))
    });
    let prometheus = Prometheus::new(liar.client, BASE, None);
    let (query, clock, began) = (rows::query(Signal::MissedBlocks), clock(), Instant::now());
    let targets = ["val-0".to_owned(), "val-1".to_owned()];
    let mut known = 0;
    while liar.broken.load(Relaxed) < answers {
        for (_, poll) in prometheus.ask(&query, &targets, &clock).await {
            poll.values.iter().for_each(|(signal, value)| sound(*signal, value));
            known += poll.values.iter().filter(|(_, value)| value.is_ok()).count();
        }
        for (_, points) in prometheus.history(&query, Duration::from_secs(600), &clock).await.unwrap_or_default() {
            for (_, value) in points {
                sound(query.signal, &Ok(value));
            }
        }
    }
    assert!(known > 0, "even the honest answers were not understood");
    println!("prometheus: {answers} broken answers in {:.1} s", began.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_answers_never_break_a_source() {
    let answers = std::env::var("FUZZ_ANSWERS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000);
    for parser in parsers() {
        fuzz(parser, answers).await;
    }
    fuzz_prometheus(answers).await;
}
