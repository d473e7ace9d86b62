//! PURE. What is signed: the canonical form of a vote, a proposal and a vote's extension, after its length.
//!
//! After `types/canonical.go` and `proto/tendermint/types/canonical.proto` of `CometBFT` 0.38. Height and round take eight bytes
//! each and are left out when they are zero; the time is always there; a vote for nil has no block.

use sha2::{Digest, Sha256};

use super::{
    message::{PRECOMMIT, PREVOTE, PROPOSAL, Proposal, Timestamp, Vote},
    request::{Place, Step},
    wire::{Fields, Malformed, once, put_bytes, put_delimited, put_int, put_message, put_sfixed64},
};

/// What is signed of `vote` on the chain `chain`.
#[must_use]
pub fn vote(chain: &str, vote: &Vote<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    put_int(&mut out, 1, vote.kind.into());
    put_sfixed64(&mut out, 2, vote.height);
    put_sfixed64(&mut out, 3, vote.round.into());
    if !vote.block.is_nil() {
        put_message(&mut out, 4, &vote.block.write());
    }
    put_message(&mut out, 5, &vote.time.write());
    put_bytes(&mut out, 6, chain.as_bytes());
    delimited(&out)
}

/// What is signed of `proposal` on the chain `chain`.
#[must_use]
pub fn proposal(chain: &str, proposal: &Proposal<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    // Whatever type the proposal says it has.
    put_int(&mut out, 1, PROPOSAL.into());
    put_sfixed64(&mut out, 2, proposal.height);
    put_sfixed64(&mut out, 3, proposal.round.into());
    put_int(&mut out, 4, proposal.pol_round.into());
    if !proposal.block.is_nil() {
        put_message(&mut out, 5, &proposal.block.write());
    }
    put_message(&mut out, 6, &proposal.time.write());
    put_bytes(&mut out, 7, chain.as_bytes());
    delimited(&out)
}

/// What is signed of the extension of `vote` on the chain `chain`; there is something to sign even if it is empty.
#[must_use]
pub fn extension(chain: &str, vote: &Vote<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, vote.extension);
    put_sfixed64(&mut out, 2, vote.height);
    put_sfixed64(&mut out, 3, vote.round.into());
    put_bytes(&mut out, 4, chain.as_bytes());
    delimited(&out)
}

fn delimited(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 4);
    put_delimited(&mut out, message);
    out
}

/// What sign-bytes of a vote or a proposal are about: whoever keeps them can tell later what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// Where.
    pub place: Place,
    /// With which time.
    pub time: Timestamp,
    /// All that was signed before and after the time, as it was written.
    around: (&'a [u8], &'a [u8]),
}

// === impl Signed ===

impl<'a> Signed<'a> {
    /// Reads sign-bytes of a vote or a proposal, as [`vote`] and [`proposal`] write them.
    pub fn read(sign_bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(sign_bytes);
        let length = fields.varint()?;
        let message = fields.rest();
        if message.len() as u64 != length {
            return Err(Malformed::Truncated);
        }
        // The type comes first, and says which of the two messages this is.
        let kind = fields.read()?.filter(|field| field.number == 1).ok_or(Malformed::Missing(1))?;
        let (step, of_time) = match kind.int32()? {
            PROPOSAL => (Step::Propose, 6),
            PREVOTE => (Step::Prevote, 5),
            PRECOMMIT => (Step::Precommit, 5),
            _ => return Err(Malformed::Range(1)),
        };
        let (mut height, mut round, mut time) = (None, None, None);
        let mut before = fields.rest();
        while let Some(field) = fields.read()? {
            match field.number {
                1 => return Err(Malformed::Repeated(1)),
                2 => once(&mut height, field, field.sfixed64()?)?,
                3 => once(&mut round, field, field.sfixed64()?)?,
                number if number == of_time => {
                    let around = (&message[..message.len() - before.len()], fields.rest());
                    once(&mut time, field, (Timestamp::read(field.bytes()?)?, around))?;
                }
                _ => {}
            }
            before = fields.rest();
        }
        let (time, around) = time.ok_or(Malformed::Missing(of_time))?;
        let height = height.unwrap_or_default().try_into().map_err(|_| Malformed::Range(2))?;
        let round = round.unwrap_or_default().try_into().map_err(|_| Malformed::Range(3))?;
        Ok(Self { place: Place { height, round, step }, time, around })
    }

    /// What it says, whatever the time: a SHA-256 of all that was signed before and after the time.
    #[must_use]
    pub fn content(&self) -> [u8; 32] {
        let (before, after) = self.around;
        let mut hash = Sha256::new();
        // Where the one ends and the other begins is part of what was said.
        hash.update(u64::try_from(before.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(before);
        hash.update(after);
        hash.finalize().into()
    }

    /// Whether `other` says the same, at whatever time. `CometBFT` signs neither of two votes at one place twice: the second
    /// gets time and signature of the first, `checkVotesOnlyDifferByTimestamp` of `privval/file.go`.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.around == other.around
    }
}
