//! The JSON-RPC of a Solana validator (Agave). Written after the RPC documentation of Agave 2.
//!
//! A poll is five to eight small calls. `getHealth` compares with the node's own idea of the cluster; with nothing to
//! compare it is as blind as the node. Heights are slots, and many are legally empty.

use serde::Deserialize;
use serde_json::json;

use super::{
    ask::{Endpoint, Session, Trouble},
    clock::Clock,
    execution::ratio,
    heights::Heights,
    number,
    report::{Report, flag},
    source::{Expected, Source},
    support::{Support, ask},
    text::excerpt,
};
use crate::{
    policy::SOLANA,
    signal::{Block, Hash, Identity, Poll, Signal, Unknown, Value},
};

/// The JSON-RPC of one validator.
#[derive(Clone, Debug)]
pub struct Solana {
    endpoint: Endpoint,
    chain: Expected,
    vote_account: Option<String>,
    support: Support,
    verified: Option<String>,
    heights: Heights,
    /// The last vote, and since when it stands.
    voted: Option<(u64, crate::signal::Mono)>,
}

#[derive(Deserialize)]
struct Versions {
    #[serde(rename = "solana-core")]
    core: String,
}

#[derive(Deserialize)]
struct Sample {
    #[serde(rename = "numTransactions")]
    transactions: u64,
    #[serde(rename = "samplePeriodSecs")]
    seconds: u64,
}

#[derive(Deserialize)]
struct VoteAccounts {
    current: Vec<VoteAccount>,
    delinquent: Vec<VoteAccount>,
}

#[derive(Deserialize)]
struct VoteAccount {
    #[serde(rename = "lastVote")]
    last_vote: u64,
    #[serde(rename = "activatedStake", default)]
    stake: u64,
}

#[derive(Deserialize)]
struct SlotBlock {
    blockhash: String,
}

impl Solana {
    /// The JSON-RPC at an endpoint, of a node of the chain with this genesis hash.
    #[must_use]
    pub const fn new(endpoint: Endpoint, chain: Expected, vote_account: Option<String>) -> Self {
        Self {
            endpoint,
            chain,
            vote_account,
            support: Support::new(),
            verified: None,
            heights: Heights::new(),
            voted: None,
        }
    }

    async fn identity(&mut self, session: &Session<'_>) -> Result<String, Trouble> {
        if let Some(genesis) = &self.verified {
            return Ok(genesis.clone());
        }
        let genesis = excerpt(session.call::<String>("getGenesisHash", json!([])).await?.as_bytes());
        self.chain.check(&[&genesis])?;
        self.verified = Some(genesis.clone());
        Ok(genesis)
    }

    async fn votes(&mut self, session: &Session<'_>, report: &mut Report<'_>, clock: &dyn Clock) {
        let Some(account) = &self.vote_account else { return };
        let question = json!([{"votePubkey": account, "keepUnstakedDelinquents": true}]);
        let told = session.call::<VoteAccounts>("getVoteAccounts", question).await;
        let VoteAccounts { current, delinquent } = match told {
            Ok(told) => told,
            Err(trouble) => {
                for signal in [Signal::Signing, Signal::Jailed, Signal::LastSignedAge] {
                    report.put(signal, Err(trouble.unknown()));
                }
                return;
            }
        };
        let Some(account) = current.first().or(delinquent.first()) else {
            let why = Unknown::Invalid("the cluster does not know this vote account".into());
            return report.put(Signal::Signing, Err(why));
        };
        report.set(Signal::Signing, flag(account.stake > 0));
        report.set(Signal::Jailed, flag(current.is_empty()));
        // A vote names a slot, and when that was is not told: its age is ours, since we first saw it.
        let now = clock.mono();
        let since = match self.voted {
            Some((vote, since)) if vote >= account.last_vote => since,
            _ => now,
        };
        self.voted = Some((account.last_vote, since));
        report.set(Signal::LastSignedAge, Value::of_millis(now.since(since)));
    }

    async fn blocks(&mut self, session: &Session<'_>, asks: &[u64], head: u64, report: &mut Report<'_>) {
        for height in self.heights.due(asks, head) {
            if !self.support.offers("getBlock") {
                return;
            }
            let form = json!([height, {
                "transactionDetails": "none", "rewards": false, "maxSupportedTransactionVersion": 0,
                "commitment": "finalized",
            }]);
            let told = session.call::<Option<SlotBlock>>("getBlock", form).await;
            // A skipped slot is an error to this method, and asking again would not change it.
            if matches!(&told, Err(Trouble::Unusable(Unknown::Invalid(_)))) {
                self.heights.settle(height);
            }
            if let Ok(Some(block)) = self.support.learn("getBlock", told) {
                self.heights.settle(height);
                if let Some(hash) = base58(&block.blockhash) {
                    report.told.blocks.push(Block { height, hash, app_hash: None });
                }
            }
        }
    }
}

