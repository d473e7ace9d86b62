//! What an answer of the API server means. One function, so that no verb has an opinion of its own.

use std::fmt;

use kube::core::Status;

use crate::controller::clients::CallError;

/// How much of an answer's text is kept (characters).
const LONGEST: usize = 512;
/// How long to wait when the API server does not say (milliseconds).
const RETRY_AFTER: u64 = 1_000;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Nothing but an answer.
    Read,
    /// A change of an object.
    Write,
    /// The removal of an object.
    Delete,
    /// The removal of a pod as far as its disruption budget allows.
    Evict,
}

/// How it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Carried out.
    Done,
    /// The object does not exist.
    Gone,
    /// A precondition failed: the world is not what it was when this was decided.
    Moved(String),
    /// A disruption budget holds. A decision by somebody else, not an error, and never a reason to delete instead.
    Blocked(String),
    /// Several disruption budgets claim the pod: no eviction succeeds until somebody mends that.
    Misconfigured(String),
    /// Not carried out, because the API server has too much to do, or our credentials are just being renewed.
    Throttled {
        /// How long it asks to wait (milliseconds).
        retry_after_ms: u64,
    },
    /// Not carried out, and another try will not change that.
    Refused(String),
    /// Nobody knows whether it was carried out: look before anything else.
    Unknown(String),
}

/// Something that was not carried out, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to {doing}: {outcome}")]
pub struct Failed {
    /// What, as in "failed to …".
    pub doing: &'static str,
    /// How it was answered.
    pub outcome: Outcome,
}

impl Outcome {
    /// What an error means.
    #[must_use]
    pub fn of(verb: Verb, error: &CallError) -> Self {
        match error {
            CallError::Kube(kube::Error::Api(status)) => Self::of_status(verb, status),
            // It never left: the request itself makes no sense.
            CallError::Kube(kube::Error::BuildRequest(why)) => Self::Refused(bounded(&why.to_string())),
            CallError::Kube(_) | CallError::Deadline(_) => Self::Unknown(bounded(&error.to_string())),
        }
    }

    /// What a Status that is no success means, whatever the HTTP code it came with: an eviction can be answered
    /// `201 Created` with the failure in the body.
    #[must_use]
    pub fn of_status(verb: Verb, status: &Status) -> Self {
        let why = || bounded(&status.message);
        match (status.code, verb) {
            // Only the API server can tell that an object is gone; a proxy in between knows of no objects.
            (404, _) if status.reason == "NotFound" => Self::Gone,
            (409, _) => Self::Moved(why()),
            (429, _) => match budget(status) {
                Some(cause) => Self::Blocked(bounded(&cause)),
                None => Self::Throttled { retry_after_ms: retry_after(status) },
            },
            (401, _) => Self::Throttled { retry_after_ms: retry_after(status) },
            // The one 500 that says what it means. Any other may come from a write that was carried out.
            (500, Verb::Evict) if status.message.contains("more than one PodDisruptionBudget") => {
                Self::Misconfigured(why())
            }
            // A proxy's answers: the request may have passed it.
            (404 | 408, _) => Self::Unknown(format!("{}: {}", status.code, why())),
            (400..=499, _) => Self::Refused(why()),
            (code, _) => Self::Unknown(format!("{code}: {}", why())),
        }
    }

    /// A static label for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Gone => "gone",
            Self::Moved(_) => "moved",
            Self::Blocked(_) => "blocked",
            Self::Misconfigured(_) => "misconfigured",
            Self::Throttled { .. } => "throttled",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "done"),
            Self::Gone => write!(f, "it does not exist"),
            Self::Moved(why) => write!(f, "it has changed meanwhile: {why}"),
            Self::Blocked(why) => write!(f, "a disruption budget holds: {why}"),
            Self::Misconfigured(why) | Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Throttled { retry_after_ms } => write!(f, "the API server asks to wait {retry_after_ms} ms"),
            Self::Unknown(why) => write!(f, "nobody knows whether it was carried out: {why}"),
        }
    }
}

impl Failed {
    /// From an error.
    #[must_use]
    pub fn of(doing: &'static str, verb: Verb, error: &CallError) -> Self {
        Self { doing, outcome: Outcome::of(verb, error) }
    }
}

/// What the disruption budget that refused says of itself.
fn budget(status: &Status) -> Option<String> {
    let causes = &status.details.as_ref()?.causes;
    let cause = causes.iter().find(|cause| cause.reason == "DisruptionBudget")?;
    Some(if cause.message.is_empty() { status.message.clone() } else { cause.message.clone() })
}

fn retry_after(status: &Status) -> u64 {
    let seconds = status.details.as_ref().map_or(0, |details| u64::from(details.retry_after_seconds));
    if seconds == 0 { RETRY_AFTER } else { seconds * 1_000 }
}

