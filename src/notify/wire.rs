//! What sinks receive.
//!
//! A `webhook` gets one JSON object:
//! ```json
//! {"version": 1, "sender": "mainstay", "dedupeKey": "…", "severity": "page", "state": "firing",
//!  "title": "…", "text": "…", "labels": {"target": "val-0"},
//!  "startsAt": "2026-01-02T03:04:05Z", "endsAt": null}
//! ```
//! `severity` is `page`, `notify` or `heartbeat`; `state` is `firing` or `resolved`, and `endsAt` is set once it is
//! resolved. Fields may be added within a version; receivers ignore what they do not know.
//!
//! An `alertmanager` gets an alert `MainstayPage`, `MainstayNotify` or `MainstayHeartbeat` with the labels
//! `severity`, `dedupe_key` and those of the notice, and the annotations `summary` and `description`.

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{Notice, Severity, State};

/// The body for a webhook.
pub(super) fn webhook(notice: &Notice, _now: Timestamp) -> Value {
    let Notice { dedupe_key, severity, state, title, text, labels, starts_at } = notice;
    let (state, ends_at) = match state {
        State::Firing { .. } => ("firing", None),
        State::Resolved { at } => ("resolved", Some(at)),
    };
    json!({
        "version": 1,
        "sender": "mainstay",
        "dedupeKey": dedupe_key,
        "severity": word(*severity),
        "state": state,
        "title": title,
        "text": text,
        "labels": labels,
        "startsAt": starts_at,
        "endsAt": ends_at,
    })
}

/// The body for Alertmanager's `POST /api/v2/alerts`.
///
/// `endsAt` is always there: an alert without one is over after Alertmanager's `resolve_timeout`, five minutes by
/// default, and a page is sent once.
pub(super) fn alertmanager(notice: &Notice, now: Timestamp) -> Value {
    let Notice { dedupe_key, severity, state, title, text, labels, starts_at } = notice;
    let ends_at = match state {
        State::Firing { expires_after } => SignedDuration::try_from(*expires_after)
            .ok()
            .and_then(|expiry| now.checked_add(expiry).ok())
            .unwrap_or(Timestamp::MAX),
        State::Resolved { at } => *at,
    };
    let alertname = match severity {
        Severity::Page => "MainstayPage",
        Severity::Notify => "MainstayNotify",
        Severity::Heartbeat => "MainstayHeartbeat",
    };
    // Alertmanager knows an alert by its labels alone: the same ones resolve it.
    let mut all: Map<_, _> = labels.iter().map(|(name, value)| (label_name(name), json!(value))).collect();
    all.insert("alertname".into(), json!(alertname));
    all.insert("severity".into(), json!(word(*severity)));
    all.insert("dedupe_key".into(), json!(dedupe_key));
    // Alertmanager refuses an end before the start, which two clocks can make.
    let starts_at = *starts_at.min(&ends_at);
    json!([{
        "labels": all,
        "annotations": {"summary": title, "description": text},
        "startsAt": starts_at,
        "endsAt": ends_at,
    }])
}

/// Where an Alertmanager at `base` takes alerts.
pub(super) fn alerts_url(base: &Url) -> Url {
    let mut url = base.clone();
    // Fails only for addresses without a path, which http and https always have.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v2", "alerts"]);
    }
    url
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Page => "page",
        Severity::Notify => "notify",
        Severity::Heartbeat => "heartbeat",
    }
}

/// Alertmanager's label names are `[a-zA-Z_][a-zA-Z0-9_]*`.
fn label_name(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let prefix = name.chars().next().is_none_or(|first| first.is_ascii_digit()).then_some('_');
    prefix.into_iter().chain(plain).collect()
}
