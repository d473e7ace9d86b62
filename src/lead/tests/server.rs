//! Through the real client, against an API server of one lease, under paused time.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::lead::{Clock, Leadership, Mono, Timing, campaign};

#[derive(Default)]
struct State {
    lease: Option<Value>,
    revision: u64,
    /// Writes are carried out, but their answers never come.
    mute: bool,
    calls: Vec<Method>,
}

#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<State>>);

impl ApiServer {
    fn client(&self) -> Client {
        let state = self.clone();
        let service = tower::service_fn(move |request| {
            let state = state.clone();
            async move { Ok::<_, Infallible>(state.serve(request).await) }
        });
        Client::new(service, "ns")
    }

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let sent: Option<Value> = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).ok();
        let (answer, mute) = self.0.lock().unwrap().apply(&parts.method, sent);
        if mute && parts.method != Method::GET {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn holder(&self) -> Option<String> {
        let state = self.0.lock().unwrap();
        state.lease.as_ref()?["spec"]["holderIdentity"].as_str().map(Into::into)
    }
}

impl State {
    fn apply(&mut self, method: &Method, sent: Option<Value>) -> (Response<Body>, bool) {
        self.calls.push(method.clone());
        let answer = match (method, sent, &self.lease) {
            (&Method::GET, _, Some(lease)) => reply(StatusCode::OK, lease),
            (&Method::GET | &Method::PUT, _, None) => refuse(404, "NotFound"),
            (&Method::POST, Some(lease), None) => self.store(lease),
            (&Method::PUT, Some(lease), Some(held))
                if lease["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"] =>
            {
                self.store(lease)
            }
            (&Method::POST, ..) => refuse(409, "AlreadyExists"),
            _ => refuse(409, "Conflict"),
        };
        (answer, self.mute)
    }

    fn store(&mut self, mut lease: Value) -> Response<Body> {
        self.revision += 1;
        lease["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        if lease["metadata"]["uid"].is_null() {
            lease["metadata"]["uid"] = json!(format!("uid-{}", self.revision));
        }
        reply(StatusCode::OK, self.lease.insert(lease))
    }
}

fn reply(code: StatusCode, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
}

fn refuse(code: u16, reason: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": reason});
    reply(StatusCode::from_u16(code).unwrap(), &status)
}

struct Replica {
    leadership: Leadership,
    clock: Clock,
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(server: &ApiServer, identity: &str) -> Self {
        let birth = Instant::now();
        let clock: Clock = Arc::new(move || Mono(u64::try_from(birth.elapsed().as_millis()).unwrap()));
        let (leave, left) = oneshot::channel();
        let leave_asked = async { drop(left.await) };
        let timing = Timing::default();
        let (leadership, task) =
            campaign(server.client(), "ns", "mainstay", identity, timing, Arc::clone(&clock), leave_asked);
        Self { leadership, clock, leave, task }
    }
    fn leads(&self) -> bool {
        self.leadership.leads((self.clock)())
    }
}

fn a_free_lease() -> ApiServer {
    let server = ApiServer::default();
    server.0.lock().unwrap().lease = Some(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {},
        "metadata": {"name": "mainstay", "uid": "shipped", "resourceVersion": "0", "labels": {"app": "mainstay"}},
    }));
    server
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_hands_over_on_leaving() {
    let server = a_free_lease();
    let mut a = Replica::start(&server, "a");
    assert!(a.leadership.changed().await);
    let mut b = Replica::start(&server, "b");
    sleep(Duration::from_secs(60)).await;
    assert!(a.leads() && !b.leads());

    a.leave.send(()).unwrap();
    a.task.await.unwrap();
    assert!(!a.leadership.changed().await);
    assert_eq!(server.holder(), None);
    let before = Instant::now();
    assert!(b.leadership.changed().await);
    assert!(before.elapsed() <= Duration::from_millis(2_500), "no lease to wait out");
    let lease = server.0.lock().unwrap().lease.clone().unwrap();
    assert_eq!(lease["metadata"]["labels"]["app"], "mainstay", "a write keeps what is not ours");
    assert_eq!(lease["spec"]["leaseTransitions"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_is_succeeded_after_its_lease() {
    let server = a_free_lease();
    let mut a = Replica::start(&server, "a");
    assert!(a.leadership.changed().await);
    let mut b = Replica::start(&server, "b");
    sleep(Duration::from_secs(5)).await;
    a.task.abort();
    assert!(!a.leadership.changed().await, "leadership runs out by itself");
    assert!(b.leadership.changed().await);
    assert!(!a.leads());
    assert_eq!(server.holder().as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn lost_answers_end_leadership_although_the_lease_is_held() {
    let server = a_free_lease();
    let mut a = Replica::start(&server, "a");
    assert!(a.leadership.changed().await);
    server.0.lock().unwrap().mute = true;
    assert!(!a.leadership.changed().await);
    assert_eq!(server.holder().as_deref(), Some("a"));
    server.0.lock().unwrap().mute = false;
    assert!(a.leadership.changed().await);
}

#[tokio::test(start_paused = true)]
async fn without_a_lease_the_first_start_waits_out_its_probation() {
    let server = ApiServer::default();
    let start = Instant::now();
    let mut a = Replica::start(&server, "a");
    assert!(a.leadership.changed().await);
    let waited = start.elapsed();
    assert!((Duration::from_secs(15)..Duration::from_secs(16)).contains(&waited), "{waited:?}");
    let calls = server.0.lock().unwrap().calls.clone();
    assert_eq!(calls[..2], [Method::GET, Method::POST]);
    assert!(calls[2..].iter().all(|call| call == Method::PUT), "{calls:?}");
}
