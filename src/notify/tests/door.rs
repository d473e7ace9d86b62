//! The real client against a real server on loopback. Nothing here asserts how long anything takes.

use std::{
    convert::Infallible,
    io::Write,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as With,
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{counted, page};
use crate::{
    config::{Endpoint, Sink},
    notify::{
        Delivery, Notifier,
        http::{HttpDoor, client_within},
        queue::{Door, Outcome},
    },
    serve::Metrics,
};

type Respond = dyn Fn(usize) -> Response + Send + Sync;

/// Answers its n-th request by a function of n, and remembers all of them.
#[derive(Clone)]
struct Server {
    base: String,
    asked: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
    respond: Arc<Respond>,
}

impl Server {
    async fn start(respond: impl Fn(usize) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { base, asked: Arc::default(), respond: Arc::new(respond) };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        server
    }
    fn endpoint(&self, authorization_file: Option<PathBuf>) -> Endpoint {
        Endpoint { url: format!("{}/hook/secret", self.base).parse().unwrap(), authorization_file }
    }
    async fn post(&self) -> Outcome {
        self.post_with(None).await
    }
    async fn post_with(&self, authorization_file: Option<PathBuf>) -> Outcome {
        post_to(&Sink::Webhook(self.endpoint(authorization_file)), Duration::from_secs(60)).await
    }
    fn asked(&self) -> Vec<(String, HeaderMap, Value)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(With(server): With<Server>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let count = {
        let mut asked = server.asked.lock().unwrap();
        asked.push((uri.path().to_owned(), headers, serde_json::from_slice(&body).unwrap()));
        asked.len()
    };
    (server.respond)(count)
}

async fn post_to(sink: &Sink, timeout: Duration) -> Outcome {
    HttpDoor::new(client_within([sink], timeout).unwrap(), sink).post(&page("k")).await
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Later { why, .. } | Outcome::Refused { why } => why,
        Outcome::Delivered => panic!("delivered"),
    }
}

#[tokio::test]
async fn a_server_that_errs_once_gets_it_the_second_time() {
    let server = Server::start(|n| if n == 1 { 500 } else { 200 }.into_status()).await;
    let metrics = Metrics::default();
    let sinks = [
        ("hook".to_owned(), Sink::Webhook(server.endpoint(None))),
        (
            "alerts".to_owned(),
            Sink::Alertmanager(Endpoint { url: server.base.parse().unwrap(), authorization_file: None }),
        ),
    ];
    let notifier = Notifier::new(&sinks.into(), metrics.clone()).unwrap();
    assert_eq!(notifier.send(&["hook".into()], page("k")).await, Ok(Delivery::Delivered));
    assert_eq!(notifier.send(&["alerts".into()], page("k")).await, Ok(Delivery::Delivered));
    let asked = server.asked();
    let paths: Vec<_> = asked.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["/hook/secret", "/hook/secret", "/api/v2/alerts"]);
    assert_eq!(asked[0].2["dedupeKey"], "k");
    assert_eq!(asked[2].2[0]["labels"]["dedupe_key"], "k");
    assert_eq!(asked[0].1["content-type"], "application/json");
    assert!(asked.iter().all(|(_, headers, _)| !headers.contains_key("authorization")));
    assert_eq!(
        (counted(&metrics, "webhook", "delivered"), counted(&metrics, "alertmanager", "delivered")),
        (1, 1)
    );
}

#[tokio::test]
async fn an_answer_says_whether_to_come_again() {
    for code in [400, 413, 415, 422] {
        let server = Server::start(move |_| code.into_status()).await;
        assert!(matches!(server.post().await, Outcome::Refused { .. }), "{code}");
    }
    for code in [401, 403, 404, 408, 429, 500, 502, 503, 504] {
        let server = Server::start(move |_| code.into_status()).await;
        assert!(matches!(server.post().await, Outcome::Later { not_before: None, .. }), "{code}");
    }
}

