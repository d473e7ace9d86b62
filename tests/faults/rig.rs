//! What the proofs stand on: a toy API server with a few pods, the proxy before it, and a client before that.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::stream;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use crate::proxy::{Call, FaultProxy, Upstream, Verb};

/// Long enough for a loaded machine; nothing waits so long unless it fails.
pub const SOON: Duration = Duration::from_secs(10);
pub const PODS: &str = "/api/v1/namespaces/chain/pods";
pub const POD: &str = "/api/v1/namespaces/chain/pods/node-0";
pub const WATCH: &str = "/api/v1/namespaces/chain/pods?watch=true";

/// The toy API server: pods that can be read, watched and deleted.
pub struct Mock {
    pods: Mutex<Vec<String>>,
    requests: Mutex<Vec<String>>,
    /// Lines for every watch of a resource; no line ends it.
    events: broadcast::Sender<(String, Option<String>)>,
}

impl Mock {
    pub async fn start() -> (Arc<Self>, String) {
        // The provider is the process's; a client of the tests' own may come before the proxy's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mock = Arc::new(Self {
            pods: Mutex::new(vec!["node-0".into(), "node-1".into()]),
            requests: Mutex::default(),
            events: broadcast::channel(16).0,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(serve).with_state(mock.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (mock, url)
    }

    /// Sends a line to every watch of `resource`.
    pub fn emit(&self, resource: &str, line: &str) {
        self.events.send((resource.to_owned(), Some(line.to_owned()))).expect("somebody watches");
    }

    /// Ends every watch of `resource`.
    pub fn end(&self, resource: &str) {
        self.events.send((resource.to_owned(), None)).expect("somebody watches");
    }

    /// Whether any watch is open.
    pub fn is_watched(&self) -> bool {
        self.events.receiver_count() > 0
    }

    /// How many requests of this method got here.
    pub fn saw(&self, method: &str) -> usize {
        self.requests.lock().expect("not poisoned").iter().filter(|seen| *seen == method).count()
    }

    fn watch(&self, resource: String) -> Body {
        let events = self.events.subscribe();
        Body::from_stream(stream::unfold((events, resource), |(mut events, resource)| async move {
            loop {
                let (of, line) = events.recv().await.ok()?;
                if of == resource {
                    return line.map(|line| (Ok::<_, io::Error>(line), (events, resource)));
                }
            }
        }))
    }
}

async fn serve(State(mock): State<Arc<Mock>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a whole body");
    mock.requests.lock().expect("not poisoned").push(head.method.to_string());
    let call = Call::read(&head.method, &head.uri.to_string());
    let mut pods = mock.pods.lock().expect("not poisoned");
    match (call.verb, call.resource.as_str(), &call.name) {
        _ if call.streams() => Response::new(mock.watch(call.resource.clone())),
        (Verb::List, "pods", _) => reply(StatusCode::OK, &json!({"kind": "PodList", "items": *pods})),
        (Verb::Get, "pods", Some(name)) if pods.contains(name) => reply(StatusCode::OK, &json!({"name": name})),
        (Verb::Delete, "pods", Some(name)) if pods.contains(name) => {
            pods.retain(|pod| pod != name);
            reply(StatusCode::OK, &json!({"kind": "Status", "status": "Success"}))
        }
        (_, "pods", Some(_)) if call.subresource.is_none() => reply(StatusCode::NOT_FOUND, &json!({})),
        _ => reply(StatusCode::CREATED, &echo(&head, &body)),
    }
}

fn echo(head: &http::request::Parts, body: &Bytes) -> Value {
    let headers: Vec<_> = head.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    json!({"uri": head.uri.to_string(), "headers": headers, "body": String::from_utf8_lossy(body)})
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
}

/// The toy server, the proxy, and a client of the proxy.
pub struct Rig {
    pub mock: Arc<Mock>,
    pub proxy: FaultProxy,
    pub client: reqwest::Client,
}

impl Rig {
    pub async fn start() -> Self {
        let (mock, url) = Mock::start().await;
        let proxy = FaultProxy::start(Upstream::unverified(&url)).await.expect("the proxy starts");
        Self { mock, proxy, client: client() }
    }

    /// One request through the proxy, answered in full.
    pub async fn send(&self, method: Method, path: &str) -> reqwest::Result<(u16, String)> {
        let answer = self.open(method, path).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// One request through the proxy, answered with a head and a body to come.
    pub fn open(
        &self,
        method: Method,
        path: &str,
    ) -> impl Future<Output = reqwest::Result<reqwest::Response>> + use<> {
        self.client.request(method, format!("{}{path}", self.proxy.url())).send()
    }

    pub async fn get(&self, path: &str) -> String {
        self.send(Method::GET, path).await.expect("an answer").1
    }
}

/// A client with connections of its own, as a restarted operator has.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// Whether the connection was reset under the client, and not closed in good order.
pub fn is_reset(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionReset) {
            return true;
        }
        cause = error.source();
    }
    false
}
