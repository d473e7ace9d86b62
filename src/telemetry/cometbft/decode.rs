//! PURE. What the RPC's answers say. Written after `CometBFT` v0.38.25.
//!
//! Every 64-bit integer arrives as a JSON string of decimal digits and never passes through a float. Unknown fields
//! are ignored; a known field that is missing, of another type or out of range makes the whole answer unusable.

use serde::Deserialize;

use crate::{
    signal::{AppState, Block, Hash, Unknown, Wall},
    telemetry::{
        ask::{Trouble, outcome},
        number::{self, Decimal},
        source::Expected,
        text::excerpt,
    },
};

/// What `/status` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What the node calls its chain.
    pub chain: String,
    /// The version of its software.
    pub version: String,
    /// Latest height.
    pub head: u64,
    /// Hash of the latest block.
    pub hash: String,
    /// Wall time minus the time of the latest block, in microseconds; negative when the block is from our future.
    pub block_time_skew: Result<i64, Unknown>,
    /// In block sync or state sync. `false` does not mean that consensus is alive.
    pub syncing: bool,
    /// The key this node runs with is in the active set, whichever machine signs with it.
    pub signing: bool,
    /// The address of that key, in hexadecimal digits.
    pub address: String,
}

/// Some blocks in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metas {
    /// The blocks, newest first.
    pub blocks: Vec<Block>,
    /// Time between the oldest and the newest (microseconds).
    pub span: u64,
    /// Transactions in all but the oldest.
    pub transactions: u64,
}

/// Reads `/status`, of a node of `chain_id`.
pub fn status(body: &[u8], chain_id: &str, wall_now: Wall) -> Result<Status, Unknown> {
    read_status(body, &Expected::exactly(chain_id), wall_now).map_err(|trouble| trouble.unknown())
}

pub(super) fn read_status(body: &[u8], expected: &Expected, wall_now: Wall) -> Result<Status, Trouble> {
    // The chain comes first: what a node of another chain says otherwise is of no interest, even if it is garbage.
    let NodeInfo { network, version } = outcome::<Identity>(body)?.node_info;
    let chain = excerpt(network.as_bytes());
    expected.check(&[&chain])?;
    let StatusResult { sync_info, validator_info } = outcome(body)?;
    let skew = number::time(&sync_info.latest_block_time).map_err(|trouble| trouble.unknown()).and_then(|time| {
        let now = wall_now.0.checked_mul(1000);
        now.and_then(|now| now.checked_sub(time)).ok_or_else(|| Unknown::Invalid("time out of range".into()))
    });
    Ok(Status {
        chain,
        version: excerpt(version.as_bytes()),
        head: sync_info.latest_block_height.0,
        hash: excerpt(sync_info.latest_block_hash.as_bytes()),
        block_time_skew: skew,
        syncing: sync_info.catching_up,
        signing: validator_info.voting_power.0 > 0,
        address: excerpt(validator_info.address.as_bytes()),
    })
}

/// Reads the number of peers from `/net_info`.
pub fn peers(body: &[u8]) -> Result<u64, Unknown> {
    outcome::<NetInfo>(body).map(|info| info.n_peers.0).map_err(|trouble| trouble.unknown())
}

/// Reads the number of pending transactions from `/num_unconfirmed_txs`.
pub fn mempool(body: &[u8]) -> Result<u64, Unknown> {
    outcome::<Unconfirmed>(body).map(|pool| pool.total.0).map_err(|trouble| trouble.unknown())
}

/// Reads height, round and step from `/consensus_state`, as it writes them, and the round.
pub fn round(body: &[u8]) -> Result<(String, u64), Unknown> {
    let at = outcome::<ConsensusState>(body).map_err(|trouble| trouble.unknown())?.round_state.at;
    let round = at.split('/').nth(1).and_then(number::decimal);
    match round.filter(|_| at.len() <= 64) {
        Some(round) => Ok((at, round)),
        None => Err(Unknown::Invalid(excerpt(format!("not height/round/step: {at}").as_bytes()))),
    }
}

