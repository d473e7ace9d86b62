//! The JSON-RPC of an Ethereum execution client: geth, reth, Besu, Nethermind, Erigon, EthereumJS, anvil and whatever
//! else speaks it. Written after the execution API specification.
//!
//! A poll is four to seven small calls. `eth_syncing` is `false` on a node that is wedged: it says nothing about
//! health, and only `head` and the network's head do.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    ask::{Endpoint, Session, Trouble},
    clock::Clock,
    heights::Heights,
    number::{self, Hex},
    report::{Report, flag},
    source::{Expected, Source},
    support::{Support, ask},
    text::excerpt,
};
use crate::{
    policy::EXECUTION,
    signal::{Block, Hash, Identity, Poll, Signal, Unknown, Value},
};

/// The JSON-RPC of one execution client.
#[derive(Clone, Debug)]
pub struct Execution {
    endpoint: Endpoint,
    chain: Expected,
    support: Support,
    /// The head at the last poll that saw one.
    last: Option<Header>,
    heights: Heights,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    pub number: Hex,
    pub hash: String,
    pub timestamp: Hex,
    pub gas_limit: Hex,
    pub gas_used: Hex,
    /// Hashes, because no bodies were asked for. Only their number matters.
    #[serde(default)]
    transactions: Count,
}

/// How many there are of something that nobody reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Vec::<serde::de::IgnoredAny>::deserialize(deserializer)?;
        Ok(Self(all.len() as u64))
    }
}

/// `eth_syncing` is `false`, or an object, or, on some clients, an object for a node that is done.
#[derive(Deserialize)]
#[serde(untagged)]
enum Syncing {
    No(bool),
    Yes {
        #[serde(rename = "currentBlock")]
        current: Hex,
        #[serde(rename = "highestBlock")]
        highest: Hex,
    },
    /// Stages and the like.
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Pool {
    pending: Hex,
}

impl Execution {
    /// The JSON-RPC at an endpoint, of a node of this chain: its id in decimal digits.
    #[must_use]
    pub const fn new(endpoint: Endpoint, chain: Expected) -> Self {
        Self { endpoint, chain, support: Support::new(), last: None, heights: Heights::new() }
    }

    async fn head(&mut self, session: &Session<'_>, report: &mut Report<'_>, clock: &dyn Clock) {
        let head = match session.call::<Option<Header>>("eth_getBlockByNumber", json!(["latest", false])).await {
            Ok(Some(head)) => head,
            Ok(None) => return report.put(Signal::Head, Err(Unknown::Invalid("it has no latest block".into()))),
            Err(trouble) => {
                let why = trouble.unknown();
                report.put(Signal::Head, Err(why.clone()));
                return report.put(Signal::BlockHash, Err(why));
            }
        };
        report.set(Signal::Head, Value::Whole(head.number.0));
        report.put(Signal::BlockHash, Ok(Value::Text(excerpt(head.hash.as_bytes()))));
        report.put(Signal::BlockTimeSkew, skew(head.timestamp.0, clock));
        if let Some(share) = share(head.gas_used.0, head.gas_limit.0) {
            report.set(Signal::GasUtilisation, share);
        }
        self.pace(&head, report);
        self.last = Some(head);
    }

    /// What the blocks since the last poll carry. The gas of those in between is taken to be that of the newest.
    fn pace(&self, head: &Header, report: &mut Report<'_>) {
        let fresh = self.last.as_ref().filter(|last| head.number.0 > last.number.0);
        let Some(last) = fresh else {
            // No new block since the last poll: nothing to be learned of their pace, which is not the same as none.
            for signal in [Signal::BlockInterval, Signal::TxThroughput, Signal::GasThroughput] {
                report.put(signal, Err(Unknown::NotYet));
            }
            return;
        };
        let blocks = head.number.0 - last.number.0;
        let seconds = head.timestamp.0.saturating_sub(last.timestamp.0);
        report.set(Signal::BlockInterval, ratio(seconds, blocks));
        if seconds > 0 {
            report.set(Signal::TxThroughput, ratio(head.transactions.0.saturating_mul(blocks), seconds));
            report.set(Signal::GasThroughput, ratio(head.gas_used.0.saturating_mul(blocks), seconds));
        }
    }

    async fn finality(&mut self, session: &Session<'_>, report: &mut Report<'_>) {
        let question = session.call::<Option<Header>>("eth_getBlockByNumber", json!(["finalized", false]));
        let finalized = ask!(self.support, "finalized", question);
        let head = self.last.as_ref().map(|last| last.number.0);
        match finalized {
            Ok(Some(block)) => {
                report.set(Signal::Finalized, Value::Whole(block.number.0));
                if let Some(head) = head {
                    report.set(Signal::FinalityLag, Value::of_whole(head.saturating_sub(block.number.0)));
                }
            }
            // A young chain, or one whose consensus client has not spoken yet.
            Ok(None) => report.put(Signal::Finalized, Err(Unknown::Invalid("nothing is final yet".into()))),
            // Clients without the tag answer with errors of all kinds.
            Err(Trouble::Unusable(_)) => report.put(Signal::Finalized, Err(Unknown::Unsupported)),
            Err(trouble) => report.put(Signal::Finalized, Err(trouble.unknown())),
        }
    }

