//! The one HTTP client for probes. It carries no credential to any target, follows nothing, and believes nothing.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect, retry,
};
use tokio::time::{Instant, timeout_at};

use super::{
    address::{self, Forbidden, Reach},
    failure::{no_answer, no_end},
    tls,
};

pub use super::failure::Failure;

/// How much of an answer is read, in bytes.
pub const BODY_CAP: usize = 1024 * 1024;

/// Long enough for the requests of one poll to share a connection, and shorter than the shortest interval, so that
/// every poll also tells whether the target still accepts connections.
const IDLE: Duration = Duration::from_millis(400);

/// Pages of metrics are asked for over connections that are kept: making one costs more than reading a page.
const KEPT: Duration = Duration::from_secs(90);

/// The client. Cloning it is cheap, and clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// The same with connections that are kept.
    keeping: reqwest::Client,
    reach: Reach,
    denied: Arc<[IpAddr]>,
    canned: Option<Arc<Canned>>,
}

/// Answers without a network: what is said to a question, given as its address and body, with the HTTP status.
pub type Canned = dyn Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + Sync;

/// Until when an answer must be complete.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    within: Duration,
}

/// An answer that came in time and in one piece, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its HTTP status; never 3xx.
    pub status: u16,
    /// Its body, at most as long as asked for.
    pub body: Vec<u8>,
    /// From the first byte sent, connecting included, to the last received.
    pub latency: Duration,
}

