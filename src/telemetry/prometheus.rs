//! A Prometheus that the operator's configuration names: one query for all targets of a policy, never one per pod.
//!
//! An instant query shows a series for five minutes after its last sample, and dates it with the time of the query.
//! So the samples' own times are asked for too, with `timestamp()`, and one that is older than the source's interval
//! allows is not known (T20), nor is one from the future (T21).

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{
    ask::{Trouble, document, encoded},
    client::{BODY_CAP, Client, Deadline},
    clock::Clock,
    number,
    text::excerpt,
};
use crate::signal::{Mono, Poll, Signal, Unknown, Value, Wall};

/// A sample from further in the future (milliseconds) is not believed: T21.
const FURTHEST: i64 = 60_000;
/// Points of a history that are read.
const MOST_POINTS: u64 = 500;

/// A Prometheus server. Its address comes from the operator's configuration, never from a policy.
#[derive(Clone, Debug)]
pub struct Prometheus {
    client: Client,
    base: String,
    authorization: Option<String>,
}

/// One query about the targets of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// In `PromQL`. `$namespace` stands for the policy's namespace.
    pub text: String,
    /// The namespace of the policy: series with another `namespace` label are not its, nor are those without one, unless
    /// the query asks for `$namespace`.
    pub namespace: String,
    /// The label that holds the pod's name.
    pub target_label: String,
    /// The signal that the value is.
    pub signal: Signal,
    /// How old a sample may be (milliseconds).
    pub stale_after: u64,
    /// How long an answer may take, in all.
    pub timeout: Duration,
}

#[derive(Deserialize)]
struct Answer<T> {
    status: String,
    data: Option<Data<T>>,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Data<T> {
    result: Vec<T>,
}

#[derive(Deserialize)]
struct Instant {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Range {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// For each pod's name what was measured, oldest first.
pub type History = BTreeMap<String, Vec<(Wall, Value)>>;

/// What was found of one target: its value, and when that was measured (milliseconds since the Unix epoch).
type Found = Result<(f64, i64), Unknown>;

impl Prometheus {
    /// The server at `base`, let in by this `Authorization` header.
    #[must_use]
    pub fn new(client: Client, base: &str, authorization: Option<String>) -> Self {
        Self { client, base: base.trim_end_matches('/').to_owned(), authorization }
    }

    /// Asks about all targets at once: for each pod's name a poll. Those that the answer does not name are not known
    /// (T09: an empty answer is neither health nor illness).
    pub async fn ask(&self, query: &Query, targets: &[String], clock: &dyn Clock) -> Vec<(String, Poll)> {
        let asked_at = clock.mono();
        let deadline = Deadline::within(query.timeout);
        let told = self.instant(query, deadline).await;
        let (now, wall) = (clock.mono(), clock.wall());
        let poll = |found: Found| {
            let dated = found.and_then(|(value, at)| dated(value, at, query, now, wall));
            let (value, observed_at) = match dated {
                Ok((value, observed_at)) => (Ok(value), observed_at),
                Err(why) => (Err(why), now),
            };
            let asked_at = asked_at.min(observed_at);
            Poll { asked_at, observed_at, values: vec![(query.signal, value)], ..Poll::default() }
        };
        targets
            .iter()
            .map(|target| {
                let found = match &told {
                    Err(why) => Err(why.clone()),
                    Ok(found) => found.get(target).cloned().unwrap_or_else(|| {
                        Err(Unknown::Invalid(format!("no series with {}=\"{target}\"", query.target_label)))
                    }),
                };
                (target.clone(), poll(found))
            })
            .collect()
    }

    /// What was measured over the last `back`, oldest first, for each pod's name: to know at the start what happened
    /// before it.
    pub async fn history(&self, query: &Query, back: Duration, clock: &dyn Clock) -> Result<History, Unknown> {
        let deadline = Deadline::within(query.timeout);
        let end = clock.wall().0 / 1000;
        let seconds = i64::try_from(back.as_secs()).unwrap_or(i64::MAX).min(86_400);
        let step = u64::try_from(seconds).unwrap_or(0).div_ceil(MOST_POINTS).max(15);
        let path = format!(
            "/api/v1/query_range?query={}&start={}&end={end}&step={step}",
            encoded(&query.filled()),
            end - seconds
        );
        let series: Vec<Range> = self.get(&path, deadline).await.map_err(|trouble| trouble.unknown())?;
        let mut history = History::new();
        for Range { metric, values } in series {
            let Some(target) = query.target_of(&metric) else { continue };
            let points = values.iter().filter_map(|(at, text)| {
                let value = number::value(text.parse().ok()?, query.signal.unit()).ok()?;
                Some((Wall(millis(*at)), value))
            });
            history.entry(target).or_default().extend(points);
        }
        Ok(history)
    }

