//! Recordings: CSV, and what Prometheus answers to a range query.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{
    api::policy::Combine,
    cli::CliError,
    signal::{
        Signal, Value,
        metrics::{EXPORTERS, How, Metric, known},
    },
    sim::Recording,
    telemetry,
};

/// Why a recording could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It could not be read at all.
    #[error("{0}")]
    File(String),
    /// A line of CSV that is none.
    #[error(
        "{file}, line {line}: {why}; a line is time,target,signal,value, as in 2026-01-05T00:00:00Z,full-0,head,81204"
    )]
    Line {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// Why.
        why: String,
    },
    /// JSON that Prometheus does not answer a range query with.
    #[error("{file}: {why}; save what /api/v1/query_range answers")]
    Answer {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// No series tells a signal.
    #[error(
        "{file}: no series tells a signal that is known{named}; say which one it is: --recording SIGNAL={file}"
    )]
    NoSignal {
        /// The file.
        file: String,
        /// The metrics that it has instead.
        named: String,
    },
    /// A series does not say of which target it is.
    #[error("{file}: a series has none of the labels {labels}: say which one names its target with --label")]
    NoTarget {
        /// The file.
        file: String,
        /// The labels that were looked for.
        labels: String,
    },
    /// Nothing is in it.
    #[error("there is no point of any target in it")]
    Empty,
}

/// One point: target, signal, when (milliseconds since the epoch), value.
type Point = (String, Signal, i64, Value);

/// Reads recordings and puts them together.
pub fn recording(files: &[String], label: Option<&str>) -> Result<Recording, RecordingError> {
    let mut points = Vec::new();
    for argument in files {
        let named = argument.split_once('=').and_then(|(name, file)| Some((Signal::named(name)?, file)));
        let (signal, file) = named.map_or((None, argument.as_str()), |(signal, file)| (Some(signal), file));
        let text = super::super::read(file).map_err(|error: CliError| RecordingError::File(error.to_string()))?;
        if text.trim_start().starts_with('{') {
            points.extend(answer(file, &text, signal, label)?);
        } else {
            points.extend(csv(file, &text)?);
        }
    }
    Recording::of(points).ok_or(RecordingError::Empty)
}

/// `time,target,signal,value`, with or without that line at the top. A value that is empty was not known.
pub fn csv(file: &str, text: &str) -> Result<Vec<Point>, RecordingError> {
    let mut points = Vec::new();
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .comment(Some(b'#'))
        .trim(::csv::Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    for (index, record) in reader.records().enumerate() {
        let line = |why: String| RecordingError::Line { file: file.to_owned(), line: index as u64 + 1, why };
        let record = record.map_err(|error| line(error.to_string()))?;
        let fields: Vec<&str> = record.iter().collect();
        let [time, target, name, value] = fields[..] else {
            return Err(line(format!("it has {} fields", fields.len())));
        };
        if index == 0 && time == "time" {
            continue;
        }
        let signal = Signal::named(name).ok_or_else(|| line(format!("{name} is no signal")))?;
        if signal.is_derived() {
            return Err(line(format!("{name} follows from other signals: record those")));
        }
        if target.is_empty() || target == "@" {
            return Err(line("it names no target".into()));
        }
        let at = instant(time).ok_or_else(|| line(format!("{time} is neither a time nor seconds since 1970")))?;
        if value.is_empty() {
            continue;
        }
        points.push((target.to_owned(), signal, at, number(signal, value).map_err(line)?));
    }
    Ok(points)
}

fn instant(text: &str) -> Option<i64> {
    let written = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).ok();
    written.or_else(|| text.parse::<f64>().ok().and_then(milliseconds))
}

fn milliseconds(seconds: f64) -> Option<i64> {
    // Up to the year 9999.
    #[expect(clippy::cast_possible_truncation)]
    (0.0..253_402_300_800.0).contains(&seconds).then_some((seconds * 1000.0).round() as i64)
}

