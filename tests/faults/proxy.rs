//! A numbered fault proxy between a Kubernetes client and kube-apiserver.
//!
//! ```ignore
//! let proxy = FaultProxy::start(Upstream::trusting("https://127.0.0.1:6443", ca)).await?;
//! let operator = spawn_operator(proxy.url());
//! proxy.on_kill(move || operator.kill());
//! proxy.on(request().delete().resource("pods").nth(1), Fault::KillAfter);
//! let fatal = proxy.wait_for(request().faulted(), Duration::from_secs(30)).await?;
//! ```
//!
//! Requests get their numbers when they have arrived whole. What was forwarded is seen through even if the client goes
//! away, so what the log says about the API server is true whatever became of the client.
//!
//! It depends on nothing of ours, so that any test binary can take it in:
//! `#[allow(dead_code, unused_imports)] #[path = "faults/proxy.rs"] mod proxy;`.

#[path = "call.rs"]
mod call;
#[path = "exchange.rs"]
mod exchange;
#[path = "fault.rs"]
mod fault;
#[path = "frozen.rs"]
mod frozen;
#[path = "record.rs"]
mod record;
#[path = "request.rs"]
mod request;
#[path = "upstream.rs"]
mod upstream;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use exchange::{Exchange, Rule};

pub use call::{Call, Verb};
pub use fault::{Answer, Fault, Lists};
pub use record::{Outcome, Record};
pub use request::{Matcher, number, request};
pub use upstream::Upstream;

/// The proxy. It listens for plain HTTP/1.1 on the loopback until it is dropped.
pub struct FaultProxy {
    exchange: Arc<Exchange>,
    address: SocketAddr,
    acceptor: AbortHandle,
}

impl FaultProxy {
    /// Starts a proxy that is transparent until it is told otherwise.
    pub async fn start(upstream: Upstream) -> io::Result<Self> {
        let exchange = Arc::new(Exchange::new(upstream.connect()?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let acceptor = tokio::spawn(exchange.clone().accept(listener)).abort_handle();
        Ok(Self { exchange, address, acceptor })
    }

    /// What a kubeconfig calls `server`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How to kill the client; needed before a fault that kills.
    ///
    /// While `kill` runs no request gets past the proxy, and none does afterwards on a connection that was open then:
    /// the dead client is dead to the last byte. So `kill` must not start the next client, nor wait for one.
    pub fn on_kill<F, Done>(&self, kill: F)
    where
        F: Fn() -> Done + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        let kill = Arc::new(move || kill().boxed());
        *self.exchange.kill.lock().unwrap_or_else(PoisonError::into_inner) = Some(kill);
    }

    /// Plays `fault` on the request described: once, unless it says `always`. Of two faults for one request the older
    /// one is played, and the younger one has missed that occurrence.
    ///
    /// # Panics
    /// If the fault kills and nobody said how.
    pub fn on(&self, request: Matcher, fault: Fault) {
        let can_kill = self.exchange.kill.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        assert!(can_kill || !fault.kills(), "{fault:?} needs on_kill() first");
        self.exchange.rules().push(Rule::new(request, fault));
    }

    /// Takes back every fault and thaws everything: transparent again. Clients that were made to hang keep hanging.
    pub fn clear(&self) {
        self.exchange.rules().clear();
        self.exchange.frozen.send_modify(std::collections::BTreeMap::clear);
    }

    /// From now on watches of `resource` (in any group or namespace) stay open and deliver nothing, and its lists come
    /// from where `lists` says. New watches are opened upstream too; what they bring waits for the thaw.
    pub fn freeze(&self, resource: &str, lists: Lists) {
        self.exchange.freeze(resource, lists);
    }

    /// Delivers what the freeze withheld, and everything from here on.
    pub fn thaw(&self, resource: &str) {
        self.exchange.frozen.send_modify(|frozen| {
            frozen.remove(resource);
        });
    }

    /// Every request so far, in order: request `k` is at `k - 1`.
    pub fn log(&self) -> Vec<Record> {
        self.exchange.log.borrow().clone()
    }

    /// How many requests so far are as described, leaving `nth` aside.
    pub fn count(&self, request: &Matcher) -> usize {
        self.exchange.log.borrow().iter().filter(|record| request.matches(record)).count()
    }

    /// Waits until the request described has been made, also in the past, and its outcome is decided.
    pub async fn wait_for(&self, request: Matcher, timeout: Duration) -> Result<Record, NotSeen> {
        let settled = |log: &[Record]| request.find(log).filter(|record| record.is_settled()).cloned();
        let mut log = self.exchange.log.subscribe();
        let seen = tokio::time::timeout(timeout, log.wait_for(|log| settled(log).is_some())).await;
        match seen {
            Ok(Ok(log)) => settled(&log).ok_or(NotSeen(request)),
            _ => Err(NotSeen(request)),
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// The request that was waited for was not made, or not settled, in time.
#[derive(Debug, thiserror::Error)]
#[error("not seen in time: {0:?}")]
pub struct NotSeen(Matcher);