    async fn instant(&self, query: &Query, deadline: Deadline) -> Result<BTreeMap<String, Found>, Unknown> {
        let text = query.filled();
        let ask = async |text: &str| {
            let path = format!("/api/v1/query?query={}", encoded(text));
            self.get::<Instant>(&path, deadline).await.map_err(|trouble| trouble.unknown())
        };
        let values = ask(&text).await?;
        // Of an expression this is the time of the query, of a selector that of the sample.
        let times = ask(&format!("timestamp({text})")).await?;
        let mut measured = BTreeMap::new();
        for Instant { metric, value: (_, text) } in times {
            if let (Some(target), Ok(seconds)) = (query.target_of(&metric), text.parse::<f64>()) {
                let at = millis(seconds);
                measured.entry(target).and_modify(|before: &mut i64| *before = at.min(*before)).or_insert(at);
            }
        }
        let mut found = BTreeMap::<String, Found>::new();
        for Instant { metric, value: (_, text) } in values {
            let Some(target) = query.target_of(&metric) else { continue };
            let told = match (text.parse::<f64>(), measured.get(&target)) {
                (Ok(value), Some(at)) => Ok((value, *at)),
                _ => Err(Unknown::Invalid(excerpt(format!("no number with a time: {text}").as_bytes()))),
            };
            // T10, T11: of two series neither is the one.
            found
                .entry(target)
                .and_modify(|known| {
                    let labels: Vec<_> = metric.keys().map(String::as_str).collect();
                    let why = format!("more than one series; their labels: {}", labels.join(", "));
                    *known = Err(Unknown::Invalid(excerpt(why.as_bytes())));
                })
                .or_insert(told);
        }
        Ok(found)
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        deadline: Deadline,
    ) -> Result<Vec<T>, Trouble> {
        let url = format!("{}{path}", self.base);
        let told = self.client.get_as(&url, self.authorization.as_deref(), deadline, BODY_CAP).await;
        let answer =
            told.map_err(|failure| Trouble::Unusable(Unknown::OurSide(format!("Prometheus: {failure}"))))?;
        let Answer { status, data, error } = document(&answer.body)?;
        if status != "success" {
            return Err(Trouble::invalid(&format!("Prometheus: {error}")));
        }
        Ok(data.map(|data| data.result).unwrap_or_default())
    }
}

impl Query {
    fn filled(&self) -> String {
        // A namespace is a DNS label: nothing in it could end a string.
        self.text.replace("$namespace", &self.namespace)
    }

    fn target_of(&self, metric: &BTreeMap<String, String>) -> Option<String> {
        // A series without the label is ours only if the query itself asked for our namespace.
        let ours = match metric.get("namespace") {
            Some(namespace) => *namespace == self.namespace,
            None => self.text.contains("$namespace"),
        };
        metric.get(&self.target_label).filter(|_| ours).cloned()
    }
}

/// A value and when it was observed by our monotonic clock, or why it is not known.
fn dated(value: f64, at: i64, query: &Query, now: Mono, wall: Wall) -> Result<(Value, Mono), Unknown> {
    let age = wall.0.saturating_sub(at);
    if age < -FURTHEST {
        return Err(Unknown::Invalid(format!("measured {} s in the future", -(age / 1000))));
    }
    let age = u64::try_from(age).unwrap_or(0);
    if age > query.stale_after {
        return Err(Unknown::Stale(age));
    }
    let value = number::value(value, query.signal.unit())?;
    Ok((value, Mono(now.0.saturating_sub(age))))
}

fn millis(seconds: f64) -> i64 {
    // Out of range becomes the end of the range, and that is out of time.
    #[expect(clippy::cast_possible_truncation)]
    let millis = (seconds * 1000.0) as i64;
    millis
}
