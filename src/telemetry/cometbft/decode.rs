//! PURE. What the RPC's answers say. Written after `CometBFT` v0.38.25.
//!
//! Every 64-bit integer arrives as a JSON string of decimal digits and never passes through a float. Unknown fields
//! are ignored; a known field that is missing, of another type or out of range makes the whole answer unusable.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

use crate::{
    signal::{Unknown, Wall},
    telemetry::text::excerpt,
};

/// What `/status` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Latest height.
    pub head: u64,
    /// Wall time minus the time of the latest block, in microseconds; negative when the block is from our future.
    pub block_time_skew: Result<i64, Unknown>,
    /// In block sync or state sync. `false` does not mean that consensus is alive.
    pub syncing: bool,
    /// The key this node runs with is in the active set, whichever machine signs with it.
    pub signing: bool,
}

/// Reads `/status`, of a node of `chain_id`.
pub fn status(body: &[u8], chain_id: &str, wall_now: Wall) -> Result<Status, Unknown> {
    // The chain comes first: what a node of another chain says otherwise is of no interest, even if it is garbage.
    let chain = result::<Identity>(body)?.node_info.network;
    if chain != chain_id {
        return Err(Unknown::WrongChain(excerpt(chain.as_bytes())));
    }
    let StatusResult { sync_info, validator_info } = result(body)?;
    Ok(Status {
        head: sync_info.latest_block_height,
        block_time_skew: skew(&sync_info.latest_block_time, wall_now),
        syncing: sync_info.catching_up,
        signing: validator_info.voting_power > 0,
    })
}

/// Reads the number of peers from `/net_info`.
pub fn peers(body: &[u8]) -> Result<u64, Unknown> {
    Ok(result::<NetInfo>(body)?.n_peers)
}

/// Why an answer with an HTTP status other than 200 is unusable: the RPC error in it, or how it begins.
#[must_use]
pub fn complaint(status: u16, body: &[u8]) -> Unknown {
    match result::<de::IgnoredAny>(body) {
        Err(Unknown::Invalid(said)) => Unknown::Invalid(format!("HTTP {status}: {said}")),
        _ => Unknown::Invalid(format!("HTTP {status}")),
    }
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Envelope<T> {
    result: Option<T>,
}

#[derive(Deserialize)]
struct Complaint {
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Identity {
    node_info: NodeInfo,
}

#[derive(Deserialize)]
struct NodeInfo {
    network: String,
}

#[derive(Deserialize)]
struct StatusResult {
    sync_info: SyncInfo,
    validator_info: ValidatorInfo,
}

#[derive(Deserialize)]
struct SyncInfo {
    #[serde(deserialize_with = "int64")]
    latest_block_height: u64,
    latest_block_time: String,
    catching_up: bool,
}

#[derive(Deserialize)]
struct ValidatorInfo {
    #[serde(deserialize_with = "int64")]
    voting_power: u64,
}

#[derive(Deserialize)]
struct NetInfo {
    #[serde(deserialize_with = "int64")]
    n_peers: u64,
}

/// The `result` of a JSON-RPC answer. An `error` is looked for first: it may come with HTTP 200.
fn result<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Unknown> {
    // Checked as a whole, because the parser does not look into the fields that it skips.
    let text = std::str::from_utf8(body).map_err(|error| invalid(&format!("not UTF-8: {error}")))?;
    if let Ok(Complaint { error: Some(error) }) = serde_json::from_str(text) {
        let said = |field| error[field].as_str().unwrap_or_default();
        return Err(invalid(&format!("RPC error: {} {}", said("message"), said("data"))));
    }
    let envelope: Envelope<T> = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            invalid(&error.to_string())
        } else {
            invalid(&format!("not JSON: {}", text.trim_start()))
        }
    })?;
    envelope.result.ok_or_else(|| invalid("neither result nor error"))
}

/// A non-negative int64 the way `CometBFT` writes it: decimal digits in a string.
fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| text.parse::<i64>().ok()).flatten().and_then(|value| u64::try_from(value).ok());
    value.ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &"a non-negative 64-bit integer"))
}

fn skew(block_time: &str, wall_now: Wall) -> Result<i64, Unknown> {
    let time: Timestamp =
        block_time.parse().map_err(|_| invalid(&format!("latest_block_time is not a time: {block_time}")))?;
    // A node without a block yet reports year 1, Go's zero time.
    if time.as_second() <= 0 {
        return Err(invalid(&format!("latest_block_time is no time of a block: {block_time}")));
    }
    let now = wall_now.0.checked_mul(1000);
    now.and_then(|now| now.checked_sub(time.as_microsecond())).ok_or_else(|| invalid("time out of range"))
}

fn invalid(why: &str) -> Unknown {
    Unknown::Invalid(excerpt(why.trim_end().as_bytes()))
}
