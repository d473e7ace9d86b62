//! PURE. What the node asks, and what a vote or a proposal must be to be signed at all.

use super::{
    message::{PRECOMMIT, PREVOTE, PROPOSAL, Proposal, Vote},
    wire::{Fields, Malformed, once},
};

/// The longest name a chain may have, `MaxChainIDLen` of `CometBFT`'s `types/genesis.go`.
pub const LONGEST_CHAIN: usize = 50;
/// Bytes of an address.
pub const ADDRESS: usize = 20;

/// A question of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Which key do you have?
    PubKey {
        /// For which chain.
        chain: &'a str,
    },
    /// Sign a vote.
    Vote {
        /// On which chain.
        chain: &'a str,
        /// What to sign.
        vote: Vote<'a>,
    },
    /// Sign a proposal.
    Proposal {
        /// On which chain.
        chain: &'a str,
        /// What to sign.
        proposal: Proposal<'a>,
    },
    /// Are you there?
    Ping,
}

/// A step of a round, in the order in which a validator goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// It proposes.
    Propose,
    /// It prevotes.
    Prevote,
    /// It precommits.
    Precommit,
}

/// Where in the life of a chain something is signed. Later is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Height.
    pub height: u64,
    /// Round.
    pub round: u32,
    /// Step.
    pub step: Step,
}

/// Why nobody signs such a thing, whatever was signed before. Each is what `ValidateBasic` of `CometBFT`'s votes and proposals
/// holds against it, or would be once it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is of no type that this request is for.
    #[error("not a vote or proposal of a known type")]
    Kind,
    /// Below one.
    #[error("the height is not positive")]
    Height,
    /// Below zero.
    #[error("the round is negative")]
    Round,
    /// Below minus one.
    #[error("the round of the lock is below -1")]
    PolRound,
    /// Neither nil, where nil is possible, nor complete.
    #[error("the block is incomplete")]
    Block,
    /// Not of twenty bytes.
    #[error("the address is none")]
    Address,
    /// An extension on something other than a precommit for a block.
    #[error("only a precommit for a block has an extension")]
    Extension,
}

// === impl Request ===

impl<'a> Request<'a> {
    /// Reads a message; everything that is not a request is malformed.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut only = None;
        let mut fields = Fields::of(message);
        while let Some(field) = fields.read()? {
            let request = match field.number {
                1 => Self::PubKey { chain: read_chain(field.bytes()?)? },
                3 => {
                    let (vote, chain) = read_signable(field.bytes()?)?;
                    Self::Vote { chain, vote: Vote::read(vote)? }
                }
                5 => {
                    let (proposal, chain) = read_signable(field.bytes()?)?;
                    Self::Proposal { chain, proposal: Proposal::read(proposal)? }
                }
                7 => {
                    field.bytes()?;
                    Self::Ping
                }
                // An answer, or something from the future. Whoever sends it waits for something that we cannot give.
                _ => return Err(Malformed::NotARequest),
            };
            once(&mut only, field, request)?;
        }
        only.ok_or(Malformed::NotARequest)
    }
}

fn read_chain(bytes: &[u8]) -> Result<&str, Malformed> {
    let mut chain = None;
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.read()? {
        if field.number == 1 {
            once(&mut chain, field, field.text()?)?;
        }
    }
    Ok(chain.unwrap_or_default())
}

/// `SignVoteRequest` and `SignProposalRequest`: what to sign, and the chain.
fn read_signable(bytes: &[u8]) -> Result<(&[u8], &str), Malformed> {
    let (mut what, mut chain) = (None, None);
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.read()? {
        match field.number {
            1 => once(&mut what, field, field.bytes()?)?,
            2 => once(&mut chain, field, field.text()?)?,
            _ => {}
        }
    }
    Ok((what.ok_or(Malformed::Missing(1))?, chain.unwrap_or_default()))
}

// === impl Vote, Proposal ===

impl Vote<'_> {
    /// Where it stands, if it is one that can be signed.
    pub fn place(&self) -> Result<Place, Unfit> {
        let step = match self.kind {
            PREVOTE => Step::Prevote,
            PRECOMMIT => Step::Precommit,
            _ => return Err(Unfit::Kind),
        };
        if !self.block.is_nil() && !self.block.is_complete() {
            return Err(Unfit::Block);
        }
        if self.address.len() != ADDRESS || self.index < 0 {
            return Err(Unfit::Address);
        }
        if !self.extension.is_empty() && !self.is_extended() {
            return Err(Unfit::Extension);
        }
        place(self.height, self.round, step)
    }

    /// Whether its extension, even an empty one, is signed too: `signVote` of `privval/file.go` does so for every precommit
    /// for a block, and for nothing else.
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.kind == PRECOMMIT && !self.block.is_nil()
    }
}

impl Proposal<'_> {
    /// Where it stands, if it is one that can be signed.
    pub fn place(&self) -> Result<Place, Unfit> {
        if self.kind != PROPOSAL {
            return Err(Unfit::Kind);
        }
        if self.pol_round < -1 {
            return Err(Unfit::PolRound);
        }
        if !self.block.is_complete() {
            return Err(Unfit::Block);
        }
        place(self.height, self.round, Step::Propose)
    }
}

fn place(height: i64, round: i32, step: Step) -> Result<Place, Unfit> {
    let height = u64::try_from(height).ok().filter(|height| *height > 0).ok_or(Unfit::Height)?;
    let round = round.try_into().map_err(|_| Unfit::Round)?;
    Ok(Place { height, round, step })
}
