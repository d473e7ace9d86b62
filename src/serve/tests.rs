use std::time::Duration;

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{sync::oneshot, time::advance};
use tower::ServiceExt;

use super::*;
use crate::signal::Testimony;

async fn get(router: &Router, path: &str) -> (u16, String, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let kind = answer.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_task_that_hangs_or_ended_is_not_alive() {
    let vitals = Vitals::default();
    let router = router(vitals.clone());
    assert_eq!(get(&router, "/livez").await.0, 200, "nothing is essential yet");
    let judge = vitals.liveness.pulse("judge", Duration::from_secs(10));
    drop(vitals.liveness.pulse("lease", Duration::from_secs(30)));
    advance(Duration::from_secs(10)).await;
    assert_eq!(get(&router, "/livez").await.0, 200);
    advance(Duration::from_secs(1)).await;
    assert_eq!(get(&router, "/livez").await, (500, "text/plain; charset=utf-8".into(), "stuck: judge\n".into()));
    judge.beat();
    assert_eq!(get(&router, "/livez").await.0, 200);
    advance(Duration::from_secs(20)).await;
    assert_eq!(get(&router, "/livez").await.2, "stuck: judge, lease\n");
}

#[tokio::test]
async fn readiness_names_what_it_waits_for() {
    let vitals = Vitals::default();
    let router = router(vitals.clone());
    assert_eq!(get(&router, "/readyz").await.0, 503, "nothing has said yet what must be there");
    let crds = vitals.readiness.gate("crds");
    let cache = vitals.readiness.gate("cache");
    cache.ready();
    crds.waiting("networks.mainstay.dev");
    let (code, kind, body) = get(&router, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, kind.as_str()), (503, "application/json"));
    assert_eq!(body["ready"], false);
    assert_eq!(body["gates"]["crds"]["state"], "Waiting");
    assert_eq!(body["gates"]["crds"]["for"], "networks.mainstay.dev");
    assert_eq!(body["gates"]["cache"]["state"], "Ready");
    let (code, kind, text) = get(&router, "/readyz?verbose").await;
    assert_eq!((code, kind.as_str()), (503, "text/plain; charset=utf-8"));
    assert!(
        text.contains("[-] crds waiting for networks.mainstay.dev since 2") && text.ends_with("not ready\n"),
        "{text}"
    );
    crds.ready();
    assert_eq!(get(&router, "/readyz").await.0, 200);
}

#[test]
fn since_is_kept_while_a_gate_says_the_same() {
    let readiness = Readiness::default();
    let gate = readiness.gate("crds");
    gate.waiting("a");
    let before = readiness.report();
    gate.waiting("a");
    assert_eq!(readiness.report(), before);
}

