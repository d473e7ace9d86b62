//! What a gate answers its node, at once, from what it knows.

use super::{Content, Entry, Gate, Hrs, Limits, Step};

/// What a node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Which key.
    PubKey,
    /// Whether anybody is there.
    Ping,
    /// For a signature.
    Sign(Ask),
}

/// For which signature a node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Where in the chain.
    pub at: Hrs,
    /// What.
    pub content: Content,
}

/// The answer. A node freezes when its signer is silent, and stays healthy when it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The key.
    PubKey,
    /// Somebody is there.
    Pong,
    /// Sign what was asked, once the returned state is durable.
    Sign,
    /// The stored signature once more, with the stored timestamp.
    Repeat,
    /// Nothing is signed.
    Refuse(Refusal),
}

/// Why nothing is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Shut, until a person has adopted the identity anew.
    Latched,
    /// Another member's turn, as far as this gate knows; every standby refuses so.
    NotHolder,
    /// It has vowed to sign nothing more in this epoch.
    Silent,
    /// Something else was signed here.
    Conflict,
    /// Something later was signed.
    Behind,
    /// At or below the start: another process may have signed here.
    BelowWindow,
    /// Above the ceiling that is confirmed: another epoch may sign here.
    AboveWindow,
    /// So far above it, or above all that the chain can be at, that the window is not raised to it either.
    Jump,
    /// It would be the first signature of a hold, and what the chain has of the key is read before. Not decided here: it is
    /// for the process to say what it has read.
    Unread,
}

impl Refusal {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latched => "Latched",
            Self::NotHolder => "NotHolder",
            Self::Silent => "Silent",
            Self::Conflict => "Conflict",
            Self::Behind => "Behind",
            Self::BelowWindow => "BelowWindow",
            Self::AboveWindow => "AboveWindow",
            Self::Jump => "Jump",
            Self::Unread => "Unread",
        }
    }
}

/// Answers a request. When the answer is [`Answer::Sign`], the returned state's disk is made durable before the signature
/// leaves; a process that cannot do so exits.
#[must_use]
pub fn decide(gate: &Gate, request: &Request, limits: &Limits) -> (Gate, Answer) {
    match request {
        Request::PubKey => (gate.clone(), Answer::PubKey),
        Request::Ping => (gate.clone(), Answer::Pong),
        Request::Sign(ask) => match sign(gate, ask, limits) {
            Ok(Some(entry)) => {
                let mut next = gate.clone();
                next.disk.last = Some(entry);
                (next, Answer::Sign)
            }
            Ok(None) => (gate.clone(), Answer::Repeat),
            Err(refusal) => (gate.clone(), Answer::Refuse(refusal)),
        },
    }
}

/// What is signed; nothing if the stored signature is the answer.
fn sign(gate: &Gate, ask: &Ask, limits: &Limits) -> Result<Option<Entry>, Refusal> {
    if gate.disk.latched.is_some() {
        return Err(Refusal::Latched);
    }
    let hold = gate.hold().ok_or(Refusal::NotHolder)?;
    if gate.is_silent(hold.tenure) {
        return Err(Refusal::Silent);
    }
    let key = gate.key(hold.tenure);
    match &gate.disk.last {
        Some(last) if last.key == key && last.at == ask.at => {
            return if same(last, ask) { Ok(None) } else { Err(Refusal::Conflict) };
        }
        Some(last) if last.key == key && ask.at < last.at => return Err(Refusal::Behind),
        // Another process's: where it signed, this one does not, whatever the record says.
        Some(last) if last.key != key && ask.at.height <= last.at.height => return Err(Refusal::Behind),
        Some(_) | None => {}
    }
    let height = ask.at.height;
    if height <= hold.start {
        Err(Refusal::BelowWindow)
    } else if height <= hold.ceiling {
        // Wherever the chain is: the height is this epoch's, and nobody else's.
        Ok(Some(Entry { key, at: ask.at, content: ask.content }))
    } else if height > hold.ceiling.plus(limits.jump) || height > limits.reach {
        Err(Refusal::Jump)
    } else {
        Err(Refusal::AboveWindow)
    }
}

/// Whether the stored signature answers the question: of a vote, also with another timestamp.
fn same(last: &Entry, ask: &Ask) -> bool {
    let vote = ask.at.step != Step::Propose;
    last.content.what == ask.content.what && (vote || last.content.when == ask.content.when)
}
