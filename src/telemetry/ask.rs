//! Questions to one endpoint, all within one deadline, and what becomes of answers that are none.

use std::time::Duration;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};
use serde_json::{Value as Json, json};

use super::{
    client::{Answer, BODY_CAP, Client, Deadline, Failure},
    text::excerpt,
};
use crate::signal::Unknown;

/// Where something is asked, and how long it may take.
#[derive(Clone, Debug)]
pub struct Endpoint {
    client: Client,
    base: Result<String, Unknown>,
    timeout: Duration,
}

/// The questions of one poll.
pub(super) struct Session<'a> {
    client: &'a Client,
    base: &'a str,
    deadline: Deadline,
}

/// Why there is no answer that one could use.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// There is none.
    Failed(Failure),
    /// It makes no sense, or is not for us.
    Unusable(Unknown),
}

// === impl Endpoint ===

impl Endpoint {
    /// The endpoint at `base`, without a final slash. All requests of a poll together take at most `timeout`.
    ///
    /// One that may not be asked is asked nothing, but still tells why at every poll: its readings then carry the
    /// reason, where otherwise they would read "not observed yet" for ever.
    #[must_use]
    pub fn new(client: Client, base: Result<String, Unknown>, timeout: Duration) -> Self {
        Self { client, base, timeout }
    }

    /// Begins a poll.
    pub(super) fn session(&self) -> Result<Session<'_>, Unknown> {
        let base = self.base.as_ref().map_err(Clone::clone)?;
        Ok(Session { client: &self.client, base, deadline: Deadline::within(self.timeout) })
    }
}

// === impl Session ===

impl Session<'_> {
    /// Whether half of the time is still to come.
    pub fn has_half(&self) -> bool {
        self.deadline.has_half()
    }

    /// The answer to a GET, whatever its status.
    pub async fn fetch(&self, path: &str) -> Result<Answer, Trouble> {
        let url = format!("{}{path}", self.base);
        self.client.get(&url, self.deadline, BODY_CAP).await.map_err(Trouble::Failed)
    }

    /// The JSON document at a path. What is not there is not offered.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let answer = self.fetch(path).await?;
        match answer.status {
            200 => document(&answer.body),
            404 | 405 | 501 => Err(Trouble::unsupported()),
            status => Err(Trouble::invalid(&format!("HTTP {status}: {}", beginning(&answer.body)))),
        }
    }

    /// The result of a JSON-RPC 2.0 call, and how long it took.
    pub async fn timed<T: DeserializeOwned>(&self, method: &str, params: Json) -> Result<(T, Duration), Trouble> {
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.client.post(self.base, &question, self.deadline, BODY_CAP).await;
        let Answer { status, body, latency } = answer.map_err(Trouble::Failed)?;
        // Some servers send errors with a status of their own, and the error inside says more.
        match outcome(&body) {
            Err(unsupported @ Trouble::Unusable(Unknown::Unsupported)) => Err(unsupported),
            _ if status == 404 || status == 405 => Err(Trouble::unsupported()),
            _ if status != 200 => Err(Trouble::invalid(&format!("HTTP {status}: {}", beginning(&body)))),
            told => Ok((told?, latency)),
        }
    }

    /// The result of a JSON-RPC 2.0 call.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: Json) -> Result<T, Trouble> {
        Ok(self.timed(method, params).await?.0)
    }
}

// === impl Trouble ===

impl Trouble {
    pub fn unsupported() -> Self {
        Self::Unusable(Unknown::Unsupported)
    }

    pub fn invalid(why: &str) -> Self {
        Self::Unusable(Unknown::Invalid(excerpt(why.trim_end().as_bytes())))
    }

    /// Whether this speaks against the target itself.
    pub const fn is_silence(&self) -> bool {
        match self {
            Self::Failed(failure) => failure.is_silence(),
            Self::Unusable(_) => false,
        }
    }

    /// Why nothing is known.
    pub fn unknown(&self) -> Unknown {
        match self {
            Self::Failed(failure) => failure.unknown(),
            Self::Unusable(why) => why.clone(),
        }
    }
}

impl From<Unknown> for Trouble {
    fn from(why: Unknown) -> Self {
        Self::Unusable(why)
    }
}

/// A JSON document of some shape.
pub(super) fn document<T: DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    // Checked as a whole, because the parser does not look into the fields that it skips.
    let text = std::str::from_utf8(body).map_err(|error| Trouble::invalid(&format!("not UTF-8: {error}")))?;
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            Trouble::invalid(&error.to_string())
        } else {
            Trouble::invalid(&format!("not JSON: {}", text.trim_start()))
        }
    })
}

/// The result in a JSON-RPC answer. An error is looked for first: it may come with HTTP 200.
///
/// Only what is wanted is kept: an answer of the size of the cap must not grow in memory.
pub(super) fn outcome<T: DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    /// JSON-RPC 2.0: the method does not exist, or is not available.
    const METHOD_NOT_FOUND: i64 = -32601;
    #[derive(Deserialize)]
    struct Complaint {
        error: Option<RpcError>,
    }
    #[derive(Deserialize)]
    #[serde(bound = "T: DeserializeOwned")]
    struct Envelope<T> {
        // A result may be null: what was asked for does not exist.
        #[serde(default, deserialize_with = "present")]
        result: Option<T>,
    }
    fn present<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
        T::deserialize(deserializer).map(Some)
    }
    if let Ok(Complaint { error: Some(error) }) = document(body) {
        let RpcError { code, message, data } = error;
        if code == METHOD_NOT_FOUND {
            return Err(Trouble::unsupported());
        }
        let data = data.map(|Words(words)| words).unwrap_or_default();
        return Err(Trouble::invalid(format!("RPC error {code}: {message} {data}").trim_end()));
    }
    let envelope: Envelope<T> = document(body)?;
    envelope.result.ok_or_else(|| Trouble::invalid("neither result nor error"))
}

#[derive(Deserialize)]
struct RpcError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    data: Option<Words>,
}

/// Words, if that is what it is.
struct Words(String);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            Words(String),
            Other(de::IgnoredAny),
        }
        Ok(Self(match Any::deserialize(deserializer)? {
            Any::Words(words) => words,
            Any::Other(_) => String::new(),
        }))
    }
}

/// A value in the query of an address (RFC 3986): everything but the unreserved is escaped.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn beginning(body: &[u8]) -> String {
    excerpt(body.trim_ascii())
}