impl Source for Solana {
    fn signals(&self) -> &[Signal] {
        SOLANA
    }

    async fn poll(&mut self, clock: &dyn Clock, asks: &[u64]) -> Poll {
        let mut report = Report::begin(SOLANA, clock);
        let endpoint = self.endpoint.clone();
        let session = match endpoint.session() {
            Ok(session) => session,
            Err(why) => return report.unasked(&why),
        };
        let asked = async {
            let chain = self.identity(&session).await?;
            let (slot, latency) = session.timed::<u64>("getSlot", json!([{"commitment": "processed"}])).await?;
            Ok::<_, Trouble>((chain, slot, latency))
        };
        let (chain, slot, latency) = match asked.await {
            Ok(told) => told,
            Err(trouble) => {
                self.verified = None;
                self.heights.clear();
                self.support.lost();
                return report.failed(&trouble, clock);
            }
        };
        report.answered(latency, clock);
        report.set(Signal::Head, Value::Whole(slot));
        if self.support.wants_version()
            && let Ok(version) = session.call::<Versions>("getVersion", json!([])).await
        {
            self.support.version(&excerpt(version.core.as_bytes()));
        }
        report.told.identity = Some(Identity { chain, version: self.support.known_version().to_owned() });
        // "ok", or an error that says how far behind it is.
        match session.call::<String>("getHealth", json!([])).await {
            Ok(_) => report.set(Signal::Syncing, flag(false)),
            Err(Trouble::Unusable(Unknown::Invalid(why))) if why.contains("behind") || why.contains("-32005") => {
                report.set(Signal::Syncing, flag(true));
            }
            Err(trouble) => report.put(Signal::Syncing, Err(trouble.unknown())),
        }
        let finalized = session.call::<u64>("getSlot", json!([{"commitment": "finalized"}])).await;
        if let Ok(finalized) = &finalized {
            report.set(Signal::FinalityLag, Value::of_whole(slot.saturating_sub(*finalized)));
            let time = session.call::<Option<i64>>("getBlockTime", json!([finalized])).await;
            if let Ok(Some(time)) = time {
                report.put(Signal::BlockTimeSkew, number::since(time.saturating_mul(1_000_000), clock.wall()));
            }
        }
        report.tell(Signal::Finalized, finalized, Value::Whole);
        let samples = session.call::<Vec<Sample>>("getRecentPerformanceSamples", json!([1]));
        match ask!(self.support, "getRecentPerformanceSamples", samples) {
            Ok(samples) => {
                if let Some(sample) = samples.first().filter(|sample| sample.seconds > 0) {
                    report.set(Signal::TxThroughput, ratio(sample.transactions, sample.seconds));
                }
            }
            Err(trouble) => report.put(Signal::TxThroughput, Err(trouble.unknown())),
        }
        self.votes(&session, &mut report, clock).await;
        self.blocks(&session, asks, slot, &mut report).await;
        report.end()
    }
}

/// 32 bytes in base 58, as Solana writes hashes.
fn base58(text: &str) -> Option<Hash> {
    const DIGITS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    if text.is_empty() || text.len() > 44 {
        return None;
    }
    let mut bytes = [0_u8; 32];
    for digit in text.bytes() {
        let mut carry = DIGITS.iter().position(|known| *known == digit)?;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = u8::try_from(carry % 256).ok()?;
            carry /= 256;
        }
        if carry > 0 {
            return None;
        }
    }
    Hash::of_bytes(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_58_is_read_as_solana_writes_it() {
        // The system program, and the genesis hash of mainnet-beta.
        assert_eq!(base58("11111111111111111111111111111111"), Hash::of_bytes(&[0; 32]));
        let genesis = base58("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d").unwrap();
        assert_eq!(genesis.to_string(), "45296998a6f8e2a784db5d9f95e18fc23f70441a1039446801089879b08c7ef0");
        for refused in ["", "0", "O", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "é"] {
            assert_eq!(base58(refused), None, "{refused}");
        }
    }
}
