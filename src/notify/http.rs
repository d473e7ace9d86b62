//! The door that leads outside: one POST, bounded in every way.

use std::{error::Error, io::Read, path::Path, sync::Arc, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect, retry,
};
use tokio::task::spawn_blocking;

use super::{
    Notice,
    queue::{Door, Outcome},
    wire,
};
use crate::config::{Endpoint, Sink};

/// From the first byte sent to the last one read.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So much of an answer is read, for its words; the rest is left unread.
const MAX_ANSWER: usize = 512;
const MAX_AUTHORIZATION: u64 = 16 * 1024;

/// Why notices cannot leave.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// No HTTP client, most often for want of certificates of authorities.
    #[error("failed to make the HTTP client for sinks (an https sink needs the system's CA certificates): {0}")]
    Client(#[source] reqwest::Error),
}

/// The HTTP client of all sinks. It knows no credential of the cluster, follows no redirect, uses no proxy, retries
/// nothing by itself and ends after ten seconds.
pub fn client<'a>(sinks: impl IntoIterator<Item = &'a Sink>) -> Result<Client, DoorError> {
    client_within(sinks, TIMEOUT)
}

pub(super) fn client_within<'a>(
    sinks: impl IntoIterator<Item = &'a Sink>,
    timeout: Duration,
) -> Result<Client, DoorError> {
    // Fails only if there is a provider already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = Client::builder()
        .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .timeout(timeout);
    let encrypted = sinks.into_iter().any(|sink| endpoint(sink).url.scheme() == "https");
    // An image without CA certificates may still speak plain HTTP within its cluster.
    let builder = if encrypted { builder } else { builder.tls_certs_only([]) };
    builder.build().map_err(DoorError::Client)
}

/// A sink's kind, as a metric's label.
pub(super) const fn kind(sink: &Sink) -> &'static str {
    match sink {
        Sink::Webhook(_) => "webhook",
        Sink::Alertmanager(_) => "alertmanager",
    }
}

const fn endpoint(sink: &Sink) -> &Endpoint {
    match sink {
        Sink::Webhook(endpoint) | Sink::Alertmanager(endpoint) => endpoint,
    }
}

/// A sink behind HTTP.
pub(super) struct HttpDoor {
    client: Client,
    url: Url,
    authorization_file: Option<Arc<Path>>,
    body: fn(&Notice, Timestamp) -> serde_json::Value,
}

// === impl HttpDoor ===

impl HttpDoor {
    pub(super) fn new(client: Client, sink: &Sink) -> Self {
        let Endpoint { url, authorization_file } = endpoint(sink);
        let (url, body): (_, fn(&Notice, Timestamp) -> _) = match sink {
            Sink::Webhook(_) => (url.clone(), wire::webhook),
            Sink::Alertmanager(_) => (wire::alerts_url(url), wire::alertmanager),
        };
        Self { client, url, authorization_file: authorization_file.as_deref().map(Arc::from), body }
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(file) = self.authorization_file.clone() else { return Ok(None) };
        let read =
            spawn_blocking(move || authorization(&file).map_err(|why| format!("{}: {why}", file.display())));
        let value = read.await.map_err(|error| error.to_string()).flatten();
        value.map(Some).map_err(|why| format!("failed to read the authorization file {why}"))
    }
}

impl Door for HttpDoor {
    async fn post(&self, notice: &Notice) -> Outcome {
        let later = |why| Outcome::Later { why, not_before: None };
        let authorization = match self.authorization().await {
            Ok(authorization) => authorization,
            Err(why) => return later(why),
        };
        let body = (self.body)(notice, Timestamp::now()).to_string();
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        match request.send().await {
            Ok(answer) => judge(answer).await,
            // Without the address: chat services put their secret into its path.
            Err(error) => later(chain(&error.without_url())),
        }
    }
}

/// What an answer means. Whoever refuses us now may let us in once a credential or a route is mended, so only words
/// that the sink cannot understand are given up at once.
async fn judge(answer: Response) -> Outcome {
    let status = answer.status();
    if status.is_success() {
        return Outcome::Delivered;
    }
    let not_before = quiet(answer.headers(), Timestamp::now());
    if status.is_redirection() {
        let why = format!("it answered {status}: redirects are not followed, configure the final address");
        return Outcome::Refused { why };
    }
    let why = format!("it answered {status}: {}", words(answer).await);
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Refused { why },
        _ => Outcome::Later { why, not_before },
    }
}

/// `Retry-After`, in seconds or as a date.
fn quiet(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// The first words of an answer, fit for a log.
async fn words(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER - bytes.len())]);
    }
    String::from_utf8_lossy(&bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The content of `file` as a header that is never printed.
fn authorization(file: &Path) -> Result<HeaderValue, String> {
    let mut text = String::new();
    let file = std::fs::File::open(file).map_err(|error| error.to_string())?;
    file.take(MAX_AUTHORIZATION).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let mut value = HeaderValue::from_str(text.trim()).map_err(|_| "it is no header value".to_owned())?;
    if value.is_empty() {
        return Err("it is empty".to_owned());
    }
    value.set_sensitive(true);
    Ok(value)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
