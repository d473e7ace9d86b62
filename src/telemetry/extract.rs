//! From a page of metrics to signals.

use std::collections::HashMap;

use super::{
    exposition::{Series, Sink},
    number,
    text::excerpt,
};
use crate::{
    api::policy::{Combine, Exporter},
    policy::Pick,
    signal::{
        Mono, Signal, Unknown, Value, Wall,
        metrics::{How, known},
    },
};

/// Series of one metric that are remembered. A page with more has something else in mind.
const MOST_SERIES: usize = 4096;
/// A series that says it is older (milliseconds) is not believed: T20.
const OLDEST: i64 = 300_000;
/// Nor one from further in the future: T21.
const FURTHEST: i64 = 60_000;

/// What is looked for on a page. Made once per source.
#[derive(Clone, Debug)]
pub(super) struct Extract {
    wants: Vec<Want>,
    /// For each name the wants that it serves; those that name it as their whole have the flag set.
    by_name: HashMap<String, Vec<(usize, bool)>>,
    /// Which marks the names that are looked for have: most names on a page are turned away here.
    filter: Box<[u64; 64]>,
}

/// One metric that is looked for.
#[derive(Clone, Debug)]
struct Want {
    signal: Signal,
    name: String,
    labels: Vec<(String, String)>,
    /// `None`: more than one series is an error.
    combine: Option<Combine>,
    how: How,
}

/// A value or a reason for each signal.
pub(super) type Values = Vec<(Signal, Result<Value, Unknown>)>;

/// What is remembered of each want from one page to the next: its value and since when it is that.
pub(super) type Kept = Vec<Option<(f64, Mono)>>;

/// What was found on one page.
pub(super) struct Page<'a> {
    extract: &'a Extract,
    wall: Wall,
    found: Vec<Found>,
}

#[derive(Clone, Debug, Default)]
struct Found {
    /// Per series a hash of its labels, and its value.
    series: Vec<(u64, f64)>,
    wholes: Vec<(u64, f64)>,
    trouble: Option<String>,
}

impl Extract {
    pub fn new(reads: Option<Exporter>, picks: &[Pick]) -> Self {
        let own = picks.iter().map(|pick| Want {
            signal: pick.signal,
            name: pick.at.clone(),
            labels: pick.labels.clone(),
            combine: pick.combine,
            how: How::AsIs,
        });
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let known = reads.map_or(&[][..], known).iter().map(|metric| Want {
            signal: metric.signal,
            name: metric.name.to_owned(),
            labels: metric.labels.iter().map(text).collect(),
            combine: Some(metric.combine),
            how: metric.how,
        });
        let wants: Vec<Want> = own.chain(known).collect();
        let mut by_name = HashMap::<String, Vec<(usize, bool)>>::new();
        for (index, want) in wants.iter().enumerate() {
            by_name.entry(want.name.clone()).or_default().push((index, false));
            if let How::UsedOf(whole) = want.how {
                by_name.entry(whole.to_owned()).or_default().push((index, true));
            }
        }
        let mut filter = Box::new([0; 64]);
        for name in by_name.keys() {
            let (place, bit) = mark(name);
            filter[place] |= bit;
        }
        Self { wants, by_name, filter }
    }

    pub fn nothing_kept(&self) -> Kept {
        vec![None; self.wants.len()]
    }

    pub fn page(&self, wall: Wall) -> Page<'_> {
        let found = vec![Found::default(); self.wants.len()];
        Page { extract: self, wall, found }
    }

    #[inline]
    fn may_want(&self, name: &str) -> bool {
        let (place, bit) = mark(name);
        self.filter[place] & bit != 0
    }
}

/// The length of a name, and a byte at its end and in its middle, as one of 4096 places.
#[inline]
fn mark(name: &str) -> (usize, u64) {
    let bytes = name.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().map_or(0, usize::from);
    let mark = bytes.len() * 131 + byte(bytes.len().saturating_sub(1)) * 31 + byte(bytes.len() / 2) * 7;
    (mark / 64 % 64, 1 << (mark % 64))
}

impl Sink for Page<'_> {
    #[inline]
    fn series(&mut self, series: &Series<'_>) {
        let name = series.plain_name();
        if name.is_empty() || self.extract.may_want(name) {
            self.wanted(series);
        }
    }

    fn bad(&mut self, line: &[u8], why: &str) {
        // A line that cannot be read may hide a series of a metric that is looked for.
        let end = line.iter().position(|byte| matches!(byte, b'{' | b' ' | b'\t')).unwrap_or(line.len());
        let Ok(name) = std::str::from_utf8(&line[..end]) else { return };
        for (index, _) in self.extract.by_name.get(name).into_iter().flatten() {
            self.found[*index].trouble = Some(format!("{name}: {why}"));
        }
    }
}

