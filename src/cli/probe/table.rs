//! What a poll tells, for people and for programs.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{FAMILIES, Subject};
use crate::{
    network::NetworkView,
    signal::{Mono, Observatory, Poll, Reading, Signal, Value, Wall},
};

/// One line of the table.
struct Row {
    signal: Signal,
    reading: Reading,
}

/// Every signal that the source tells or time derives, in the order of the catalogue.
fn rows(poll: &Poll, state: &Observatory, now: Mono) -> Vec<Row> {
    let told = poll.values.iter().map(|(signal, _)| *signal);
    let with_head = poll.values.iter().any(|(signal, _)| *signal == Signal::Head);
    let derived = [Signal::HeadAge, Signal::SyncRate].into_iter().filter(|_| with_head);
    let mut signals: Vec<_> = told.chain(derived).collect();
    signals.sort_unstable();
    // Alone with one node, its silence is taken at its word.
    let view = NetworkView { witness_at: Some(now), witness_within: u64::MAX, ..NetworkView::default() };
    let read = |signal| Row { signal, reading: crate::judge::read(signal, state, &view, now) };
    signals.into_iter().map(read).collect()
}

/// The table.
pub fn table(subject: &Subject, poll: &Poll, state: &Observatory, now: Mono, again: bool) -> String {
    let mut text = String::new();
    if again {
        // Back to the upper left, and nothing of what was there.
        text.push_str("\x1b[H\x1b[2J");
    }
    let identity = poll.told.identity.as_ref();
    let chain = identity.map_or("unknown", |identity| identity.chain.as_str());
    let version = identity.map_or("", |identity| identity.version.as_str());
    let _ = writeln!(
        text,
        "{} at {}: chain {chain}{}{version}",
        family(subject),
        subject.base,
        if version.is_empty() { "" } else { ", version " }
    );
    if let Some(upgrade) = &poll.told.upgrade {
        let planned = upgrade.as_ref().map(|upgrade| format!("{} at height {}", upgrade.name, upgrade.height));
        let _ = writeln!(text, "planned upgrade: {}", planned.unwrap_or_else(|| "none".into()));
    }
    let _ = writeln!(text, "\n{:<20} {:>24} {:<7} {:>6}  why not", "signal", "value", "unit", "age");
    for Row { signal, reading } in rows(poll, state, now) {
        let (value, age, why) = match &reading {
            Reading::Known(sample) => {
                let age = format!("{:.1} s", millis(now.since(sample.observed_at)));
                (shown(&sample.value), age, String::new())
            }
            Reading::Unknown(why) => ("-".into(), String::new(), why.to_string()),
        };
        let _ = writeln!(text, "{:<20} {value:>24} {:<7} {age:>6}  {why}", signal.name(), signal.unit().symbol());
    }
    // Without blanks at the ends of lines.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

/// One document.
pub fn json(subject: &Subject, poll: &Poll, state: &Observatory, now: Mono, wall: Wall) -> String {
    let signals = rows(poll, state, now).into_iter().map(|Row { signal, reading }| {
        let mut told = json!({"unit": signal.unit().symbol()});
        match reading {
            Reading::Known(sample) => {
                told["value"] = number(&sample.value);
                told["ageSeconds"] = json!(millis(now.since(sample.observed_at)));
            }
            Reading::Unknown(why) => told["unknown"] = json!(why.to_string()),
        }
        (signal.name().to_owned(), told)
    });
    let identity = poll.told.identity.as_ref();
    let upgrade = poll.told.upgrade.as_ref();
    let document = json!({
        "family": family(subject),
        "source": subject.source.kind.name(),
        "address": subject.base,
        "time": Timestamp::from_millisecond(wall.0).map(|time| time.to_string()).unwrap_or_default(),
        "chain": identity.map(|identity| &identity.chain),
        "version": identity.map(|identity| &identity.version),
        "upgrade": upgrade.map(|plan| plan.as_ref().map(|plan| json!({"name": plan.name, "height": plan.height}))),
        "signals": signals.collect::<serde_json::Map<String, Json>>(),
    });
    format!("{document}\n")
}

fn family(subject: &Subject) -> &'static str {
    FAMILIES.iter().find(|(_, family)| *family == subject.family).map_or("Other", |(name, _)| *name)
}

/// Whole numbers as they are, the rest as decimal numbers: a height is exact, and a time is no height.
fn number(value: &Value) -> Json {
    match value {
        Value::Whole(whole) => json!(whole),
        #[expect(clippy::cast_precision_loss)]
        Value::Micros(micros) => json!(*micros as f64 / 1e6),
        Value::Text(text) => json!(text),
    }
}

/// Hashes are long, and their beginning says enough.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 24 { text } else { text.chars().take(23).chain(['…']).collect() }
}

#[expect(clippy::cast_precision_loss)]
fn millis(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
