//! PURE. Votes and proposals as they travel, `proto/tendermint/types/types.proto` of `CometBFT` 0.38. They borrow from the bytes
//! that they were read from: a vote may carry an extension of nearly a mebibyte.

use super::wire::{Fields, Malformed, once, put_bytes, put_int, put_message};

/// The type of a prevote, `SIGNED_MSG_TYPE_PREVOTE`.
pub const PREVOTE: i32 = 1;
/// The type of a precommit, `SIGNED_MSG_TYPE_PRECOMMIT`.
pub const PRECOMMIT: i32 = 2;
/// The type of a proposal, `SIGNED_MSG_TYPE_PROPOSAL`.
pub const PROPOSAL: i32 = 32;

/// A vote. What it says may be nonsense; see [`super::request`] for what is asked of it before it is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vote<'a> {
    /// [`PREVOTE`] or [`PRECOMMIT`].
    pub kind: i32,
    /// Height.
    pub height: i64,
    /// Round.
    pub round: i32,
    /// What is voted for; zero for nil.
    pub block: BlockId<'a>,
    /// When the node made it. It is signed.
    pub time: Timestamp,
    /// Address of the validator. It is not signed.
    pub address: &'a [u8],
    /// Place of the validator in its set. It is not signed.
    pub index: i32,
    /// Signature of the vote.
    pub signature: &'a [u8],
    /// What the application adds to a precommit. It has a signature of its own.
    pub extension: &'a [u8],
    /// Signature of the extension.
    pub extension_signature: &'a [u8],
}

/// A proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal<'a> {
    /// [`PROPOSAL`].
    pub kind: i32,
    /// Height.
    pub height: i64,
    /// Round.
    pub round: i32,
    /// The round in which the block had its proof of lock; -1 if it never had one.
    pub pol_round: i32,
    /// What is proposed.
    pub block: BlockId<'a>,
    /// When the node made it. It is signed.
    pub time: Timestamp,
    /// Signature of the proposal.
    pub signature: &'a [u8],
}

/// A block, by its hash and that of its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockId<'a> {
    /// Hash of the block.
    pub hash: &'a [u8],
    /// Its parts.
    pub parts: PartSetHeader<'a>,
}

/// The parts of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartSetHeader<'a> {
    /// How many.
    pub total: u32,
    /// Their hash.
    pub hash: &'a [u8],
}

/// A moment between the years 1 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    seconds: i64,
    nanos: i32,
}

// === impl Vote ===

impl<'a> Vote<'a> {
    /// Reads one.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut kind, mut height, mut round, mut block, mut time) = (None, None, None, None, None);
        let (mut address, mut index, mut signature) = (None, None, None);
        let (mut extension, mut extension_signature) = (None, None);
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.read()? {
            match field.number {
                1 => once(&mut kind, field, field.int32()?)?,
                2 => once(&mut height, field, field.int64()?)?,
                3 => once(&mut round, field, field.int32()?)?,
                4 => once(&mut block, field, BlockId::read(field.bytes()?)?)?,
                5 => once(&mut time, field, Timestamp::read(field.bytes()?)?)?,
                6 => once(&mut address, field, field.bytes()?)?,
                7 => once(&mut index, field, field.int32()?)?,
                8 => once(&mut signature, field, field.bytes()?)?,
                9 => once(&mut extension, field, field.bytes()?)?,
                10 => once(&mut extension_signature, field, field.bytes()?)?,
                _ => {}
            }
        }
        Ok(Self {
            kind: kind.unwrap_or_default(),
            height: height.unwrap_or_default(),
            round: round.unwrap_or_default(),
            block: block.unwrap_or_default(),
            time: time.unwrap_or_default(),
            address: address.unwrap_or_default(),
            index: index.unwrap_or_default(),
            signature: signature.unwrap_or_default(),
            extension: extension.unwrap_or_default(),
            extension_signature: extension_signature.unwrap_or_default(),
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let Self { kind, height, round, block, time, address, index, signature, extension, extension_signature } =
            self;
        let mut out = Vec::new();
        put_int(&mut out, 1, (*kind).into());
        put_int(&mut out, 2, *height);
        put_int(&mut out, 3, (*round).into());
        put_message(&mut out, 4, &block.write());
        put_message(&mut out, 5, &time.write());
        put_bytes(&mut out, 6, address);
        put_int(&mut out, 7, (*index).into());
        put_bytes(&mut out, 8, signature);
        put_bytes(&mut out, 9, extension);
        put_bytes(&mut out, 10, extension_signature);
        out
    }
}

// === impl Proposal ===

impl<'a> Proposal<'a> {
    /// Reads one.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut kind, mut height, mut round, mut pol_round) = (None, None, None, None);
        let (mut block, mut time, mut signature) = (None, None, None);
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.read()? {
            match field.number {
                1 => once(&mut kind, field, field.int32()?)?,
                2 => once(&mut height, field, field.int64()?)?,
                3 => once(&mut round, field, field.int32()?)?,
                4 => once(&mut pol_round, field, field.int32()?)?,
                5 => once(&mut block, field, BlockId::read(field.bytes()?)?)?,
                6 => once(&mut time, field, Timestamp::read(field.bytes()?)?)?,
                7 => once(&mut signature, field, field.bytes()?)?,
                _ => {}
            }
        }
        Ok(Self {
            kind: kind.unwrap_or_default(),
            height: height.unwrap_or_default(),
            round: round.unwrap_or_default(),
            pol_round: pol_round.unwrap_or_default(),
            block: block.unwrap_or_default(),
            time: time.unwrap_or_default(),
            signature: signature.unwrap_or_default(),
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let Self { kind, height, round, pol_round, block, time, signature } = self;
        let mut out = Vec::new();
        put_int(&mut out, 1, (*kind).into());
        put_int(&mut out, 2, *height);
        put_int(&mut out, 3, (*round).into());
        put_int(&mut out, 4, (*pol_round).into());
        put_message(&mut out, 5, &block.write());
        put_message(&mut out, 6, &time.write());
        put_bytes(&mut out, 7, signature);
        out
    }
}

// === impl BlockId ===

impl<'a> BlockId<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut hash, mut parts) = (None, None);
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.read()? {
            match field.number {
                1 => once(&mut hash, field, field.bytes()?)?,
                2 => once(&mut parts, field, PartSetHeader::read(field.bytes()?)?)?,
                _ => {}
            }
        }
        Ok(Self { hash: hash.unwrap_or_default(), parts: parts.unwrap_or_default() })
    }