#[tokio::test]
async fn metrics_are_openmetrics_with_every_name() {
    let vitals = Vitals::default();
    let Metrics {
        verdict_transitions,
        refusals,
        remediations,
        effects,
        polls,
        notices,
        reconcile_errors,
        watch_restarts,
        targets,
        leader,
        cache_age,
        heartbeat,
        oldest_reconcile,
        ..
    } = &vitals.metrics;
    verdict_transitions.get_or_create(&Verdict { verdict: "Healthy" }).inc();
    refusals.get_or_create(&Guard { guard: "budget" }).inc();
    remediations.get_or_create(&ActionResult { action: "restart", result: "Succeeded" }).inc();
    effects.get_or_create(&Effect { effect: "evict", outcome: "Done" }).inc();
    polls.get_or_create(&Poll { source: "cometbft", result: "ok" }).inc();
    notices.get_or_create(&NoticeResult { sink_kind: "webhook", result: "delivered" }).inc();
    reconcile_errors.get_or_create(&Controller { controller: "policy", kind: "read" }).inc();
    watch_restarts.get_or_create(&WatchKind { kind: "Pod" }).inc();
    targets.get_or_create(&Verdict { verdict: "Healthy" }).set(3);
    leader.set(1);
    heartbeat.set(12.5);
    oldest_reconcile.set(0.25);
    let _ = cache_age;
    vitals.metrics.before_scrape(|metrics| {
        metrics.cache_age.get_or_create(&CacheKind { kind: "Pod" }).set(1.5);
    });
    vitals.metrics.healed(Stage::Healthy, 42.0);
    let (code, kind, text) = get(&router(vitals), "/metrics").await;
    assert_eq!((code, kind.as_str()), (200, OPENMETRICS));
    for line in [
        "mainstay_verdict_transitions_total{verdict=\"Healthy\"} 1",
        "mainstay_refusals_total{guard=\"budget\"} 1",
        "mainstay_remediations_total{action=\"restart\",result=\"Succeeded\"} 1",
        "mainstay_effects_total{effect=\"evict\",outcome=\"Done\"} 1",
        "mainstay_polls_total{source=\"cometbft\",result=\"ok\"} 1",
        "mainstay_notices_total{sink_kind=\"webhook\",result=\"delivered\"} 1",
        "mainstay_reconcile_errors_total{controller=\"policy\",kind=\"read\"} 1",
        "mainstay_watch_restarts_total{kind=\"Pod\"} 1",
        "mainstay_targets{verdict=\"Healthy\"} 3",
        "mainstay_leader 1",
        "mainstay_cache_age_seconds{kind=\"Pod\"} 1.5",
        "mainstay_heartbeat_timestamp_seconds 12.5",
        "mainstay_oldest_reconcile_seconds 0.25",
        "mainstay_heal_seconds_bucket{le=\"30.0\",stage=\"healthy\"} 0",
        "mainstay_heal_seconds_bucket{le=\"60.0\",stage=\"healthy\"} 1",
        "mainstay_heal_seconds_bucket{le=\"3600.0\",stage=\"healthy\"} 1",
    ] {
        assert!(text.lines().any(|written| written == line), "{line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn only_questions_are_answered() {
    let router = router(Vitals::default());
    let post = Request::post("/livez").body(Body::from("x")).unwrap();
    assert_eq!(router.clone().oneshot(post).await.unwrap().status(), 405);
    assert_eq!(get(&router, "/secrets").await.0, 404);
}

#[tokio::test]
async fn other_replicas_are_told_what_is_seen_of_one_target_and_no_more() {
    let vitals = Vitals::default();
    let router = router(vitals.clone());
    assert_eq!(get(&router, "/vantage/p/u").await.0, 503, "nothing is seen yet");
    vitals.outlook.opens(|policy, pod| match (policy, pod) {
        ("p", "u") => Testimony::Reaches { age: 812 },
        _ => Testimony::Unknown { why: "it is not watched here".into() },
    });
    let seen = (200, "application/json".to_owned(), r#"{"reaches":{"age":812}}"#.to_owned());
    assert_eq!(get(&router, "/vantage/p/u").await, seen);
    for strange in ["/vantage/p/v", "/vantage/%00/%ff%fe", &format!("/vantage/p/{}", "u".repeat(8_000))] {
        let (code, _, body) = get(&router, strange).await;
        assert!((code == 200 || code == 400) && body.len() < 200, "{strange}: {code} {body}");
        assert!(!body.contains("reaches"), "{strange}: {body}");
    }
    for listing in ["/vantage", "/vantage/", "/vantage/p", "/vantage/p/", "/vantage/p/u/v"] {
        assert_eq!(get(&router, listing).await.0, 404, "{listing}: nobody is told which targets there are");
    }
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_again() {
    let seats = Arc::new(Semaphore::new(1));
    let router = Router::new()
        .route("/", axum::routing::get(|| async { "ok" }))
        .layer(middleware::from_fn_with_state(Arc::clone(&seats), bounded));
    let taken = seats.acquire().await.unwrap();
    assert_eq!(get(&router, "/").await.0, 503);
    drop(taken);
    assert_eq!(get(&router, "/").await.0, 200);
}

#[tokio::test]
async fn it_listens_and_ends_when_asked_although_a_client_stalls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, router(Vitals::default()), async { drop(stopped.await) }));
    let mut polite = tokio::net::TcpStream::connect(address).await.unwrap();
    polite.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    polite.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut stalled = tokio::net::TcpStream::connect(address).await.unwrap();
    stalled.write_all(b"GET /livez HT").await.unwrap();
    // From here on only the farewell's timer is left, so time may jump.
    tokio::time::pause();
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    drop(stalled);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = listen("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = listen(&address).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("failed to listen on {address}: ")), "{error}");
}
