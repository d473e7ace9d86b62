//! Telemetry that was recorded: nothing that is done changes it, so that nothing is done.

use std::collections::BTreeMap;

use super::{Pod, Stage};
use crate::{
    plan::Step,
    signal::{Mono, Poll, Signal, Unknown, Value},
};

/// Series of signals by target. Targets whose names begin with `@` are references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    series: BTreeMap<String, BTreeMap<Signal, Vec<(i64, Value)>>>,
    begins_at: i64,
    ends_at: i64,
    /// From one point to the next (milliseconds): the median over all series.
    spacing: u64,
    now: u64,
}

impl Recording {
    /// Puts series together: target, signal, when (milliseconds since the epoch) and what. `None` if there is nothing.
    #[must_use]
    pub fn of(points: impl IntoIterator<Item = (String, Signal, i64, Value)>) -> Option<Self> {
        let mut recording = Self { begins_at: i64::MAX, ends_at: i64::MIN, ..Self::default() };
        for (target, signal, at, value) in points {
            recording.begins_at = recording.begins_at.min(at);
            recording.ends_at = recording.ends_at.max(at);
            recording.series.entry(target).or_default().entry(signal).or_default().push((at, value));
        }
        let all = recording.series.values_mut().flat_map(BTreeMap::values_mut);
        all.for_each(|points| points.sort_by_key(|(at, _)| *at));
        recording.spacing = recording.spacing();
        (recording.begins_at <= recording.ends_at && recording.targets().next().is_some()).then_some(recording)
    }

    /// Its targets, without the references.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str).filter(|name| !name.starts_with('@'))
    }

    /// The names of its references.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.series.keys().filter_map(|name| name.strip_prefix('@'))
    }

    fn spacing(&self) -> u64 {
        let series = self.series.values().flat_map(BTreeMap::values);
        let gaps = series.flat_map(|points| points.windows(2).map(|pair| pair[1].0 - pair[0].0));
        let mut gaps: Vec<i64> = gaps.filter(|gap| *gap > 0).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).and_then(|gap| u64::try_from(*gap).ok()).unwrap_or(0)
    }

    /// What was known of a name now: a point counts until two more should have come.
    fn poll(&self, name: &str) -> Poll {
        let now = self.begins_at.saturating_add_unsigned(self.now);
        let lives = i64::try_from(self.spacing.saturating_mul(2)).unwrap_or(i64::MAX);
        let mut values = Vec::new();
        for (signal, points) in self.series.get(name).into_iter().flatten() {
            let next = points.partition_point(|(at, _)| *at <= now);
            let last = next.checked_sub(1).and_then(|index| points.get(index));
            let fresh = last.filter(|(at, _)| now - at <= lives);
            values.push((*signal, fresh.map_or(Err(Unknown::NoAnswer), |(_, value)| Ok(value.clone()))));
        }
        // Whoever told something was there. Whoever told nothing may be hung, or unseen: nobody can tell afterwards.
        let told = values.iter().any(|(_, value)| value.is_ok());
        if values.iter().all(|(signal, _)| *signal != Signal::Reachable) {
            let reachable = if told { Ok(Value::Whole(1)) } else { Err(Unknown::NoAnswer) };
            values.push((Signal::Reachable, reachable));
        }
        let at = Mono(super::run::EPOCH + self.now);
        Poll { asked_at: at, observed_at: at, values, ..Poll::default() }
    }
}

impl Stage for Recording {
    fn until(&self) -> u64 {
        u64::try_from(self.ends_at - self.begins_at).unwrap_or(0)
    }

    fn begins_at(&self) -> i64 {
        self.begins_at
    }

    fn tick(&mut self, now: u64) {
        self.now = now;
    }

    fn pods(&self) -> Vec<Pod> {
        self.targets().map(|name| Pod::new(name, self.begins_at)).collect()
    }

    fn poll(&self, pod: &Pod) -> Option<Poll> {
        Some(self.poll(&pod.name))
    }

    fn references(&self) -> Vec<(String, Poll)> {
        self.references().map(|name| (name.to_owned(), self.poll(&format!("@{name}")))).collect()
    }

    fn act(&mut self, _: &str, _: Step) -> bool {
        false
    }
}
