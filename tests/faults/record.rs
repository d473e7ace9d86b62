//! The log: one record for every request, in the order in which the proxy numbered them.

use std::time::Duration;

use hyper::body::Bytes;
use sha2::{Digest, Sha256};

use super::call::Call;

/// One numbered request and what became of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number, from 1.
    pub k: usize,
    /// What it asked for.
    pub call: Call,
    /// Its body.
    pub body: Bytes,
    /// The name of the fault played on it.
    pub fault: Option<&'static str>,
    /// The status the API server answered with; `None` when it was never reached or has not answered yet.
    pub upstream: Option<u16>,
    /// What the client got.
    pub outcome: Outcome,
    /// Why the API server could not be reached.
    pub error: Option<String>,
    /// When it got here and on, counted from the start of the proxy.
    pub times: Times,
}

/// When a request reached each phase, counted from the start of the proxy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The whole request was here.
    pub received: Duration,
    /// It was sent on to the API server.
    pub forwarded: Option<Duration>,
    /// The API server had answered: wholly, or with the head of a stream.
    pub answered: Option<Duration>,
    /// The client's outcome was decided.
    pub settled: Option<Duration>,
}

/// What the client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet; the request is on its way.
    Pending,
    /// An answer with this status, from the API server or from a fault.
    Answered(u16),
    /// A connection reset.
    Reset,
    /// Nothing, for as long as it cares to wait.
    Held,
}

impl Record {
    /// The body's SHA-256 in hexadecimal: equal requests have equal hashes across runs.
    pub fn body_hash(&self) -> String {
        let digest = Sha256::digest(&self.body);
        digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// The status the client saw.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Answered(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the client's outcome is decided.
    pub fn is_settled(&self) -> bool {
        self.outcome != Outcome::Pending
    }
}
