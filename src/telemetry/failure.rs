//! Why there is no answer, and whose fault that is.

use std::{error::Error, io};

use super::{address::Forbidden, client::Deadline, text::excerpt};
use crate::signal::Unknown;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The port refused the connection, or reset it before an answer began.
    #[error("connection refused")]
    Refused,
    /// Nothing came in time: no connection, or a connection and no answer.
    #[error("no answer in time")]
    Silent,
    /// The answer began, but was not complete in time.
    #[error("answer not complete within {0}")]
    Unfinished(Deadline),
    /// The answer is larger than so many bytes; the rest was not read.
    #[error("answer larger than {0} bytes")]
    TooLarge(usize),
    /// The answer broke off, or is not HTTP. The text is safe to show.
    #[error("broken answer: {0}")]
    BrokenAnswer(String),
    /// The answer sends us elsewhere, and we do not go.
    #[error("answered with a redirect, which is not followed")]
    Redirected,
    /// It is us: the address may not be asked, there is no route, no file descriptor… The text is safe to show.
    #[error("{0}")]
    OurSide(String),
}

impl Failure {
    /// Whether this speaks against the target itself: its own port refused, or kept silent.
    #[must_use]
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::Refused | Self::Silent)
    }

    /// Why what only an answer could tell is not known.
    #[must_use]
    pub fn unknown(&self) -> Unknown {
        match self {
            Self::Refused | Self::Silent => Unknown::NoAnswer,
            Self::OurSide(why) => Unknown::OurSide(why.clone()),
            Self::Unfinished(_) | Self::TooLarge(_) | Self::BrokenAnswer(_) | Self::Redirected => {
                Unknown::Invalid(self.to_string())
            }
        }
    }
}

impl From<Forbidden> for Failure {
    fn from(why: Forbidden) -> Self {
        Self::OurSide(why.to_string())
    }
}

/// Classifies an error that came before the head of an answer was complete.
pub(super) fn no_answer(error: &reqwest::Error) -> Failure {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut};
    let text = innermost(error);
    if error.is_dns() {
        return Failure::OurSide(text);
    }
    let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe) => Failure::Refused,
        Some(TimedOut) => Failure::Silent,
        // The kernel would not connect us: no route, no file descriptor, no local port.
        _ if error.is_connect() && io.is_some_and(|io| io.raw_os_error().is_some()) => Failure::OurSide(text),
        // Something lives there and did not refuse: TLS could not agree with it, it closed without a reset, or what it
        // speaks is not HTTP.
        _ => Failure::BrokenAnswer(text),
    }
}

/// Classifies an error in the middle of an answer. Whatever it was, the target had begun to answer.
pub(super) fn no_end(error: &reqwest::Error) -> Failure {
    Failure::BrokenAnswer(innermost(error))
}

/// The chain of causes, outermost first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |&error| error.source())
}

/// What went wrong at the bottom: the outer layers repeat the address and say "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map(|cause| excerpt(cause.to_string().as_bytes())).unwrap_or_default()
}