    /// The same bytes as a part of what is signed: `CanonicalBlockID` has the very fields of `BlockID`.
    pub(super) fn write(&self) -> Vec<u8> {
        let Self { hash, parts: PartSetHeader { total, hash: parts_hash } } = self;
        let mut parts = Vec::new();
        put_int(&mut parts, 1, (*total).into());
        put_bytes(&mut parts, 2, parts_hash);
        let mut out = Vec::new();
        put_bytes(&mut out, 1, hash);
        put_message(&mut out, 2, &parts);
        out
    }

    /// No block, a vote for which is a vote for nil.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        *self == Self::default()
    }

    /// A block with all that identifies it.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.hash.len() == 32 && self.parts.total > 0 && self.parts.hash.len() == 32
    }
}

impl<'a> PartSetHeader<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut total, mut hash) = (None, None);
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.read()? {
            match field.number {
                1 => once(&mut total, field, field.uint32()?)?,
                2 => once(&mut hash, field, field.bytes()?)?,
                _ => {}
            }
        }
        Ok(Self { total: total.unwrap_or_default(), hash: hash.unwrap_or_default() })
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// What `CometBFT` takes for a time that is not given: Go's zero, the first moment of the year 1, and not of 1970.
    pub const ABSENT: Self = Self { seconds: -62_135_596_800, nanos: 0 };

    /// So many seconds and nanoseconds after the beginning of 1970, if protobuf has that moment.
    #[must_use]
    pub fn new(seconds: i64, nanos: i32) -> Option<Self> {
        const YEAR_10000: i64 = 253_402_300_800;
        let exists = (Self::ABSENT.seconds..YEAR_10000).contains(&seconds) && (0..1_000_000_000).contains(&nanos);
        exists.then_some(Self { seconds, nanos })
    }

    /// Seconds since the beginning of 1970.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since the beginning of 1970.
    #[must_use]
    pub fn in_nanos(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// Nanoseconds after [`Self::seconds`].
    #[must_use]
    pub const fn nanos(self) -> i32 {
        self.nanos
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut seconds, mut nanos) = (None, None);
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.read()? {
            match field.number {
                1 => once(&mut seconds, field, field.int64()?)?,
                2 => once(&mut nanos, field, field.int32()?)?,
                _ => {}
            }
        }
        Self::new(seconds.unwrap_or_default(), nanos.unwrap_or_default()).ok_or(Malformed::Range(1))
    }

    pub(super) fn write(self) -> Vec<u8> {
        let mut out = Vec::new();
        put_int(&mut out, 1, self.seconds);
        put_int(&mut out, 2, self.nanos.into());
        out
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::ABSENT
    }
}
