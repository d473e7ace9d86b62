//! What can go wrong between the operator and the API server.

use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Bytes;

/// A fault, named after what happens to the request it is played on.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The client dies before the request leaves: nothing is forwarded, the kill callback runs, the connection resets.
    KillBefore,
    /// The client dies after the act: forwarded, answered in full, then as [`Fault::KillBefore`].
    /// Of a stream, the answer's head counts as the whole.
    KillAfter,
    /// The act is done and nobody is told: forwarded, answered in full, then the connection resets.
    LostAnswer,
    /// The proxy answers; the API server never hears of it.
    Answer(Answer),
    /// The act is done, and the client is told something else: an ambiguous commit.
    AnswerAfterForward(Answer),
    /// Neither forwarded nor answered, for as long as the client waits.
    Hang,
    /// From this request on (it included) the resource is frozen, as by [`FaultProxy::freeze`](super::FaultProxy::freeze).
    FreezeWatch {
        /// The plural, such as `pods`.
        resource: String,
        /// Where its lists come from meanwhile.
        lists: Lists,
    },
    /// A get or list is answered as the same read was answered the first time; forwarded if there was no first time.
    StaleRead,
}

/// Where the lists of a frozen resource come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// The API server: re-listing sees the present.
    Live,
    /// The first answer to the same list: re-listing sees the past.
    Stale,
}

impl Fault {
    /// The name under which the log shows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::LostAnswer => "lost-answer",
            Self::Answer(_) => "answer",
            Self::AnswerAfterForward(_) => "answer-after-forward",
            Self::Hang => "hang",
            Self::FreezeWatch { .. } => "freeze-watch",
            Self::StaleRead => "stale-read",
        }
    }

    /// Whether it needs to know how to kill the client.
    pub fn kills(&self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }
}

/// An answer of the proxy's own making: a Kubernetes `Status` unless another body is given.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    body: String,
    retry_after: Option<u32>,
}

impl Answer {
    /// A `Failure` with this HTTP status.
    pub fn status(status: u16) -> Self {
        let reason = match status {
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            410 => "Expired",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        let body = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "reason": reason, "message": "made by the fault proxy", "code": status,
        });
        Self {
            status: StatusCode::from_u16(status).expect("a valid HTTP status"),
            body: body.to_string(),
            retry_after: None,
        }
    }

    /// With this body instead.
    pub fn body(self, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// With a `Retry-After` of so many seconds.
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
