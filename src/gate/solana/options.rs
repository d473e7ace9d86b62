//! What the gate of a Solana validator is told, and the public half of its key.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::{
    failover::split,
    gate::{
        encoding::to_hex,
        key::{self, KeyError},
        member::{Member, StartError},
    },
};

/// How the identity of a validator is looked after.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose it is.
    pub member: Member,
    /// The validator's ledger, with the socket of its admin RPC and its towers.
    pub ledger: PathBuf,
    /// The key pair of the staked identity, where the validator finds it under the same path.
    pub keypair: PathBuf,
    /// That of the one without stake.
    pub unstaked: PathBuf,
    /// The folder of what must survive.
    pub state: PathBuf,
    /// Name of the validator's program.
    pub program: String,
    /// For how long the tower must not change before it counts as the last one (milliseconds).
    pub settle: u64,
    /// How long before the end of its hold the identity is taken away (milliseconds).
    pub grace: u64,
}

/// Why an identity cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub enum SolanaError {
    /// A key pair cannot be read, or others can.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is no key pair.
    #[error("failed to use {}: it is no key pair of Solana, an array of 64 numbers", path.display())]
    NoPair {
        /// Which file.
        path: PathBuf,
    },
    /// The staked identity's is of another key.
    #[error("the key pair {} has the public key {public}, and the identity is {identity}: this is another key", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// Its public half, in hexadecimal digits.
        public: String,
        /// The identity.
        identity: String,
    },
    /// Both are one.
    #[error("the key pair {} is the staked identity's: --unstaked is another one, without stake", path.display())]
    SameKey {
        /// The file.
        path: PathBuf,
    },
    /// It cannot begin.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// The public half of the staked identity, if both key pairs are what they should be.
pub(super) fn public(options: &Options) -> Result<[u8; 32], SolanaError> {
    let (staked, unstaked) = (half(&options.keypair)?, half(&options.unstaked)?);
    let public = to_hex(&staked).to_ascii_lowercase();
    if split(&options.member.identity).is_none_or(|(_, key)| key != public) {
        let (path, identity) = (options.keypair.clone(), options.member.identity.clone());
        return Err(SolanaError::OtherKey { path, public, identity });
    }
    if staked == unstaked {
        return Err(SolanaError::SameKey { path: options.unstaked.clone() });
    }
    Ok(staked)
}

/// The public half of a key pair: its second. The validator itself reads the first.
fn half(path: &Path) -> Result<[u8; 32], SolanaError> {
    let text = key::private(path)?;
    parse(&text).ok_or_else(|| SolanaError::NoPair { path: path.to_owned() })
}

/// By hand: a reader of JSON would leave copies of the private half behind.
fn parse(text: &[u8]) -> Option<[u8; 32]> {
    let inner = text.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
    let mut pair = Zeroizing::new([0; 64]);
    let mut words = inner.split(|byte| *byte == b',');
    for byte in pair.iter_mut() {
        *byte = std::str::from_utf8(words.next()?.trim_ascii()).ok()?.parse().ok()?;
    }
    words.next().is_none().then_some(())?;
    pair.last_chunk::<32>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_is_sixty_four_numbers_and_the_second_half_is_public() {
        let numbers: Vec<u8> = (0..64).collect();
        let text = serde_json::to_string(&numbers).unwrap();
        let public = parse(text.as_bytes()).unwrap();
        assert_eq!(public[..], numbers[32..]);
        assert_eq!(parse(format!(" {}\n", text.replace(',', ", ")).as_bytes()), Some(public));
        let more = text.replace("63]", "63,64]");
        for odd in ["", "[]", "[1,2]", &text[1..], &more, &text.replace("63]", "263]"), &text.replace("63]", "]")]
        {
            assert_eq!(parse(odd.as_bytes()), None, "{odd}");
        }
    }
}
