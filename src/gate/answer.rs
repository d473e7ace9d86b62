//! PURE. From one message of the node to the answer, with a key and whoever decides. It neither reads nor writes.

use super::{
    arbiter::{Arbiter, ProposalRequest, Ruling, VoteRequest},
    key::{Key, Signature},
    privval::{
        Malformed, Proposal, Reply, Request, Timestamp, Vote, canonical, canonical::Signed, request::Unfit,
    },
};

/// Signs with one key, for one chain.
#[derive(Debug)]
pub struct Signer {
    chain: String,
    key: Key,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The public key was given.
    PubKey,
    /// A ping was answered.
    Ping,
    /// A vote or a proposal was signed as it was.
    Signed,
    /// A vote or a proposal got the time and the signature of an earlier one, which says the same.
    SignedAgain,
    /// A vote or a proposal was refused by whoever decides.
    Refused,
    /// Refused before anybody was asked: nobody signs such a vote or proposal.
    Unfit,
    /// Refused before anybody was asked: it is for another chain.
    OtherChain,
}

struct Refusal {
    outcome: Outcome,
    why: String,
}

// === impl Signer ===

impl Signer {
    /// One that signs with `key` for `chain`, and for nothing else.
    #[must_use]
    pub fn new(chain: impl Into<String>, key: Key) -> Self {
        Self { chain: chain.into(), key }
    }

    /// Appends to `out` what is answered to `message`, after its length.
    ///
    /// The key and the answer to a ping are given whoever may sign: a node that gets none does not start.
    pub fn answer<A: Arbiter>(
        &self,
        message: &[u8],
        arbiter: &mut A,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Malformed> {
        match Request::read(message)? {
            Request::Ping => {
                Reply::Pong.write(out);
                Ok(Outcome::Ping)
            }
            Request::PubKey { chain } => match self.of_chain(chain) {
                Ok(()) => {
                    Reply::PubKey(self.key.public()).write(out);
                    Ok(Outcome::PubKey)
                }
                Err(Refusal { outcome, why }) => {
                    Reply::NoPubKey(&why).write(out);
                    Ok(outcome)
                }
            },
            Request::Vote { chain, vote } => match self.vote(chain, &vote, arbiter) {
                Ok((outcome, time)) => {
                    let vote = Vote { time, ..vote };
                    let signature = self.key.sign(&canonical::vote(&self.chain, &vote));
                    let extension = self.extension(&vote);
                    let extension = extension.as_ref().map_or(&[][..], |signature| signature);
                    Reply::Vote(Vote { signature: &signature, extension_signature: extension, ..vote }).write(out);
                    Ok(outcome)
                }
                Err(Refusal { outcome, why }) => {
                    Reply::NoVote(&why).write(out);
                    Ok(outcome)
                }
            },
            Request::Proposal { chain, proposal } => match self.proposal(chain, &proposal, arbiter) {
                Ok((outcome, time)) => {
                    let proposal = Proposal { time, ..proposal };
                    let signature = self.key.sign(&canonical::proposal(&self.chain, &proposal));
                    Reply::Proposal(Proposal { signature: &signature, ..proposal }).write(out);
                    Ok(outcome)
                }
                Err(Refusal { outcome, why }) => {
                    Reply::NoProposal(&why).write(out);
                    Ok(outcome)
                }
            },
        }
    }

    /// Whether a vote is signed, and with which time.
    fn vote<A: Arbiter>(
        &self,
        chain: &str,
        vote: &Vote<'_>,
        arbiter: &mut A,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        self.of_chain(chain)?;
        let place = vote.place()?;
        let sign_bytes = canonical::vote(&self.chain, vote);
        match arbiter.vote(&VoteRequest { place, vote, sign_bytes: &sign_bytes }) {
            Ruling::Sign => Ok((Outcome::Signed, vote.time)),
            Ruling::SignAgain(earlier) => {
                again(&earlier, |time| canonical::vote(&self.chain, &Vote { time, ..vote.clone() }))
            }
            Ruling::Refuse(why) => Err(Refusal { outcome: Outcome::Refused, why }),
        }
    }

    /// Whether a proposal is signed, and with which time.
    fn proposal<A: Arbiter>(
        &self,
        chain: &str,
        proposal: &Proposal<'_>,
        arbiter: &mut A,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        self.of_chain(chain)?;
        let place = proposal.place()?;
        let sign_bytes = canonical::proposal(&self.chain, proposal);
        match arbiter.proposal(&ProposalRequest { place, proposal, sign_bytes: &sign_bytes }) {
            Ruling::Sign => Ok((Outcome::Signed, proposal.time)),
            Ruling::SignAgain(earlier) => {
                again(&earlier, |time| canonical::proposal(&self.chain, &Proposal { time, ..proposal.clone() }))
            }
            Ruling::Refuse(why) => Err(Refusal { outcome: Outcome::Refused, why }),
        }
    }

    /// The signature of a vote's extension, if it has one to sign. It is made anew each time: the application may have made
    /// another extension, and two of them are no double signature.
    fn extension(&self, vote: &Vote<'_>) -> Option<Signature> {
        vote.is_extended().then(|| self.key.sign(&canonical::extension(&self.chain, vote)))
    }

    fn of_chain(&self, chain: &str) -> Result<(), Refusal> {
        if chain == self.chain {
            return Ok(());
        }
        Err(Refusal { outcome: Outcome::OtherChain, why: format!("this signer is for the chain {}", self.chain) })
    }
}

/// The time of `earlier` sign-bytes, if what is asked now would have the very same ones at that time. Whoever decides has
/// looked already; this is the last moment at which a mistake costs a signature and not a key.
fn again(earlier: &[u8], at: impl FnOnce(Timestamp) -> Vec<u8>) -> Result<(Outcome, Timestamp), Refusal> {
    match Signed::read(earlier) {
        Ok(Signed { time, .. }) if at(time) == earlier => Ok((Outcome::SignedAgain, time)),
        _ => Err(Refusal { outcome: Outcome::Refused, why: "something else was signed here before".into() }),
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        Self { outcome: Outcome::Unfit, why: unfit.to_string() }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PubKey => "pub_key",
            Self::Ping => "ping",
            Self::Signed => "signed",
            Self::SignedAgain => "signed_again",
            Self::Refused => "refused",
            Self::Unfit => "unfit",
            Self::OtherChain => "other_chain",
        }
    }
}