/// Reads the application's state from `/abci_info`; `None` before the first block.
pub fn state(body: &[u8]) -> Result<Option<AppState>, Unknown> {
    let AbciInfo { response } = outcome(body).map_err(|trouble| trouble.unknown())?;
    let height = match response.last_block_height.as_deref() {
        None | Some("" | "0") => return Ok(None),
        Some(text) => number::decimal(text).ok_or_else(|| Unknown::Invalid("a height that is none".into()))?,
    };
    let hash = response.last_block_app_hash.unwrap_or_default();
    Ok(base64(&hash, 32).and_then(|bytes| Hash::of_bytes(&bytes)).map(|hash| AppState { height, hash }))
}

/// Reads blocks from `/blockchain`.
pub fn metas(body: &[u8]) -> Result<Metas, Unknown> {
    let Blockchain { block_metas } = outcome(body).map_err(|trouble| trouble.unknown())?;
    let time = |meta: &Meta| number::time(&meta.header.time).map_err(|trouble| trouble.unknown());
    let blocks = block_metas
        .iter()
        .filter_map(|meta| {
            Some(Block {
                height: meta.header.height.0,
                hash: Hash::of_hex(&meta.block_id.hash)?,
                app_hash: Hash::of_hex(&meta.header.app_hash),
            })
        })
        .collect();
    let span = match (block_metas.first(), block_metas.last()) {
        (Some(newest), Some(oldest)) => u64::try_from(time(newest)? - time(oldest)?).unwrap_or(0),
        _ => 0,
    };
    let but_oldest = block_metas.len().saturating_sub(1);
    let transactions = block_metas.iter().take(but_oldest).map(|meta| meta.num_txs.0).sum();
    Ok(Metas { blocks, span, transactions })
}

/// Why an answer with an HTTP status other than 200 is unusable: the RPC error in it, or how it begins.
#[must_use]
pub fn complaint(status: u16, body: &[u8]) -> Unknown {
    match outcome::<serde::de::IgnoredAny>(body).map_err(|trouble| trouble.unknown()) {
        Err(Unknown::Unsupported) => Unknown::Unsupported,
        Err(Unknown::Invalid(said)) => Unknown::Invalid(format!("HTTP {status}: {said}")),
        _ => Unknown::Invalid(format!("HTTP {status}")),
    }
}

#[derive(Deserialize)]
struct Identity {
    node_info: NodeInfo,
}

#[derive(Deserialize)]
struct NodeInfo {
    network: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct StatusResult {
    sync_info: SyncInfo,
    validator_info: ValidatorInfo,
}

#[derive(Deserialize)]
struct SyncInfo {
    latest_block_height: Decimal,
    #[serde(default)]
    latest_block_hash: String,
    latest_block_time: String,
    catching_up: bool,
}

#[derive(Deserialize)]
struct ValidatorInfo {
    voting_power: Decimal,
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
struct NetInfo {
    n_peers: Decimal,
}

#[derive(Deserialize)]
struct Unconfirmed {
    total: Decimal,
}

#[derive(Deserialize)]
struct ConsensusState {
    round_state: RoundState,
}

#[derive(Deserialize)]
struct RoundState {
    #[serde(rename = "height/round/step")]
    at: String,
}

#[derive(Deserialize)]
struct AbciInfo {
    response: AbciResponse,
}

#[derive(Deserialize)]
struct AbciResponse {
    last_block_height: Option<String>,
    last_block_app_hash: Option<String>,
}

#[derive(Deserialize)]
struct Blockchain {
    block_metas: Vec<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    block_id: BlockId,
    header: Header,
    #[serde(default = "none")]
    num_txs: Decimal,
}

const fn none() -> Decimal {
    Decimal(0)
}

#[derive(Deserialize)]
struct BlockId {
    hash: String,
}

#[derive(Deserialize)]
struct Header {
    height: Decimal,
    time: String,
    app_hash: String,
}

/// Standard base 64, of at most so many bytes.
pub(super) fn base64(text: &str, most: usize) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    if digits.len() > (most * 4).div_ceil(3) {
        return None;
    }
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in digits.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}
