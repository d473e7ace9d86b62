//! The wire, the queue under paused time with a scripted door, and the real client against a loopback server.

use super::*;

mod door;
mod queue;
mod wire;

fn page(key: &str) -> Notice {
    Notice {
        dedupe_key: key.to_owned(),
        severity: Severity::Page,
        state: State::Firing { expires_after: Notice::DAY },
        title: "val-0 makes no blocks".to_owned(),
        text: "head has been 81204 for 60 s".to_owned(),
        labels: BTreeMap::from([("target".to_owned(), "val-0".to_owned())]),
        starts_at: "2026-01-02T03:04:05Z".parse().unwrap(),
    }
}

fn counted(metrics: &Metrics, sink_kind: &'static str, result: &'static str) -> u64 {
    metrics.notices.get_or_create(&NoticeResult { sink_kind, result }).get()
}
