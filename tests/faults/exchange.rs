//! The way of one request through the proxy: read, numbered, forwarded or not, answered or not.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use http::{Request, Response, StatusCode, header, request::Parts};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyDataStream, BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinSet;

use super::call::{Call, Verb};
use super::fault::{Fault, Lists};
use super::frozen::{Frozen, withhold};
use super::record::{Outcome, Record, Times};
use super::request::Matcher;
use super::upstream::Connection;

type Body = UnsyncBoxBody<Bytes, reqwest::Error>;
type Kill = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Says to hyper: no answer, close the connection.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped by a fault")]
pub(super) struct Dropped;

/// A fault, and the requests it waits for.
pub(super) struct Rule {
    request: Matcher,
    fault: Fault,
    seen: usize,
}

impl Rule {
    pub fn new(request: Matcher, fault: Fault) -> Self {
        Self { request, fault, seen: 0 }
    }

    /// Counts the request if it is one of those waited for; whether the fault is to be played on it.
    fn fires(&mut self, record: &Record) -> bool {
        let matches = self.request.matches(record);
        self.seen += usize::from(matches);
        matches && self.request.fires_at(self.seen)
    }
}

/// What all connections share.
pub(super) struct Exchange {
    pub kill: Mutex<Option<Kill>>,
    pub log: watch::Sender<Vec<Record>>,
    pub frozen: watch::Sender<Frozen>,
    upstream: Connection,
    started: Instant,
    rules: Mutex<Vec<Rule>>,
    /// The first answer to every read.
    first: Mutex<HashMap<String, Response<Bytes>>>,
    /// Held while a request is numbered and while a client is killed.
    gate: Arc<tokio::sync::Mutex<()>>,
    /// How many clients were killed. A connection of an earlier life is dead.
    life: AtomicUsize,
}

impl Exchange {
    pub fn new(upstream: Connection) -> Self {
        Self {
            kill: Mutex::default(),
            log: watch::Sender::default(),
            frozen: watch::Sender::default(),
            upstream,
            started: Instant::now(),
            rules: Mutex::default(),
            first: Mutex::default(),
            gate: Arc::default(),
            life: AtomicUsize::new(0),
        }
    }

    pub fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn freeze(&self, resource: &str, lists: Lists) {
        self.frozen.send_modify(|frozen| {
            frozen.insert(resource.to_owned(), lists);
        });
    }

