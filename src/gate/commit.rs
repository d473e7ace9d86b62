//! PURE. What a node's RPC says about a key: its head, and the key's signature in a commit. A signature is believed when it is
//! one: a node that talks nonsense shuts nobody.

use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    encoding::{base64, hex, to_hex},
    privval::{BlockId, PartSetHeader, Timestamp, Vote, canonical, message::PRECOMMIT, request::ADDRESS},
};

/// `BlockIDFlagCommit` and `BlockIDFlagNil` of `types/block.go`.
const COMMIT: u8 = 2;
const NIL: u8 = 3;

/// A precommit of our key, as a commit has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precommit {
    /// Height.
    pub height: u64,
    /// Round.
    pub round: u32,
    /// Hash of the block; none of a vote for nil.
    pub block: Option<[u8; 32]>,
}

/// Why an answer says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// It is no such document, or one that says that there is nothing: pruned, for instance.
    #[error("the answer has no {0}")]
    Missing(&'static str),
    /// It is of another chain.
    #[error("the node is of the chain {0}")]
    OtherChain(String),
    /// What stands for our signature is none of our key.
    #[error("the signature at height {0} is none of this key")]
    NoSignature(u64),
}

#[derive(Deserialize)]
struct Answer<T> {
    result: T,
}

#[derive(Deserialize)]
struct StatusResult {
    node_info: NodeInfo,
    sync_info: SyncInfo,
}

#[derive(Deserialize)]
struct NodeInfo {
    network: String,
}

#[derive(Deserialize)]
struct SyncInfo {
    latest_block_height: String,
}

#[derive(Deserialize)]
struct CommitResult {
    signed_header: SignedHeader,
}

#[derive(Deserialize)]
struct SignedHeader {
    commit: Commit,
}

#[derive(Deserialize)]
struct Commit {
    height: String,
    round: i32,
    block_id: Id,
    signatures: Vec<CommitSig>,
}

#[derive(Deserialize)]
struct Id {
    hash: String,
    parts: Parts,
}

#[derive(Deserialize)]
struct Parts {
    total: u32,
    hash: String,
}

#[derive(Deserialize)]
struct CommitSig {
    block_id_flag: u8,
    validator_address: String,
    timestamp: String,
    signature: Option<String>,
}

/// The height of the last block of a node of `chain`, by its `/status`.
pub fn head(chain: &str, body: &[u8]) -> Result<u64, Nothing> {
    let answer: Answer<StatusResult> = serde_json::from_slice(body).map_err(|_| Nothing::Missing("status"))?;
    let StatusResult { node_info, sync_info } = answer.result;
    if node_info.network != chain {
        return Err(Nothing::OtherChain(node_info.network));
    }
    sync_info.latest_block_height.parse().map_err(|_| Nothing::Missing("height"))
}

/// The precommit of the key `public` in a commit of `chain`, by its `/commit`; none if it is not in there.
pub fn precommit(chain: &str, public: &[u8; 32], body: &[u8]) -> Result<Option<Precommit>, Nothing> {
    let answer: Answer<CommitResult> = serde_json::from_slice(body).map_err(|_| Nothing::Missing("commit"))?;
    let commit = answer.result.signed_header.commit;
    let digest = Sha256::digest(public);
    let address = to_hex(&digest[..ADDRESS]);
    let ours = commit.signatures.iter().find(|one| one.validator_address.eq_ignore_ascii_case(&address));
    let Some(ours) = ours.filter(|one| matches!(one.block_id_flag, COMMIT | NIL)) else { return Ok(None) };
    let height: i64 = commit.height.parse().map_err(|_| Nothing::Missing("height"))?;
    let (Ok(at), Ok(round)) = (u64::try_from(height), u32::try_from(commit.round)) else {
        return Err(Nothing::Missing("height"));
    };
    let forged = || Nothing::NoSignature(at);
    let (hash, parts_hash) = (bytes(&commit.block_id.hash), bytes(&commit.block_id.parts.hash));
    let (hash, parts_hash) = (hash.ok_or_else(forged)?, parts_hash.ok_or_else(forged)?);
    let is_nil = ours.block_id_flag == NIL;
    let named =
        BlockId { hash: &hash, parts: PartSetHeader { total: commit.block_id.parts.total, hash: &parts_hash } };
    let block = if is_nil { BlockId::default() } else { named };
    let time = time(&ours.timestamp).ok_or_else(forged)?;
    let vote = Vote { kind: PRECOMMIT, height, round: commit.round, block, time, ..Vote::default() };
    let mut signature = [0; 64];
    let text = ours.signature.as_deref().unwrap_or_default();
    let signed = base64(text, &mut signature)
        && UnparsedPublicKey::new(&ED25519, public).verify(&canonical::vote(chain, &vote), &signature).is_ok();
    if !signed {
        return Err(forged());
    }
    Ok(Some(Precommit { height: at, round, block: (!is_nil).then_some(hash) }))
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    hex(text)?.try_into().ok()
}

fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Timestamp::new(time.as_second(), time.subsec_nanosecond())
}