fn number(signal: Signal, text: &str) -> Result<Value, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    telemetry::signal_value(number, signal.unit()).map_err(|unknown| unknown.to_string())
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// What Prometheus answered. Several series of one target and signal are combined as the operator combines them.
pub fn answer(
    file: &str,
    text: &str,
    signal: Option<Signal>,
    label: Option<&str>,
) -> Result<Vec<Point>, RecordingError> {
    let wrong = |why: String| RecordingError::Answer { file: file.to_owned(), why };
    let answer: Answer = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if answer.data.result_type != "matrix" {
        return Err(wrong(format!("its result is a {}, and no matrix", answer.data.result_type)));
    }
    let labels: Vec<&str> = label.map_or_else(|| vec!["pod", "instance"], |label| vec![label]);
    let mut found = BTreeMap::<(String, Signal, i64), Vec<f64>>::new();
    let mut combines = BTreeMap::<Signal, Combine>::new();
    let mut strange = BTreeSet::new();
    for series in &answer.data.result {
        let Some((told, how, combine)) = meaning(&series.metric, signal) else {
            strange.extend(series.metric.get("__name__").cloned());
            continue;
        };
        combines.insert(told, combine);
        let target = labels.iter().find_map(|label| series.metric.get(*label));
        let target =
            target.ok_or_else(|| RecordingError::NoTarget { file: file.to_owned(), labels: labels.join(", ") })?;
        for (seconds, value) in &series.values {
            let at = milliseconds(*seconds).ok_or_else(|| wrong(format!("{seconds} is no time")))?;
            let number: f64 = value.parse().map_err(|_| wrong(format!("{value} is no number")))?;
            found.entry((target.clone(), told, at)).or_default().push(meant(how, number));
        }
    }
    if found.is_empty() {
        let named = if strange.is_empty() { String::new() } else { format!(" (it has {})", join(&strange)) };
        return Err(RecordingError::NoSignal { file: file.to_owned(), named });
    }
    let points = found.into_iter().filter_map(|((target, signal, at), numbers)| {
        let number = combined(combines.get(&signal).copied().unwrap_or(Combine::Sum), &numbers)?;
        // What is no value of the signal, such as NaN, was not known then.
        Some((target, signal, at, telemetry::signal_value(number, signal.unit()).ok()?))
    });
    Ok(points.collect())
}

fn join(names: &BTreeSet<String>) -> String {
    let first: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    let more = if names.len() > first.len() { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}

/// Which signal a series tells.
fn meaning(labels: &BTreeMap<String, String>, signal: Option<Signal>) -> Option<(Signal, How, Combine)> {
    if let Some(signal) = signal {
        return Some((signal, How::AsIs, Combine::Sum));
    }
    let name = labels.get("__name__")?;
    if name == "up" {
        return Some((Signal::Reachable, How::AsIs, Combine::Min));
    }
    let carries = |metric: &&Metric| {
        metric.labels.iter().all(|(label, value)| labels.get(*label).is_some_and(|found| found == value))
    };
    let all = EXPORTERS.iter().flat_map(|exporter| known(*exporter));
    // What needs our clock at the time of reading cannot be told afterwards.
    let tellable = |metric: &&Metric| matches!(metric.how, How::AsIs | How::Is(_) | How::IsNot(_));
    let found = all.filter(tellable).filter(|metric| metric.name == name).find(carries)?;
    Some((found.signal, found.how, found.combine))
}

fn meant(how: How, number: f64) -> f64 {
    let is = |wanted: u32| (number - f64::from(wanted)).abs() < f64::EPSILON;
    match how {
        How::Is(wanted) => f64::from(u8::from(is(wanted))),
        How::IsNot(wanted) => f64::from(u8::from(!is(wanted))),
        _ => number,
    }
}

fn combined(how: Combine, numbers: &[f64]) -> Option<f64> {
    let all = numbers.iter().copied();
    match how {
        Combine::Sum => Some(all.sum()),
        Combine::Min => all.reduce(f64::min),
        Combine::Max => all.reduce(f64::max),
    }
}