    /// Serves connections until it is dropped, and drops them with it.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    let life = self.life.load(Ordering::SeqCst);
                    connections.spawn(self.clone().connection(stream, life));
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, life: usize) {
        let service = service_fn(|request| self.clone().serve(request, life).boxed());
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let end = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
        let stream = connection.into_parts().io.into_inner();
        if end.is_err() {
            // Without lingering, closing sends a reset: the client learns that something broke.
            let _ = stream.set_zero_linger();
        }
    }

    async fn serve(self: Arc<Self>, request: Request<Incoming>, life: usize) -> Result<Response<Body>, Dropped> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
        let gate = self.gate.clone().lock_owned().await;
        if life != self.life.load(Ordering::SeqCst) {
            return Err(Dropped);
        }
        let (record, fault) = self.admit(&head, body);
        if matches!(fault, Some(Fault::Hang)) {
            self.settle(record.k, Outcome::Held);
            drop(gate);
            // Ends when the client hangs up, for hyper drops it then.
            return pending().await;
        }
        // Apart from the connection, because hyper drops this future too when the client goes away.
        tokio::spawn(self.play(fault, record, head, gate)).await.unwrap_or(Err(Dropped))
    }

    /// Numbers the request, enters it into the log and chooses its fault.
    fn admit(&self, head: &Parts, body: Bytes) -> (Record, Option<Fault>) {
        let mut rules = self.rules();
        let mut record = Record {
            k: self.log.borrow().len() + 1,
            call: Call::read(&head.method, &head.uri.to_string()),
            body,
            fault: None,
            upstream: None,
            outcome: Outcome::Pending,
            error: None,
            times: Times { received: self.started.elapsed(), ..Times::default() },
        };
        let mut fault = None;
        for rule in rules.iter_mut() {
            if rule.fires(&record) && fault.is_none() {
                fault = Some(rule.fault.clone());
            }
        }
        record.fault = fault.as_ref().map(Fault::name);
        self.log.send_modify(|log| log.push(record.clone()));
        (record, fault)
    }

    async fn play(
        self: Arc<Self>,
        fault: Option<Fault>,
        record: Record,
        head: Parts,
        gate: OwnedMutexGuard<()>,
    ) -> Result<Response<Body>, Dropped> {
        // Only a death keeps the next requests out; otherwise they may overtake this one.
        let gate = matches!(fault, Some(Fault::KillBefore)).then_some(gate);
        let answer = match fault {
            None | Some(Fault::Hang) => self.read_or_forward(&record, &head).await,
            Some(Fault::KillBefore) => {
                self.kill().await;
                Err(Dropped)
            }
            Some(Fault::KillAfter) => {
                // Killed even if the API server could not be reached: the fault is the client's.
                let _ = self.forward(&record, &head).await;
                let _gate = self.gate.lock().await;
                self.kill().await;
                Err(Dropped)
            }
            Some(Fault::LostAnswer) => self.forward(&record, &head).await.and(Err(Dropped)),
            Some(Fault::Answer(answer)) => Ok(whole(answer.into_response())),
            Some(Fault::AnswerAfterForward(answer)) => {
                let forwarded = self.forward(&record, &head).await;
                forwarded.map(|_| whole(answer.into_response()))
            }
            Some(Fault::FreezeWatch { resource, lists }) => {
                self.freeze(&resource, lists);
                self.read_or_forward(&record, &head).await
            }
            Some(Fault::StaleRead) => match self.first_read(&record, &head) {
                Some(first) => Ok(whole(first)),
                None => self.forward(&record, &head).await,
            },
        };
        drop(gate);
        let outcome = |answer: &Response<Body>| Outcome::Answered(answer.status().as_u16());
        self.settle(record.k, answer.as_ref().map_or(Outcome::Reset, outcome));
        answer
    }

    /// Kills the client and with it every connection there is. The gate is the caller's to hold.
    async fn kill(&self) {
        let kill = self.kill.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kill) = kill {
            kill().await;
        }
        self.life.fetch_add(1, Ordering::SeqCst);
    }

    /// Forwards, unless this lists a resource whose lists are frozen too.
    async fn read_or_forward(&self, record: &Record, head: &Parts) -> Result<Response<Body>, Dropped> {
        let lists = self.frozen.borrow().get(&record.call.resource).copied();
        let is_stale = record.call.verb == Verb::List && lists == Some(Lists::Stale);
        match self.first_read(record, head).filter(|_| is_stale) {
            Some(first) => Ok(whole(first)),
            None => self.forward(record, head).await,
        }
    }

    /// Sends the request on; returns with the whole answer, or with the head of a stream. When there is no answer the
    /// client sees what it would have seen without a proxy: a connection that broke.
    async fn forward(&self, record: &Record, head: &Parts) -> Result<Response<Body>, Dropped> {
        self.amend(record.k, |record, now| record.times.forwarded = Some(now));
        let answer = match self.upstream.send(head, record.body.clone()).await {
            Ok(answer) if record.call.streams() => Ok(answer.map(|body| self.stream(record, body))),
            Ok(answer) => self.collect(record, head, answer).await,
            Err(error) => Err(error),
        };
        self.amend(record.k, |record, now| match &answer {
            Ok(answer) => {
                record.upstream = Some(answer.status().as_u16());
                record.times.answered = Some(now);
            }
            // Its debug form names the causes too.
            Err(error) => record.error = Some(format!("{error:?}")),
        });
        answer.map_err(|_| Dropped)
    }

    fn stream(&self, record: &Record, body: reqwest::Body) -> Body {
        let chunks = BodyDataStream::new(body);
        let chunks = withhold(chunks, record.call.resource.clone(), self.frozen.subscribe());
        StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
    }

    async fn collect(
        &self,
        record: &Record,
        head: &Parts,
        response: Response<reqwest::Body>,
    ) -> reqwest::Result<Response<Body>> {
        let (parts, body) = response.into_parts();
        let response = Response::from_parts(parts, body.collect().await?.to_bytes());
        if response.status() == StatusCode::OK
            && let Some(key) = read_key(record, head)
        {
            self.first_reads().entry(key).or_insert_with(|| response.clone());
        }
        Ok(whole(response))
    }

    fn first_reads(&self) -> MutexGuard<'_, HashMap<String, Response<Bytes>>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first_read(&self, record: &Record, head: &Parts) -> Option<Response<Bytes>> {
        self.first_reads().get(&read_key(record, head)?).cloned()
    }

    fn settle(&self, k: usize, outcome: Outcome) {
        self.amend(k, |record, now| {
            record.outcome = outcome;
            record.times.settled = Some(now);
        });
    }

    fn amend(&self, k: usize, change: impl FnOnce(&mut Record, std::time::Duration)) {
        self.log.send_modify(|log| change(&mut log[k - 1], self.started.elapsed()));
    }
}

/// Reads with equal keys have interchangeable answers; `None` for what is not a read or not a first page.
fn read_key(record: &Record, head: &Parts) -> Option<String> {
    let call = &record.call;
    let is_read = matches!(call.verb, Verb::Get | Verb::List) && !call.streams() && !call.is_later_page();
    // Tables, metadata only and protobuf are other answers to the same question.
    is_read.then(|| format!("{} {:?}", call.selection(), head.headers.get(header::ACCEPT)))
}

fn whole(response: Response<Bytes>) -> Response<Body> {
    response.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync())
}
