//! Without faults: everything passes as it is, and the log tells it truly.

use http::Method;

use crate::proxy::{Call, FaultProxy, Outcome, Upstream, Verb, number, request};
use crate::rig::{Mock, POD, PODS, Rig, SOON, client, is_reset};

#[tokio::test]
async fn requests_pass_unchanged() {
    let rig = Rig::start().await;
    let url = format!("{}/apis/coordination.k8s.io/v1/namespaces/a/leases?fieldManager=m%2F1", rig.proxy.url());
    let answer = rig.client.post(url).bearer_auth("secret").body("{\"x\":1}").send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    let echo: serde_json::Value = answer.json().await.expect("the echo");
    assert_eq!(echo["uri"], "/apis/coordination.k8s.io/v1/namespaces/a/leases?fieldManager=m%2F1");
    assert_eq!(echo["body"], "{\"x\":1}");
    let headers = echo["headers"].to_string();
    assert!(headers.contains("Bearer secret"), "{headers}");
    assert!(
        !headers.contains(rig.proxy.url().trim_start_matches("http://")),
        "the host is the API server's: {headers}"
    );
}

#[tokio::test]
async fn the_log_numbers_requests_and_tells_what_became_of_them() {
    let rig = Rig::start().await;
    rig.get(PODS).await;
    rig.send(Method::DELETE, POD).await.expect("an answer");
    rig.send(Method::DELETE, POD).await.expect("an answer");

    let log = rig.proxy.log();
    assert_eq!(log.iter().map(|record| record.k).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        log.iter().map(|record| record.call.verb).collect::<Vec<_>>(),
        [Verb::List, Verb::Delete, Verb::Delete]
    );
    assert_eq!(log.iter().map(|record| record.upstream).collect::<Vec<_>>(), [Some(200), Some(200), Some(404)]);
    assert_eq!(log[2].status(), Some(404));
    assert_eq!(log[1].body_hash(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let times = log[1].times;
    let phases = [Some(times.received), times.forwarded, times.answered, times.settled];
    assert!(phases.iter().all(Option::is_some) && phases.is_sorted(), "{times:?}");

    assert_eq!(rig.proxy.count(&request().delete().resource("pods").name("node-0")), 2);
    assert_eq!(rig.proxy.wait_for(request().delete().nth(2), SOON).await.expect("there").k, 3);
}

#[tokio::test]
async fn waiting_ends_when_the_request_comes_or_time_is_up() {
    let rig = Rig::start().await;
    let (seen, _) = tokio::join!(rig.proxy.wait_for(number(1), SOON), rig.get(PODS));
    assert_eq!(seen.expect("seen").call.path, PODS);

    let error = rig.proxy.wait_for(request().patch().resource("pods"), std::time::Duration::ZERO).await;
    let error = error.expect_err("nobody patched").to_string();
    assert_eq!(error, "not seen in time: request { verb: Patch, resource: \"pods\", .. }");
}

#[tokio::test]
async fn an_unreachable_server_is_a_broken_connection() {
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.and_then(|socket| socket.local_addr());
    let nowhere = format!("http://{}", nowhere.expect("a port that was free"));
    let proxy = FaultProxy::start(Upstream::unverified(&nowhere)).await.expect("the proxy starts");
    let error = client().get(proxy.url()).send().await.expect_err("nobody there");
    assert!(is_reset(&error), "{error:?}");
    let record = proxy.wait_for(number(1), SOON).await.expect("logged");
    assert_eq!((record.outcome, record.upstream), (Outcome::Reset, None));
    assert!(record.error.is_some());
}

#[tokio::test]
async fn a_wrong_authority_is_refused_at_the_start() {
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(FaultProxy::start(Upstream::trusting("https://127.0.0.1:1", garbage)).await.is_err());
}

#[test]
fn calls_are_read_as_the_api_server_reads_them() {
    // Verb, group, resource, subresource, namespace, name.
    let readings = [
        ("GET /api/v1/pods", "List - pods - - -"),
        ("GET /api/v1/pods?watch=1", "Watch - pods - - -"),
        ("GET /api/v1/pods?watch", "Watch - pods - - -"),
        ("GET /api/v1/pods?watch=false", "List - pods - - -"),
        ("GET /api/v1/pods?fieldSelector=metadata.name%3Dx", "List - pods - - x"),
        ("GET /api/v1/namespaces/a/pods/x", "Get - pods - a x"),
        ("POST /api/v1/namespaces/a/pods/x/eviction", "Create - pods eviction a x"),
        ("PATCH /apis/g/v1/namespaces/a/rs/x/status", "Patch g rs status a x"),
        ("PUT /apis/g/v1/rs/x", "Update g rs - - x"),
        ("DELETE /api/v1/namespaces/a/pods", "DeleteCollection - pods - a -"),
        ("DELETE /api/v1/namespaces/a", "Delete - namespaces - - a"),
        ("PUT /api/v1/namespaces/a/finalize", "Update - namespaces finalize - a"),
        ("GET /api/v1/namespaces", "List - namespaces - - -"),
        ("GET /apis/g/v1", "Get g - - - -"),
        ("GET /version", "Get - - - - -"),
    ];
    for (asked, expected) in readings {
        let (method, path) = asked.split_once(' ').expect("a method and a path");
        let call = Call::read(&method.parse().expect("a method"), path);
        let some = |field: Option<String>| field.filter(|field| !field.is_empty()).unwrap_or("-".into());
        let fields = [Some(call.group), Some(call.resource), call.subresource, call.namespace, call.name];
        assert_eq!(format!("{:?} {}", call.verb, fields.map(some).join(" ")), expected, "{asked}");
    }
}

#[tokio::test]
async fn a_redirected_path_goes_elsewhere_and_nothing_else_does() {
    let (mock, url) = Mock::start().await;
    let upstream = Upstream::unverified(&url).redirecting("/namespaces/a/leases", "/namespaces/b/leases");
    let rig = Rig { mock, proxy: FaultProxy::start(upstream).await.expect("the proxy starts"), client: client() };
    let group = "/apis/coordination.k8s.io/v1";
    for (asked, reached) in [("a/leases/x", "b/leases/x"), ("a/pods", "a/pods"), ("aa/leases", "aa/leases")] {
        let answer = rig.send(Method::PUT, &format!("{group}/namespaces/{asked}")).await.expect("an answer");
        assert!(answer.1.contains(&format!("{group}/namespaces/{reached}")), "{asked}: {answer:?}");
    }
    assert_eq!(rig.proxy.log()[0].call.namespace.as_deref(), Some("a"), "the log tells what was asked for");
}