/// A piece of an answer.
pub(super) enum Piece<'a> {
    /// What it says it is.
    ContentType(&'a str),
    /// Some of its body.
    Body(&'a [u8]),
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up the HTTP client of the probes")]
pub struct BuildError(#[source] reqwest::Error);

/// Resolves names to addresses that may be asked. The connection is made to the very addresses that were checked, so
/// a name that changes its mind in between gains nothing.
struct Guard {
    reach: Reach,
    denied: Arc<[IpAddr]>,
}

// === impl Client ===

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that goes as far as `reach` says, and never to `denied`.
    pub fn new(reach: Reach, denied: &[IpAddr]) -> Result<Self, BuildError> {
        tls::install();
        let denied: Arc<[IpAddr]> = denied.into();
        let settings = |idle| {
            reqwest::Client::builder()
                .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .referer(false)
                .retry(retry::never())
                .no_proxy()
                .http1_only()
                .pool_max_idle_per_host(1)
                .pool_idle_timeout(idle)
                .dns_resolver(Guard { reach, denied: Arc::clone(&denied) })
        };
        // A minimal image may hold no certificate authorities at all. That is a reason to trust no https:// reference,
        // not a reason to be blind to every pod.
        let built = |idle| {
            let http = settings(idle).build().or_else(|error| {
                tracing::warn!(%error, "no usable certificate authorities: https:// references will not be believed");
                settings(idle).tls_certs_only([]).build()
            });
            http.map_err(BuildError)
        };
        Ok(Self { http: built(IDLE)?, keeping: built(KEPT)?, reach, denied, canned: None })
    }

    /// A client that asks nobody: `canned` has every answer. So recorded answers, and millions of broken ones, go
    /// through the very code that real ones go through.
    pub fn canned(canned: Arc<Canned>) -> Result<Self, BuildError> {
        Ok(Self { canned: Some(canned), ..Self::new(Reach::Anywhere, &[])? })
    }

    pub(super) const fn reach(&self) -> Reach {
        self.reach
    }

    pub(super) fn denied(&self) -> &[IpAddr] {
        &self.denied
    }

    /// Asks `url`, and reads at most `cap` bytes of what it says. Everything, from connecting to the last byte, must
    /// be over before the deadline.
    pub async fn get(&self, url: &str, deadline: Deadline, cap: usize) -> Result<Answer, Failure> {
        let url = address::parse(url, self.reach, &self.denied)?;
        self.send(self.http.get(url), deadline, cap).await
    }

    /// The same, with an `Authorization` header: for servers of the operator's own configuration, never for a target.
    pub(super) async fn get_as(
        &self,
        url: &str,
        authorization: Option<&str>,
        deadline: Deadline,
        cap: usize,
    ) -> Result<Answer, Failure> {
        let url = address::parse(url, self.reach, &self.denied)?;
        let mut request = self.http.get(url);
        if let Some(authorization) = authorization {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        self.send(request, deadline, cap).await
    }

    /// The same, with a JSON document as the question.
    pub async fn post(
        &self,
        url: &str,
        question: &serde_json::Value,
        deadline: Deadline,
        cap: usize,
    ) -> Result<Answer, Failure> {
        let url = address::parse(url, self.reach, &self.denied)?;
        self.send(self.http.post(url).json(question), deadline, cap).await
    }

    /// Asks `url`, and hands on what it says piece by piece, so that a large page needs no room. Before the first piece
    /// comes its content type.
    pub(super) async fn stream(
        &self,
        url: &str,
        accept: &str,
        deadline: Deadline,
        cap: usize,
        on: &mut (impl FnMut(Piece<'_>) + Send),
    ) -> Result<(u16, Duration), Failure> {
        let url = address::parse(url, self.reach, &self.denied)?;
        let ask = |client: &reqwest::Client| client.get(url.clone()).header(http::header::ACCEPT, accept);
        let mut begun = false;
        let mut noting = |piece: Piece<'_>| {
            begun = true;
            on(piece);
        };
        let told = self.receive(ask(&self.keeping), deadline, cap, &mut noting).await;
        // A connection that was kept may have ended unnoticed. Whether the target answers, a fresh one says.
        match told {
            Err(Failure::Refused | Failure::BrokenAnswer(_)) if !begun => {
                self.receive(ask(&self.http), deadline, cap, on).await
            }
            told => told,
        }
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        deadline: Deadline,
        cap: usize,
    ) -> Result<Answer, Failure> {
        let mut body = Vec::new();
        let mut keep = |piece: Piece<'_>| {
            if let Piece::Body(bytes) = piece {
                body.extend_from_slice(bytes);
            }
        };
        let (status, latency) = self.receive(request, deadline, cap, &mut keep).await?;
        Ok(Answer { status, body, latency })
    }

    async fn receive(
        &self,
        request: reqwest::RequestBuilder,
        deadline: Deadline,
        cap: usize,
        on: &mut (impl FnMut(Piece<'_>) + Send),
    ) -> Result<(u16, Duration), Failure> {
        let sent = Instant::now();
        if let Some(canned) = &self.canned {
            let request = request.build().map_err(|error| no_answer(&error))?;
            let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
            let (status, body) = canned(request.url().as_str(), body);
            on(Piece::ContentType(""));
            on(Piece::Body(body.get(..cap).unwrap_or(&body)));
            return Ok((status, sent.elapsed()));
        }
        let begun = timeout_at(deadline.at, request.send()).await;
        let mut response = begun.map_err(|_| Failure::Silent)?.map_err(|error| no_answer(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Failure::Redirected);
        }
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |announced| announced > cap) {
            return Err(Failure::TooLarge(cap));
        }
        let content_type = response.headers().get(http::header::CONTENT_TYPE);
        on(Piece::ContentType(content_type.and_then(|value| value.to_str().ok()).unwrap_or_default()));
        let mut read = 0;
        loop {
            // From here on the target has begun to answer: running out of time is no longer silence.
            let next = timeout_at(deadline.at, response.chunk()).await;
            match next.map_err(|_| Failure::Unfinished(deadline))?.map_err(|error| no_end(&error))? {
                None => break,
                Some(chunk) if read + chunk.len() > cap => return Err(Failure::TooLarge(cap)),
                Some(chunk) => {
                    read += chunk.len();
                    on(Piece::Body(&chunk));
                }
            }
        }
        Ok((status.as_u16(), sent.elapsed()))
    }
}

// === impl Deadline ===

impl Deadline {
    /// So long from now.
    #[must_use]
    pub fn within(within: Duration) -> Self {
        Self { at: Instant::now() + within, within }
    }
}

impl Deadline {
    /// Whether half of the time is still to come.
    pub(super) fn has_half(&self) -> bool {
        Instant::now() + self.within / 2 <= self.at
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.within.as_secs_f64())
    }
}

// === impl Guard ===

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, denied) = (self.reach, Arc::clone(&self.denied));
        Box::pin(async move {
            // The port is the URL's; 0 leaves it to the caller.
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = permitted(name.as_str(), &found, reach, &denied)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Those of the addresses of `name` that may be asked.
fn permitted(
    name: &str,
    found: &[SocketAddr],
    reach: Reach,
    denied: &[IpAddr],
) -> Result<Vec<SocketAddr>, Forbidden> {
    let mut why = String::new();
    let mut allowed = Vec::new();
    for address in found {
        match address::permit(address.ip(), reach, denied) {
            Ok(()) => allowed.push(*address),
            Err(forbidden) => why = format!(": {forbidden}"),
        }
    }
    if allowed.is_empty() { Err(Forbidden::Name(name.to_owned(), why)) } else { Ok(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T15
    #[test]
    fn a_name_that_leads_inside_is_refused() {
        let inside: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap(), "169.254.169.254:0".parse().unwrap()];
        let outside: SocketAddr = "192.0.2.7:0".parse().unwrap();
        let refused = permitted("rebound.example", &inside, Reach::PodsOnly, &[]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "rebound.example resolves to no address that may be asked: 169.254.169.254 is link-local: it is never asked"
        );
        let mixed = [inside.as_slice(), &[outside]].concat();
        assert_eq!(permitted("mixed.example", &mixed, Reach::PodsOnly, &[]), Ok(vec![outside]));
        assert!(permitted("api.example", &[outside], Reach::Anywhere, &[outside.ip()]).is_err());
        assert!(permitted("empty.example", &[], Reach::Anywhere, &[]).is_err());
    }
}