impl Page<'_> {
    fn wanted(&mut self, series: &Series<'_>) {
        let extract = self.extract;
        let Some(wanted_by) = extract.by_name.get(&*series.name()) else { return };
        for (index, whole) in wanted_by {
            let want = &extract.wants[*index];
            let carries =
                |(label, value): &(String, String)| series.labels.get(label).is_some_and(|is| is == *value);
            if !want.labels.iter().all(carries) {
                continue;
            }
            let found = &mut self.found[*index];
            let value = series.value();
            if let Some(trouble) = out_of_time(series.time(), self.wall) {
                found.trouble = Some(trouble);
            }
            if value.is_nan() {
                found.trouble = Some("NaN".into());
            }
            let key = hash(series.labels.as_str());
            let known = if *whole { &mut found.wholes } else { &mut found.series };
            match known.iter().find(|(other, _)| *other == key) {
                Some((_, before)) if before.to_bits() != value.to_bits() => {
                    found.trouble = Some("the same series twice, with two values".into());
                }
                Some(_) => {}
                None if known.len() >= MOST_SERIES => found.trouble = Some("too many series".into()),
                None => known.push((key, value)),
            }
        }
    }

    /// A value or a reason for each signal that is on the page.
    pub fn values(self, kept: &mut Kept, now: Mono, wall: Wall) -> Values {
        let mut values = Vec::<(Signal, Result<Value, Unknown>)>::new();
        for ((want, found), kept) in self.extract.wants.iter().zip(&self.found).zip(kept) {
            let there = !found.series.is_empty() || found.trouble.is_some();
            if there && values.iter().all(|(signal, _)| *signal != want.signal) {
                let value = found
                    .value(want)
                    .map_err(|why| Unknown::Invalid(excerpt(format!("{}: {why}", want.name).as_bytes())));
                values.push((want.signal, value.and_then(|value| convert(want, value, kept, now, wall))));
            }
        }
        values
    }
}

impl Found {
    fn value(&self, want: &Want) -> Result<f64, String> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        let mut values: Vec<f64> = self.series.iter().map(|(_, value)| *value).collect();
        if let How::UsedOf(whole) = want.how {
            values = self
                .series
                .iter()
                .filter_map(|(key, left)| {
                    let (_, whole) = self.wholes.iter().find(|(other, whole)| other == key && *whole > 0.0)?;
                    Some(1.0 - left / whole)
                })
                .collect();
            if values.is_empty() {
                return Err(format!("no {whole} to compare it with"));
            }
        }
        match want.combine {
            None if values.len() > 1 => {
                Err(format!("{} series where one is expected: name labels, or combine them", values.len()))
            }
            None | Some(Combine::Sum) => Ok(values.iter().sum()),
            Some(Combine::Min) => Ok(values.iter().copied().fold(f64::INFINITY, f64::min)),
            Some(Combine::Max) => Ok(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        }
    }
}

/// What a metric's value means.
fn convert(
    want: &Want,
    value: f64,
    kept: &mut Option<(f64, Mono)>,
    now: Mono,
    wall: Wall,
) -> Result<Value, Unknown> {
    let unit = want.signal.unit();
    let since = |at: Mono| Ok(Value::of_millis(now.since(at)));
    // Seconds since the epoch have room for fractions in a float until long after us.
    #[expect(clippy::cast_precision_loss)]
    let wall = wall.0 as f64 / 1000.0;
    let flag = |holds: bool| Ok(Value::Whole(u64::from(holds)));
    match want.how {
        How::AsIs | How::UsedOf(_) => number::value(value, unit),
        How::Is(number) => flag(value.to_bits() == f64::from(number).to_bits()),
        How::IsNot(number) => flag(value.to_bits() != f64::from(number).to_bits()),
        How::SinceUnix if value > 0.0 => number::value(wall - value, unit),
        How::UntilUnix if value > 0.0 => number::value(value - wall, unit),
        How::SinceUnix | How::UntilUnix => Err(Unknown::Invalid(format!("{}: no time", want.name))),
        How::Unchanged => {
            let at = kept.filter(|(before, _)| before.to_bits() == value.to_bits()).map_or(now, |(_, at)| at);
            *kept = Some((value, at));
            since(at)
        }
        How::NotZero => {
            let at = kept.filter(|(before, _)| *before > 0.0 && value > 0.0).map_or(now, |(_, at)| at);
            *kept = Some((value, at));
            since(if value > 0.0 { at } else { now })
        }
    }
}

/// T20, T21: a series that carries its own time must be of now.
fn out_of_time(time: Option<i64>, wall: Wall) -> Option<String> {
    let age = wall.0.saturating_sub(time?);
    if age > OLDEST {
        Some(format!("measured {} s ago", age / 1000))
    } else if age < -FURTHEST {
        Some(format!("measured {} s in the future", -(age / 1000)))
    } else {
        None
    }
}

/// FNV-1a: the same series has the same labels in the same order on every page of one exporter.
fn hash(labels: &str) -> u64 {
    labels
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
