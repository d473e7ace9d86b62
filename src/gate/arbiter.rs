//! PURE. The seam between what a node asks and who decides whether it is signed. Here is neither a height that was
//! signed before nor a window; there, neither a socket nor a key.

use super::privval::{Place, Proposal, Vote};

/// A vote that a node of our chain wants signed, and that is fit to be.
#[derive(Clone, Copy, Debug)]
pub struct VoteRequest<'a> {
    /// Where it stands: height, round, prevote or precommit.
    pub place: Place,
    /// The vote. Its extension is signed with it, whenever it has one to sign.
    pub vote: &'a Vote<'a>,
    /// The bytes that [`Ruling::Sign`] signs.
    pub sign_bytes: &'a [u8],
}

/// A proposal that a node of our chain wants signed, and that is fit to be.
#[derive(Clone, Copy, Debug)]
pub struct ProposalRequest<'a> {
    /// Where it stands: height, round, and [`Step::Propose`](super::privval::Step::Propose).
    pub place: Place,
    /// The proposal.
    pub proposal: &'a Proposal<'a>,
    /// The bytes that [`Ruling::Sign`] signs.
    pub sign_bytes: &'a [u8],
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is signed as it is. Whoever says so has made durable that it was: the signature leaves at once.
    ///
    /// The same sign-bytes give the same signature as often as one asks (RFC 8032). So this is the answer to a request
    /// that is repeated, too, and no signature has to be kept.
    Sign,
    /// It is what was signed here before, but for its time: these are the sign-bytes of then. The answer has their time and
    /// their signature. Whether they say the same is looked at once more, and if they do not the request is refused.
    SignAgain(Vec<u8>),
    /// It is not signed. The reason goes to the node, which logs it.
    Refuse(String),
}

/// Decides. One request at a time, each in the order in which it came.
///
/// It may take as long as a small write to a disk; a node blocks its consensus meanwhile. It does not wait for the
/// network.
pub trait Arbiter {
    /// Whether a vote is signed.
    fn vote(&mut self, request: &VoteRequest<'_>) -> Ruling;
    /// Whether a proposal is signed.
    fn proposal(&mut self, request: &ProposalRequest<'_>) -> Ruling;
}
