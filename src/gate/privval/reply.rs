//! PURE. What the signer answers.

use super::{
    message::{Proposal, Vote},
    wire::{put_bytes, put_delimited, put_message},
};

/// The longest message that a node reads, `maxRemoteSignerMsgSize` of `privval/signer_endpoint.go`. A node that gets more
/// halts. An answer to what is fit to be signed ([`Unfit`](super::request::Unfit)) has a few hundred.
pub const LONGEST: usize = 10_240;

/// How many characters of a reason a node is told.
const LONGEST_REASON: usize = 200;

/// An answer. A refusal leaves the node healthy: it takes note, and goes on without the signature. Silence would
/// freeze it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The public half of our key.
    PubKey(&'a [u8; 32]),
    /// No key, because…
    NoPubKey(&'a str),
    /// The vote with its signatures. Its extension stays at home: the node has it, and reads no more than [`LONGEST`].
    Vote(Vote<'a>),
    /// No signature on the vote, because…
    NoVote(&'a str),
    /// The proposal with its signature.
    Proposal(Proposal<'a>),
    /// No signature on the proposal, because…
    NoProposal(&'a str),
    /// Here I am.
    Pong,
}

impl Reply<'_> {
    /// Appends the message after its length, as it goes to the node.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (number, body) = match self {
            Self::PubKey(key) => {
                let mut sum = Vec::new();
                put_bytes(&mut sum, 1, *key);
                (2, answer(&sum, None))
            }
            Self::NoPubKey(why) => (2, answer(&[], Some(why))),
            Self::Vote(vote) => (4, answer(&Vote { extension: &[], ..vote.clone() }.write(), None)),
            Self::NoVote(why) => (4, answer(&Vote::default().write(), Some(why))),
            Self::Proposal(proposal) => (6, answer(&proposal.write(), None)),
            Self::NoProposal(why) => (6, answer(&Proposal::default().write(), Some(why))),
            Self::Pong => (8, Vec::new()),
        };
        let mut message = Vec::with_capacity(body.len() + 4);
        put_message(&mut message, number, &body);
        put_delimited(out, &message);
    }
}

/// The body of an answer: its content, which is there even when it is empty, and perhaps a `RemoteSignerError`.
fn answer(content: &[u8], refusal: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    put_message(&mut body, 1, content);
    if let Some(why) = refusal {
        let mut error = Vec::new();
        // Field 1 would be a code. `CometBFT`'s own signer always says zero, which is the absence of one.
        put_bytes(&mut error, 2, why.chars().take(LONGEST_REASON).collect::<String>().as_bytes());
        put_message(&mut body, 2, &error);
    }
    body
}
