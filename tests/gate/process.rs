//! The real process: killed at any moment, without an API server, told to end, started wrongly; and what it costs.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use mainstay::{
    failover::Phase,
    gate::{
        privval::message::{PRECOMMIT, PROPOSAL},
        process::alone,
        store::{Slots, StoreError},
    },
};

use crate::{
    CHAIN,
    dice::Dice,
    node::{Ask, Signatures, prevote},
    rig::{Gate, Node, Server, Site, durable_write, identity, median, refused},
    vectors::exchanges,
};

const PING: [u8; 3] = [2, 0x3a, 0];

fn pub_key() -> Vec<u8> {
    exchanges().iter().find(|exchange| exchange.name == "the key").unwrap().request.clone()
}

/// Asks until there is a signature; at the next height each time, as a chain that goes on, if `on`.
fn first_signed(node: &mut Node, signatures: &mut Signatures, mut height: i64, block: u8, on: bool) -> i64 {
    let begun = Instant::now();
    while !signatures.read(&node.ask(&prevote(height, block).frame()).expect("it answers")) {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is signed at {height}");
        height += i64::from(on);
        thread::sleep(Duration::from_millis(20));
    }
    height
}

#[test]
fn killed_at_any_moment_it_signs_nothing_twice() {
    let (server, site, mut signatures) = (Server::start(100), Site::new(), Signatures::default());
    let mut random = Dice(7);
    let mut height = 101;
    for life in 0..8 {
        let gate = site.start(server.port);
        let mut node = site.accept();
        height = first_signed(&mut node, &mut signatures, height, life, true);
        let ends = Instant::now() + Duration::from_millis(random.below(300));
        let killer = thread::spawn(move || {
            thread::sleep(ends.saturating_duration_since(Instant::now()));
            drop(gate);
        });
        // It is asked for more as fast as it answers, until it is gone.
        while let Some(answer) = node.ask(&prevote(height + 1, life).frame()) {
            if signatures.read(&answer) {
                height += 1;
                let precommit = Ask { kind: PRECOMMIT, ..prevote(height, life) };
                let _ = node.ask(&precommit.frame()).is_some_and(|answer| signatures.read(&answer));
            } else {
                thread::sleep(Duration::from_millis(2));
            }
        }
        killer.join().unwrap();
        site.forget();
        // The next one's node has forgotten all of it.
        height -= i64::try_from(random.below(5)).unwrap();
    }
    let (lines, places) = (site.lines(), signatures.places());
    println!("8 lives, {} signatures, {} lines", places.len(), lines.len());
    // What left is in the diary; the last line of a life may be of one that did not.
    for place in &places {
        assert!(lines.iter().any(|line| (line.height, line.round) == (place.height, place.round)), "{place:?}");
    }
    assert!(lines.len() <= places.len() + 8);
}

