//! What a gate tells of itself, by the page of the real process.

use std::{
    collections::BTreeMap,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use mainstay::gate::privval::message::{PRECOMMIT, PROPOSAL};

use crate::{
    node::{Ask, Signatures, prevote},
    rig::{Server, Site},
};

/// The numbers on a page.
fn numbers(page: &str) -> BTreeMap<String, i64> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("mainstay_gate_")?.rsplit_once(' '));
    lines.map(|(name, number)| (name.to_owned(), number.parse().unwrap())).collect()
}

#[test]
fn the_page_tells_what_was_signed_and_refused_and_what_is_left() {
    let (server, site, mut signatures) = (Server::start(100), Site::with_page(), Signatures::default());
    let _gate = site.start(server.port);
    let mut node = site.accept();
    let mut signed = |ask: Ask| signatures.read(&node.ask(&ask.frame()).unwrap());
    let begun = Instant::now();
    while !signed(prevote(101, 1)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", site.log());
        thread::sleep(Duration::from_millis(20));
    }
    let before = numbers(&site.page());
    for (ask, is_signed) in [
        (Ask { kind: PRECOMMIT, ..prevote(101, 1) }, true),
        (Ask { kind: PROPOSAL, ..prevote(102, 1) }, true),
        (prevote(102, 1), true),
        (prevote(103, 1), true),
        // Of this there is a signature, which is given again and is none more.
        (prevote(103, 1), true),
        (prevote(103, 2), false),
        (prevote(102, 1), false),
        (prevote(101, 1), false),
        (prevote(1 << 62, 1), false),
    ] {
        assert_eq!(signed(ask), is_signed, "{ask:?}");
    }
    let page = numbers(&site.page());
    let more = |name: &str| page[name] - before.get(name).copied().unwrap_or_default();
    for (name, expected) in [
        ("signatures_total{step=\"proposal\"}", 1),
        ("signatures_total{step=\"prevote\"}", 2),
        ("signatures_total{step=\"precommit\"}", 1),
        ("refusals_total{reason=\"Conflict\"}", 1),
        ("refusals_total{reason=\"Behind\"}", 2),
        ("refusals_total{reason=\"Jump\"}", 1),
        ("requests_total{outcome=\"signed\"}", 4),
        ("requests_total{outcome=\"signed_again\"}", 1),
        ("requests_total{outcome=\"refused\"}", 4),
    ] {
        assert_eq!(more(name), expected, "{name}: {page:#?}");
    }
    for (name, expected) in [("epoch", 1), ("holding", 1), ("latched", 0), ("connections_total", 1)] {
        assert_eq!(page[name], expected, "{name}");
    }
    // The ceiling is raised beside; what is left is counted from the height that was asked for last.
    let left = || (numbers(&site.page())["window_left"], i64::try_from(server.record().ceiling.0).unwrap() - 103);
    while left().0 != left().1 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", left());
        thread::sleep(Duration::from_millis(20));
    }
    assert!((1..=10).contains(&left().0), "{:?}", left());

    node.0.write_all(&[0xff; 8]).unwrap();
    assert_eq!(node.answer(), None, "nobody talks on with who talks nonsense");
    let mut again = site.accept();
    assert!(again.ask(&prevote(103, 1).frame()).is_some());
    let page = site.page();
    is_explained(&page);
    let page = numbers(&page);
    assert_eq!((page["broken_connections_total{reason=\"too_long\"}"], page["connections_total"]), (1, 2));
}

/// All that is on a page stands in the document, too.
fn is_explained(page: &str) {
    let told = include_str!("../../docs/failover/gate.md");
    let names: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE mainstay_gate_")).collect();
    // Each of them has been counted by now: a page leaves out what has not.
    assert_eq!(names.len(), 11, "{page}");
    for name in names {
        let (name, kind) = name.split_once(' ').unwrap();
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        assert!(told.contains(&format!("_{name}`")) || told.contains(&format!("_{name}{{")), "{name}");
    }
}
