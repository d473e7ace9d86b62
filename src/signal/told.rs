//! What a poll tells beyond signals: facts about the chain that the node follows.

use std::fmt;

/// What a poll told about the chain. Empty where a source knows nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Who answered.
    pub identity: Option<Identity>,
    /// Blocks at heights that were asked for.
    pub blocks: Vec<Block>,
    /// What the node's application made of the chain.
    pub state: Option<AppState>,
    /// The upgrade that the chain has planned; `Some(None)`: none.
    pub upgrade: Option<Option<Upgrade>>,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it calls its chain.
    pub chain: String,
    /// Its software and version, as it names them.
    pub version: String,
}

/// A block as one node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Its height or slot.
    pub height: u64,
    /// Its hash.
    pub hash: Hash,
    /// The application's hash that its header commits to: for `CometBFT` the one after the block before.
    pub app_hash: Option<Hash>,
}

/// What a node's application made of the chain up to a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppState {
    /// The height.
    pub height: u64,
    /// The application's hash after that block.
    pub hash: Hash,
}

/// An upgrade that the chain has planned: nodes halt at the height on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upgrade {
    /// Its name, fit to show.
    pub name: String,
    /// The height at which nodes of the old version halt.
    pub height: u64,
}

/// A hash of up to 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash with these bytes, at most 32 and at least one.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut hash = [0; 32];
        hash.get_mut(..bytes.len()).filter(|_| !bytes.is_empty())?.copy_from_slice(bytes);
        Some(Self(hash))
    }

    /// The hash written in hexadecimal digits, with or without `0x`.
    #[must_use]
    pub fn of_hex(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
        if !digits.len().is_multiple_of(2) || digits.len() > 64 {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes: Option<Vec<u8>> =
            digits.chunks_exact(2).map(|pair| Some((digit(pair[0])? << 4) | digit(pair[1])?)).collect();
        Self::of_bytes(&bytes?)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("{a:02x}{b:02x}{c:02x}{d:02x}…")
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_however_it_is_written() {
        let hash = Hash::of_hex("0xC9AEbb").unwrap();
        assert_eq!(hash, Hash::of_bytes(&[0xc9, 0xae, 0xbb]).unwrap());
        assert_eq!(hash.short(), "c9aebb00…");
        for refused in ["", "0x", "abc", "zz", "é", &"a".repeat(66)] {
            assert_eq!(Hash::of_hex(refused), None, "{refused}");
        }
    }
}
