use serde_json::json;

use crate::notify::{State, tests::page, wire};

#[test]
fn a_webhook_gets_the_documented_object() {
    let now = "2026-01-02T03:05:00Z".parse().unwrap();
    let mut expected = json!({
        "version": 1, "sender": "mainstay", "dedupeKey": "k", "severity": "page", "state": "firing",
        "title": "val-0 makes no blocks", "text": "head has been 81204 for 60 s", "labels": {"target": "val-0"},
        "startsAt": "2026-01-02T03:04:05Z", "endsAt": null,
    });
    let mut notice = page("k");
    assert_eq!(wire::webhook(&notice, now), expected);
    notice.state = State::Resolved { at: now };
    expected["state"] = json!("resolved");
    expected["endsAt"] = json!("2026-01-02T03:05:00Z");
    assert_eq!(wire::webhook(&notice, now), expected);
}

#[test]
fn an_alertmanager_knows_the_end_by_the_same_labels() {
    let now = "2026-01-02T03:05:00Z".parse().unwrap();
    let mut notice = page("k");
    notice.labels.insert("app.kubernetes.io/name".into(), "gaiad".into());
    notice.labels.insert("0x".into(), "1".into());
    let firing = wire::alertmanager(&notice, now);
    assert_eq!(
        firing[0]["labels"],
        json!({
            "alertname": "MainstayPage", "severity": "page", "dedupe_key": "k", "target": "val-0",
            "app_kubernetes_io_name": "gaiad", "_0x": "1",
        })
    );
    assert_eq!(firing[0]["annotations"]["summary"], "val-0 makes no blocks");
    assert_eq!(firing[0]["endsAt"], "2026-01-03T03:05:00Z", "outlasts Alertmanager's resolve_timeout");
    notice.state = State::Resolved { at: now };
    let resolved = wire::alertmanager(&notice, now);
    assert_eq!(resolved[0]["labels"], firing[0]["labels"]);
    assert_eq!(resolved[0]["startsAt"], "2026-01-02T03:04:05Z");
    assert_eq!(resolved[0]["endsAt"], "2026-01-02T03:05:00Z");
}

#[test]
fn an_end_is_never_before_its_start() {
    let notice = crate::notify::Notice {
        state: State::Resolved { at: "2026-01-01T00:00:00Z".parse().unwrap() },
        ..page("k")
    };
    let alert = wire::alertmanager(&notice, "2026-01-02T03:05:00Z".parse().unwrap());
    assert_eq!(alert[0]["startsAt"], alert[0]["endsAt"]);
}

#[test]
fn alerts_go_below_the_base_address() {
    for (base, url) in [
        ("http://am:9093", "http://am:9093/api/v2/alerts"),
        ("http://am:9093/", "http://am:9093/api/v2/alerts"),
        ("https://example.org/am", "https://example.org/am/api/v2/alerts"),
        ("https://example.org/am/", "https://example.org/am/api/v2/alerts"),
    ] {
        assert_eq!(wire::alerts_url(&base.parse().unwrap()).as_str(), url);
    }
}
