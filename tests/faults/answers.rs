//! Faults in answers: made up, replaced, lost, old, or none at all.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;

use crate::proxy::{Answer, Fault, Outcome, number, request};
use crate::rig::{POD, PODS, Rig, SOON, is_reset};

#[tokio::test]
async fn an_answer_of_the_proxys_own_never_reaches_the_server() {
    let rig = Rig::start().await;
    rig.proxy.on(request().delete().resource("pods"), Fault::Answer(Answer::status(429).retry_after(7)));
    let answer = rig.open(Method::DELETE, POD).await.expect("an answer");
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(rig.mock.saw("DELETE"), 0);
    let record = &rig.proxy.log()[0];
    assert_eq!((record.fault, record.upstream, record.status()), (Some("answer"), None, Some(429)));

    // Once is once.
    assert_eq!(rig.send(Method::DELETE, POD).await.expect("an answer").0, 200);
}

#[tokio::test]
async fn a_made_up_answer_may_have_any_body() {
    let rig = Rig::start().await;
    rig.proxy.on(number(1), Fault::Answer(Answer::status(200).body("{ half an obj")));
    assert_eq!(rig.get(PODS).await, "{ half an obj");
}

#[tokio::test]
async fn a_kubernetes_client_understands_the_made_up_status() {
    let rig = Rig::start().await;
    let server = rig.proxy.url().parse().expect("a URL");
    let client = kube::Client::try_from(kube::Config::new(server)).expect("a client");
    rig.proxy.on(request().delete().resource("pods").name("node-0"), Fault::Answer(Answer::status(409)));
    let error = Api::<Pod>::namespaced(client, "chain").delete("node-0", &DeleteParams::default()).await;
    let Err(kube::Error::Api(status)) = error else { panic!("not an API error: {error:?}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
}

#[tokio::test]
async fn an_ambiguous_commit_is_done_and_denied() {
    let rig = Rig::start().await;
    rig.proxy.on(request().delete(), Fault::AnswerAfterForward(Answer::status(504)));
    assert_eq!(rig.send(Method::DELETE, POD).await.expect("an answer").0, 504);
    assert_eq!(rig.mock.saw("DELETE"), 1);
    assert_eq!(rig.send(Method::GET, POD).await.expect("an answer").0, 404, "the pod is gone");
    let record = &rig.proxy.log()[0];
    assert_eq!((record.upstream, record.status()), (Some(200), Some(504)));
}

#[tokio::test]
async fn a_lost_answer_is_done_and_reset() {
    let rig = Rig::start().await;
    rig.proxy.on(request().delete().resource("pods").nth(1), Fault::LostAnswer);
    let error = rig.send(Method::DELETE, POD).await.expect_err("no answer");
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(rig.mock.saw("DELETE"), 1);
    let record = rig.proxy.wait_for(request().faulted(), SOON).await.expect("it fired");
    assert_eq!((record.upstream, record.outcome), (Some(200), Outcome::Reset));
}

#[tokio::test]
async fn a_hang_lasts_as_long_as_the_client_waits() {
    let rig = Rig::start().await;
    rig.proxy.on(number(1), Fault::Hang);
    let waiting = tokio::spawn(rig.open(Method::DELETE, POD));
    let record = rig.proxy.wait_for(number(1), SOON).await.expect("it came");
    assert_eq!((record.fault, record.outcome), (Some("hang"), Outcome::Held));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());
    waiting.abort();
    assert_eq!(rig.mock.saw("DELETE"), 0);
    assert!(rig.get(PODS).await.contains("node-0"), "the others pass");
}

#[tokio::test]
async fn a_stale_read_shows_the_first_answer() {
    let rig = Rig::start().await;
    rig.proxy.on(request().list().resource("pods").nth(2), Fault::StaleRead);
    let first = rig.get(PODS).await;
    rig.send(Method::DELETE, POD).await.expect("an answer");
    let paged = format!("{PODS}?limit=500&resourceVersion=0");
    assert_eq!(rig.get(&paged).await, first, "the same list, however it is asked for");
    assert!(!rig.get(PODS).await.contains("node-0"), "and the present again");
    assert_eq!(rig.proxy.log()[2].upstream, None);
}

#[tokio::test]
async fn a_stale_read_of_something_new_is_forwarded() {
    let rig = Rig::start().await;
    rig.proxy.on(request().resource("pods").always(), Fault::StaleRead);
    rig.get(PODS).await;
    let selected = format!("{PODS}?labelSelector=app%3Dx");
    rig.get(&selected).await;
    rig.get(&selected).await;
    // A later page has no past of its own.
    let page = format!("{PODS}?continue=token");
    rig.get(&page).await;
    rig.get(&page).await;
    let reached: Vec<_> = rig.proxy.log().iter().map(|record| record.upstream.is_some()).collect();
    assert_eq!(reached, [true, true, false, true, true]);
}

#[tokio::test]
async fn faults_count_fire_and_go() {
    let rig = Rig::start().await;
    let statuses = async |n: usize| {
        let mut statuses = Vec::new();
        for _ in 0..n {
            statuses.push(rig.send(Method::GET, PODS).await.expect("an answer").0);
        }
        statuses
    };
    rig.proxy.on(request().list().nth(2).always(), Fault::Answer(Answer::status(503)));
    rig.proxy.on(request().list().nth(3), Fault::Answer(Answer::status(500)));
    rig.proxy.on(number(1), Fault::Answer(Answer::status(410)));
    assert_eq!(statuses(4).await, [410, 503, 503, 503], "the older of two faults");
    rig.proxy.clear();
    assert_eq!(statuses(2).await, [200, 200]);

    // A resource is not its subresources, and a fault may look at the body.
    rig.proxy.on(request().create().resource("pods").always(), Fault::Answer(Answer::status(500)));
    rig.proxy.on(
        request().resource("pods").subresource("eviction").that(|request| request.body.starts_with(b"{")).always(),
        Fault::Answer(Answer::status(429)),
    );
    let eviction = format!("{}{POD}/eviction", rig.proxy.url());
    let evict =
        async |body: &'static str| rig.client.post(&eviction).body(body).send().await.expect("an answer").status();
    assert_eq!(evict("").await, 201);
    assert_eq!(evict("{}").await, 429);
}

#[tokio::test]
async fn every_dimension_narrows() {
    let rig = Rig::start().await;
    for path in
        ["/api/v1/namespaces/a/pods/x", "/apis/apps/v1/namespaces/b/pods/x", "/api/v1/namespaces/b/nodes/y"]
    {
        for method in [Method::PUT, Method::PATCH, Method::GET] {
            rig.send(method, path).await.expect("an answer");
        }
    }
    assert_eq!(rig.proxy.count(&request()), 9);
    assert_eq!(rig.proxy.count(&request().group("apps")), 3);
    assert_eq!(rig.proxy.count(&request().namespace("b")), 6);
    assert_eq!(rig.proxy.count(&request().name("x").namespace("b").update()), 1);
    assert_eq!(rig.proxy.count(&request().get().resource("nodes").group("")), 1);
}