#[tokio::test]
async fn retry_after_is_heard() {
    let cases = [("7", Some(7)), ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)), ("soon", None), ("-1", None)];
    for (text, seconds) in cases {
        let server =
            Server::start(move |_| (503.into_code(), [("retry-after", text)], "busy").into_response()).await;
        let Outcome::Later { why, not_before } = server.post().await else { panic!("{text}") };
        assert_eq!(not_before, seconds.map(Duration::from_secs), "{text}");
        assert_eq!(why, "it answered 503 Service Unavailable: busy");
    }
    let ahead =
        Server::start(|_| (429.into_code(), [("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT")]).into_response());
    let Outcome::Later { not_before: Some(wait), .. } = ahead.await.post().await else { panic!("no wait") };
    assert!(wait > Duration::from_secs(3600));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start(|_| (307.into_code(), [("location", "/elsewhere")]).into_response()).await;
    let outcome = server.post().await;
    assert!(
        matches!(&outcome, Outcome::Refused { why } if why.contains("redirects are not followed")),
        "{outcome:?}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_is_left() {
    // It accepts, through the kernel's queue, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret", listener.local_addr().unwrap()).parse().unwrap();
    let sink = Sink::Webhook(Endpoint { url, authorization_file: None });
    let why = why(post_to(&sink, Duration::from_millis(50)).await);
    assert!(why.contains("timed out") && !why.contains("secret"), "{why}");
}

#[tokio::test]
async fn nobody_listening_is_said_without_the_secret_path() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let why =
        why(post_to(&Sink::Webhook(Endpoint { url, authorization_file: None }), Duration::from_secs(60)).await);
    assert!(why.contains("refused") && !why.contains("secret"), "{why}");
}

#[tokio::test]
async fn a_gigabyte_of_answer_is_left_unread() {
    const CHUNK: usize = 16 * 1024;
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);
    let endless = || {
        let chunks = (0..1024 * 1024 * 1024 / CHUNK).map(|_| {
            WRITTEN.fetch_add(CHUNK, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(&[b'x'; CHUNK]))
        });
        Body::from_stream(futures::stream::iter(chunks))
    };
    let server =
        Server::start(move |n| (if n == 1 { 500 } else { 200 }.into_code(), endless()).into_response()).await;
    let why = why(server.post().await);
    assert!(why.len() < 1024 && why.contains("xxx"), "{why}");
    assert_eq!(server.post().await, Outcome::Delivered);
    assert!(WRITTEN.load(Ordering::Relaxed) < 256 * 1024 * 1024, "only what the sockets hold");
}

#[tokio::test]
async fn an_answers_words_cannot_forge_a_log_line() {
    let server = Server::start(|_| (500.into_code(), "a\r\nINFO all is well\u{1b}[2J").into_response()).await;
    let why = why(server.post().await);
    assert!(!why.chars().any(char::is_control), "{why:?}");
}

#[tokio::test]
async fn the_authorization_is_read_at_each_send() {
    let server = Server::start(|_| 200.into_status()).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    let outcome = server.post_with(Some(path.clone())).await;
    assert!(why(outcome).ends_with(": it is empty"));
    writeln!(file, "Bearer one").unwrap();
    assert_eq!(server.post_with(Some(path.clone())).await, Outcome::Delivered);
    std::fs::write(&path, "Bearer two").unwrap();
    assert_eq!(server.post_with(Some(path.clone())).await, Outcome::Delivered);
    std::fs::write(&path, "Bearer two\nX-Other: forged").unwrap();
    assert!(why(server.post_with(Some(path.clone())).await).ends_with(": it is no header value"));
    file.close().unwrap();
    let outcome = server.post_with(Some(path)).await;
    assert!(
        matches!(&outcome, Outcome::Later { why, .. } if why.starts_with("failed to read the authorization file")),
        "{outcome:?}"
    );
    let sent: Vec<_> = server.asked().iter().map(|(_, headers, _)| headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Bearer one", "Bearer two"]);
}

/// Status codes as numbers.
trait Code {
    fn into_code(self) -> axum::http::StatusCode;
    fn into_status(self) -> Response;
}

impl Code for u16 {
    fn into_code(self) -> axum::http::StatusCode {
        axum::http::StatusCode::from_u16(self).unwrap()
    }
    fn into_status(self) -> Response {
        self.into_code().into_response()
    }
}