    async fn others(&mut self, session: &Session<'_>, report: &mut Report<'_>) {
        let syncing = ask!(self.support, "eth_syncing", session.call::<Syncing>("eth_syncing", json!([])));
        report.tell(Signal::Syncing, syncing, |syncing| {
            flag(match syncing {
                Syncing::No(other) => other,
                Syncing::Yes { current, highest } => current.0 < highest.0,
                Syncing::Other(_) => true,
            })
        });
        let peers = ask!(self.support, "net_peerCount", session.call::<Hex>("net_peerCount", json!([])));
        report.tell(Signal::Peers, peers, |peers| Value::Whole(peers.0));
        let pool = ask!(self.support, "txpool_status", session.call::<Pool>("txpool_status", json!([])));
        report.tell(Signal::Mempool, pool, |pool| Value::Whole(pool.pending.0));
    }

    /// Blocks at the heights that are asked for, each once.
    async fn blocks(&mut self, session: &Session<'_>, asks: &[u64], report: &mut Report<'_>) {
        let head = self.last.as_ref().map_or(0, |last| last.number.0);
        for height in self.heights.due(asks, head) {
            let at = json!([format!("{height:#x}"), false]);
            let told = session.call::<Option<Header>>("eth_getBlockByNumber", at).await;
            // A height below its head that it does not tell was pruned: asking again would not bring it back.
            if !matches!(told, Err(Trouble::Failed(_))) {
                self.heights.settle(height);
            }
            let block = told.ok().flatten().filter(|block| block.number.0 == height);
            if let Some(hash) = block.and_then(|block| Hash::of_hex(&block.hash)) {
                report.told.blocks.push(Block { height, hash, app_hash: None });
            }
        }
    }
}

impl Source for Execution {
    fn signals(&self) -> &[Signal] {
        EXECUTION
    }

    async fn poll(&mut self, clock: &dyn Clock, asks: &[u64]) -> Poll {
        let mut report = Report::begin(EXECUTION, clock);
        let endpoint = self.endpoint.clone();
        let session = match endpoint.session() {
            Ok(session) => session,
            Err(why) => return report.unasked(&why),
        };
        // The cheapest call, and the one that says whether the rest is worth asking.
        let chain = session.timed::<Hex>("eth_chainId", json!([])).await;
        let checked = chain.and_then(|(chain, latency)| {
            let chain = chain.0.to_string();
            self.chain.check(&[&chain])?;
            Ok((chain, latency))
        });
        let (chain, latency) = match checked {
            Ok(checked) => checked,
            Err(trouble) => {
                self.support.lost();
                return report.failed(&trouble, clock);
            }
        };
        report.answered(latency, clock);
        if self.support.wants_version()
            && let Ok(version) = session.call::<String>("web3_clientVersion", json!([])).await
        {
            self.support.version(&excerpt(version.as_bytes()));
        }
        let version = self.support.known_version().to_owned();
        report.told.identity = Some(Identity { chain, version });
        self.head(&session, &mut report, clock).await;
        self.others(&session, &mut report).await;
        self.finality(&session, &mut report).await;
        self.blocks(&session, asks, &mut report).await;
        report.end()
    }
}

/// Now minus a Unix time in seconds.
pub(super) fn skew(seconds: u64, clock: &dyn Clock) -> Result<Value, Unknown> {
    let micros = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000_000));
    match micros.filter(|micros| *micros > 0) {
        Some(micros) => number::since(micros, clock.wall()),
        None => Err(Unknown::Invalid("the latest block has no time".into())),
    }
}

/// A quotient in millionths.
pub(super) fn ratio(of: u64, to: u64) -> Value {
    let micros = u128::from(of) * 1_000_000 / u128::from(to.max(1));
    Value::Micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

fn share(of: u64, whole: u64) -> Option<Value> {
    (whole > 0).then(|| ratio(of, whole))
}

/// A call to a contract, whose answer is a row of 32-byte words.
pub(super) async fn contract(session: &Session<'_>, to: &str, data: &str) -> Result<Vec<[u8; 32]>, Trouble> {
    let question = json!([{"to": to, "data": data}, "latest"]);
    let answer: Json = session.call("eth_call", question).await?;
    let digits = answer.as_str().and_then(|text| text.strip_prefix("0x")).unwrap_or_default();
    let words = digits.as_bytes().chunks(64).map(|word| {
        let mut bytes = [0; 32];
        let hash = std::str::from_utf8(word).ok().filter(|word| word.len() == 64).and_then(Hash::of_hex)?;
        bytes.copy_from_slice(hash.bytes());
        Some(bytes)
    });
    words.collect::<Option<Vec<_>>>().ok_or_else(|| Trouble::invalid("the contract's answer is no row of words"))
}
