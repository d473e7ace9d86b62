//! An API server that answers as scripted, one request after the other, and remembers what it was asked. What is
//! beyond the script hangs.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower::{BoxError, Service};

/// One answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A complete one.
    Whole(u16, String),
    /// A watch: its lines.
    Watch(Vec<Line>),
    /// None, ever.
    Hang,
    /// The connection breaks.
    Reset,
}

/// A line of a watch. After the last one the server ends the watch.
#[derive(Clone, Debug)]
pub enum Line {
    /// Text.
    Text(String),
    /// Nothing for so long (milliseconds).
    Pause(u64),
    /// Nothing, ever.
    Freeze,
    /// The connection breaks.
    Break,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub uri: http::Uri,
    pub content_type: String,
    pub body: Value,
}

/// The server.
#[derive(Default)]
pub struct Fake {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Seen>>,
}

impl Fake {
    /// A client of a server that answers so.
    pub fn answering(answers: impl IntoIterator<Item = Answer>) -> (Client, Arc<Self>) {
        let answers = Mutex::new(answers.into_iter().collect());
        let fake = Arc::new(Self { answers, ..Self::default() });
        (Client::new(Served(Arc::clone(&fake)), "default"), fake)
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Seen {
    /// Method and path.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.uri.path())
    }

    /// What stands behind the question mark.
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default().trim_start_matches('&')
    }
}

impl Answer {
    pub fn json(code: u16, body: Value) -> Self {
        Self::Whole(code, body.to_string())
    }

    pub fn text(code: u16, body: &str) -> Self {
        Self::Whole(code, body.to_owned())
    }

    pub fn status(code: u16, reason: &str) -> Self {
        Self::detailed(code, reason, json!({}))
    }

    pub fn detailed(code: u16, reason: &str, details: Value) -> Self {
        let message = format!("message of {code}");
        let (kind, status) = ("Status", "Failure");
        let body = json!({"kind": kind, "status": status, "message": message, "reason": reason, "details": details,
            "code": code});
        Self::json(code, body)
    }
}

impl Line {
    pub fn event(kind: &str, object: &Value) -> Self {
        Self::Text(json!({"type": kind, "object": object}).to_string())
    }
}

struct Served(Arc<Fake>);

type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

impl Service<http::Request<Body>> for Served {
    type Response = http::Response<AnswerBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let fake = Arc::clone(&self.0);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let content_type = head.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
            fake.seen.lock().unwrap().push(Seen {
                method: head.method.to_string(),
                uri: head.uri,
                content_type: content_type.unwrap_or_default(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            });
            let answer = fake.answers.lock().unwrap().pop_front().unwrap_or(Answer::Hang);
            match answer {
                Answer::Whole(code, text) => respond(code, Full::from(text).map_err(never).boxed_unsync()),
                Answer::Watch(lines) => respond(200, watch(lines)),
                Answer::Hang => std::future::pending().await,
                Answer::Reset => Err(reset()),
            }
        }
        .boxed()
    }
}

fn respond(code: u16, body: AnswerBody) -> Result<http::Response<AnswerBody>, BoxError> {
    Ok(http::Response::builder().status(code).body(body)?)
}

fn watch(lines: Vec<Line>) -> AnswerBody {
    let frames = stream::iter(lines).filter_map(|line| -> Pin<Box<dyn Future<Output = _> + Send>> {
        match line {
            Line::Text(text) => Box::pin(async move { Some(Ok(Frame::data(Bytes::from(text + "\n")))) }),
            Line::Pause(millis) => Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                None
            }),
            Line::Freeze => Box::pin(std::future::pending()),
            Line::Break => Box::pin(async { Some(Err(reset())) }),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn reset() -> BoxError {
    Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
}

fn never(error: Infallible) -> BoxError {
    match error {}
}