pub(super) fn bounded(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn status(code: u16, reason: &str, details: &serde_json::Value) -> Status {
        let message = format!("message of {code}");
        serde_json::from_value(json!({
            "status": "Failure", "code": code, "reason": reason, "message": message, "details": details,
        }))
        .unwrap()
    }

    // A05: 429 with Retry-After; A06: 429 of a disruption budget; A07: 500 of two.
    #[test]
    fn every_answer_has_one_meaning() {
        let budget = json!({"causes": [{"reason": "DisruptionBudget", "message": "needs 2 healthy pods"}]});
        let other = json!({"causes": [{"reason": "Other"}], "retryAfterSeconds": 7});
        let none = json!({});
        let table = [
            (Verb::Evict, 404, "NotFound", &none, "gone"),
            (Verb::Write, 404, "NotFound", &none, "gone"),
            (Verb::Evict, 404, "Failed to parse error data", &none, "unknown"),
            (Verb::Evict, 409, "Conflict", &none, "moved"),
            (Verb::Delete, 409, "Conflict", &none, "moved"),
            (Verb::Write, 409, "AlreadyExists", &none, "moved"),
            (Verb::Evict, 429, "TooManyRequests", &budget, "blocked"),
            (Verb::Evict, 429, "TooManyRequests", &other, "throttled"),
            (Verb::Delete, 429, "TooManyRequests", &none, "throttled"),
            (Verb::Evict, 401, "Unauthorized", &none, "throttled"),
            (Verb::Evict, 400, "BadRequest", &none, "refused"),
            (Verb::Evict, 403, "Forbidden", &none, "refused"),
            (Verb::Write, 422, "Invalid", &none, "refused"),
            (Verb::Write, 408, "", &none, "unknown"),
            (Verb::Evict, 500, "InternalError", &none, "unknown"),
            (Verb::Delete, 500, "InternalError", &none, "unknown"),
            (Verb::Evict, 502, "", &none, "unknown"),
            (Verb::Evict, 503, "ServiceUnavailable", &none, "unknown"),
            (Verb::Write, 504, "Timeout", &none, "unknown"),
            (Verb::Write, 0, "", &none, "unknown"),
        ];
        for (verb, code, reason, details, label) in table {
            let outcome = Outcome::of_status(verb, &status(code, reason, details));
            assert_eq!(outcome.label(), label, "{verb:?} {code} {reason}: {outcome:?}");
        }
    }

    #[test]
    fn what_the_answer_says_is_kept() {
        let budget = json!({"causes": [{"reason": "DisruptionBudget", "message": "needs 2 healthy pods"}]});
        let evict =
            |code, details: serde_json::Value| Outcome::of_status(Verb::Evict, &status(code, "", &details));
        assert_eq!(evict(429, budget), Outcome::Blocked("needs 2 healthy pods".into()));
        let silent = json!({"causes": [{"reason": "DisruptionBudget"}]});
        assert_eq!(evict(429, silent), Outcome::Blocked("message of 429".into()));
        assert_eq!(evict(429, json!({"retryAfterSeconds": 7})), Outcome::Throttled { retry_after_ms: 7_000 });
        assert_eq!(evict(429, json!({})), Outcome::Throttled { retry_after_ms: 1_000 });
        assert_eq!(evict(403, json!({})), Outcome::Refused("message of 403".into()));
    }

    // A07.
    #[test]
    fn two_disruption_budgets_are_a_mistake_of_somebody_else() {
        let mut answer = status(500, "InternalError", &json!({}));
        answer.message =
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not \
                          support."
                .into();
        assert_eq!(Outcome::of_status(Verb::Evict, &answer).label(), "misconfigured");
        assert_eq!(Outcome::of_status(Verb::Delete, &answer).label(), "unknown");
    }

    #[test]
    fn no_answer_and_a_broken_one_tell_nothing() {
        let nonsense = serde_json::from_str::<u8>("{").unwrap_err();
        for error in [
            CallError::Deadline(Duration::from_secs(10)),
            CallError::Kube(kube::Error::SerdeError(nonsense)),
            CallError::Kube(kube::Error::Service("connection reset".into())),
        ] {
            assert_eq!(Outcome::of(Verb::Evict, &error).label(), "unknown");
        }
    }

    #[test]
    fn a_long_answer_is_cut() {
        let mut answer = status(403, "Forbidden", &json!({}));
        answer.message = "ä".repeat(10_000);
        assert_eq!(Outcome::of_status(Verb::Write, &answer), Outcome::Refused("ä".repeat(LONGEST)));
    }
}