#[test]
fn without_an_api_server_it_answers_and_ends() {
    let (server, site) = (Server::start(100), Site::new());
    server.hangs.store(true, Ordering::Relaxed);
    let gate = site.start(server.port);
    let mut node = site.accept();
    for _ in 0..100 {
        assert!(node.ask(&pub_key()).is_some());
        assert_eq!(node.ask(&PING).unwrap(), [0x42, 0]);
        assert!(!Signatures::default().read(&node.ask(&prevote(101, 1).frame()).unwrap()));
    }
    gate.signal("TERM");
    // It goes on answering as long as it tries to give back what it holds.
    assert_eq!(node.ask(&PING).unwrap(), [0x42, 0]);
    let (code, took) = gate.end();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn told_to_end_it_gives_back_the_rest_of_its_window() {
    let (server, site, mut signatures) = (Server::start(100), Site::new(), Signatures::default());
    let gate = site.start(server.port);
    let mut node = site.accept();
    let height = first_signed(&mut node, &mut signatures, 101, 1, false);
    assert!(server.record().ceiling.0 > height.unsigned_abs());
    gate.signal("TERM");
    let (code, took) = gate.end();
    assert_eq!(code, Some(0), "{}", site.log());
    let record = server.record();
    assert_eq!((record.lowered, record.ceiling.0), (true, height.unsigned_abs()));
    assert!(matches!(record.phase, Phase::Active(_)));
    println!("ended after {took:?}");
    // Its successor waits for nothing.
    let _gate = site.start(server.port);
    let mut node = site.accept();
    first_signed(&mut node, &mut signatures, height + 1, 2, false);
}

/// A node that asks for nonsense again and again, and for what is right between.
#[test]
fn nonsense_is_told_and_fills_no_log() {
    let (server, site, mut signatures) = (Server::start(100), Site::new(), Signatures::default());
    let _gate = site.start(server.port);
    let mut node = site.accept();
    let height = first_signed(&mut node, &mut signatures, 101, 1, false);
    for _ in 0..200 {
        assert!(!signatures.read(&node.ask(&prevote(1 << 62, 1).frame()).unwrap()));
        assert!(signatures.read(&node.ask(&prevote(height, 1).frame()).unwrap()));
    }
    let told = site.log().matches("the node asks for a height").count();
    assert_eq!(told, 1, "{}", site.log());
}

/// A container may start while the one before it still dies.
#[test]
fn of_two_on_one_volume_the_second_waits_for_the_end_of_the_first() {
    let (server, site, mut signatures) = (Server::start(100), Site::new(), Signatures::default());
    let first = site.start(server.port);
    let mut node = site.accept();
    let height = first_signed(&mut node, &mut signatures, 101, 1, false);
    let _second = site.start(server.port);
    let begun = Instant::now();
    while !site.log().contains("another process has it") {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", site.log());
        thread::sleep(Duration::from_millis(20));
    }
    // It has claimed nothing meanwhile.
    assert!(signatures.read(&node.ask(&prevote(height + 1, 1).frame()).unwrap()));
    assert_eq!(server.record().claims, 1);
    assert!(site.log().contains(&site.path("state/slots").display().to_string()), "{}", site.log());
    drop(first);
    let mut node = site.accept();
    first_signed(&mut node, &mut signatures, height + 2, 2, true);
    assert_eq!(server.record().claims, 2);
}

#[tokio::test]
async fn who_does_not_end_is_waited_for_no_longer_than_that() {
    let folder = tempfile::tempdir().unwrap();
    let slots = Slots::open(folder.path()).unwrap();
    let (begun, patience) = (Instant::now(), Duration::from_millis(300));
    assert!(matches!(alone(folder.path(), patience).await, Err(StoreError::Taken { .. })));
    assert!(begun.elapsed() >= patience);
    drop(slots);
    alone(folder.path(), Duration::ZERO).await.unwrap();
}

#[test]
fn what_is_started_wrongly_says_what_to_do() {
    let (server, site) = (Server::start(100), Site::new());
    let port = server.port;
    let said = refused(&mut site.command(port, &format!("{CHAIN}.{}", "0".repeat(64))));
    assert!(said.contains("another key"), "{said}");
    let said = refused(&mut site.command(port, CHAIN));
    assert!(said.contains("CHAIN_ID.PUBLIC_KEY"), "{said}");
    fs::set_permissions(site.path("key.json"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = refused(&mut site.command(port, &identity()));
    assert!(said.contains("0644") && said.contains("mainstay copy-key"), "{said}");
    fs::set_permissions(site.path("key.json"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_dir(site.path("state")).unwrap();
    let said = refused(&mut site.command(port, &identity()));
    assert!(said.contains("state"), "{said}");
}

/// What a signature costs beside the durable write that it waits for, how soon a node that starts is answered, and how much
/// memory it takes. `make bench-gate`.
#[test]
#[ignore = "measures this machine: make bench-gate"]
fn measured_is_a_whole_gate() {
    const SIGNATURES: usize = 2_000;
    let (server, site, mut signatures) = (Server::start(100), Site::new(), Signatures::default());
    let mut starts: Vec<_> = (0..20)
        .map(|_| {
            let gate = site.start(server.port);
            let mut node = site.accept();
            assert!(node.ask(&pub_key()).is_some());
            let took = gate.begun.elapsed();
            drop(gate);
            site.forget();
            took
        })
        .collect();
    let gate = site.start(server.port);
    let mut node = site.accept();
    let mut height = first_signed(&mut node, &mut signatures, 101, 1, true);
    let small = gate.anonymous();
    let mut times = Vec::new();
    while times.len() < SIGNATURES {
        // Ten rounds at each height: without an RPC nobody says that the chain has come far.
        let round = i32::try_from(times.len() % 10).unwrap();
        let frame = Ask { round, ..prevote(height + 1, 1) }.frame();
        let begun = Instant::now();
        let answer = node.ask(&frame).unwrap();
        let took = begun.elapsed();
        if signatures.read(&answer) {
            times.push(took);
            height += i64::from(round == 9);
        } else {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let disk = durable_write(&site.path("state"));
    let million = a_million(&mut node, height);
    let large = gate.anonymous();
    height += 1;
    assert!(signatures.read(&node.ask(&prevote(height, 1).frame()).unwrap()));
    let (start, signature) = (median(&mut starts), median(&mut times));
    let late = (starts[starts.len() - 1], times[times.len() * 99 / 100]);
    println!("from start to first answer: {start:?}, at most {:?} of {}", late.0, starts.len());
    println!("a signature: {signature:?}, 99 in 100 within {:?}; a durable write alone: {disk:?}", late.1);
    println!("a million requests: {million:?}");
    println!("memory of its own: {small} kB, after a million requests {large} kB");
    assert!(start < Duration::from_millis(100));
    assert!(signature.saturating_sub(disk) < Duration::from_millis(1));
    assert!(large < 16 * 1024);
    works(&gate, &mut node, &mut signatures, height);
    assert!(gate.anonymous() < 16 * 1024);
}

/// Keeps a gate at work for `AT_WORK` seconds, with some fifty requests in each, which is more than a fast chain asks for: ten
/// rounds at each height.
fn works(gate: &Gate, node: &mut Node, signatures: &mut Signatures, mut height: i64) {
    const TELL: Duration = Duration::from_secs(300);
    let seconds = env::var("AT_WORK").ok().filter(|text| !text.is_empty());
    let seconds: u64 = seconds.map_or(0, |text| text.parse().expect("AT_WORK, in seconds"));
    let (long, begun) = (Duration::from_secs(seconds), Instant::now());
    let (mut told, mut round, mut signed) = (TELL, 0, 0);
    while begun.elapsed() < long {
        thread::sleep(Duration::from_millis(20));
        let frame = Ask { round, ..prevote(height + 1, 1) }.frame();
        // What is refused is asked for again, until the ceiling is there.
        if signatures.read(&node.ask(&frame).unwrap()) {
            signed += 1;
            height += i64::from(round == 9);
            round = (round + 1) % 10;
        }
        if begun.elapsed() >= told.min(long) {
            println!("at work for {:?}: {signed} signatures, {} kB", told.min(long), gate.anonymous());
            told += TELL;
        }
    }
    assert!(signed >= 20 * seconds, "{signed} signatures in {long:?}");
}

/// Most of them are wrong; none gets a signature that was not there.
fn a_million(node: &mut Node, height: i64) -> Duration {
    let round = [
        prevote(height, 1).frame(),
        prevote(height, 2).frame(),
        prevote(height - 1, 1).frame(),
        prevote(1 << 62, 1).frame(),
        prevote(-1, 1).frame(),
        Ask { block: None, ..prevote(height, 1) }.frame(),
        Ask { kind: PROPOSAL, ..prevote(height, 1) }.frame(),
        pub_key(),
        PING.to_vec(),
        PING.to_vec(),
    ];
    let (begun, said) = (Instant::now(), round.concat().repeat(100));
    let mut to = node.0.try_clone().unwrap();
    let speaker = thread::spawn(move || (0..1_000).for_each(|_| to.write_all(&said).unwrap()));
    for _ in 0..1_000_000 {
        node.answer().unwrap();
    }
    speaker.join().unwrap();
    begun.elapsed()
}
