//! The JSON-RPC of a Substrate node: Polkadot, Kusama and other chains of the kind. Written after the Polkadot SDK's
//! `sc-rpc-api`.
//!
//! A poll is five or six small calls. Height is the best block's; `system_health` knows peers and major syncing, and is
//! `false` for a node that stands still.

use serde::Deserialize;
use serde_json::json;

use super::{
    ask::{Endpoint, Session, Trouble},
    clock::Clock,
    heights::Heights,
    number::Hex,
    report::{Report, flag},
    source::{Expected, Source},
    support::{Support, ask},
    text::excerpt,
};
use crate::{
    policy::SUBSTRATE,
    signal::{Block, Hash, Identity, Poll, Signal, Value},
};

/// The JSON-RPC of one Substrate node.
#[derive(Clone, Debug)]
pub struct Substrate {
    endpoint: Endpoint,
    chain: Expected,
    support: Support,
    /// What the node calls its chain, once that was verified.
    verified: Option<String>,
    heights: Heights,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    peers: u64,
    is_syncing: bool,
}

#[derive(Deserialize)]
struct Header {
    number: Hex,
}

impl Substrate {
    /// The JSON-RPC at an endpoint, of a node of this chain: its name or its genesis hash.
    #[must_use]
    pub const fn new(endpoint: Endpoint, chain: Expected) -> Self {
        Self { endpoint, chain, support: Support::new(), verified: None, heights: Heights::new() }
    }

    /// The chain's name, asked for once, and again after the node was lost.
    async fn identity(&mut self, session: &Session<'_>) -> Result<String, Trouble> {
        if let Some(name) = &self.verified {
            return Ok(name.clone());
        }
        let name = session.call::<String>("system_chain", json!([])).await?;
        let genesis = session.call::<Option<String>>("chain_getBlockHash", json!([0])).await?.unwrap_or_default();
        let name = excerpt(name.as_bytes());
        self.chain.check(&[&name, &excerpt(genesis.as_bytes())])?;
        self.verified = Some(name.clone());
        Ok(name)
    }

    async fn heights(&mut self, session: &Session<'_>, asks: &[u64], report: &mut Report<'_>) {
        let best = session.call::<Header>("chain_getHeader", json!([])).await;
        let head = best.as_ref().ok().map(|header| header.number.0);
        report.tell(Signal::Head, best, |header| Value::Whole(header.number.0));
        let finalized = async {
            let hash = session.call::<String>("chain_getFinalizedHead", json!([])).await?;
            session.call::<Header>("chain_getHeader", json!([hash])).await
        };
        let finalized = finalized.await;
        if let (Some(head), Ok(finalized)) = (head, &finalized) {
            report.set(Signal::FinalityLag, Value::of_whole(head.saturating_sub(finalized.number.0)));
        }
        report.tell(Signal::Finalized, finalized, |header| Value::Whole(header.number.0));
        let Some(head) = head else { return };
        let hash = session.call::<Option<String>>("chain_getBlockHash", json!([head])).await;
        report.tell(Signal::BlockHash, hash, |hash| Value::Text(excerpt(hash.unwrap_or_default().as_bytes())));
        for height in self.heights.due(asks, head) {
            let told = session.call::<Option<String>>("chain_getBlockHash", json!([height])).await;
            if !matches!(told, Err(Trouble::Failed(_))) {
                self.heights.settle(height);
            }
            if let Some(hash) = told.ok().flatten().and_then(|hash| Hash::of_hex(&hash)) {
                report.told.blocks.push(Block { height, hash, app_hash: None });
            }
        }
    }
}

impl Source for Substrate {
    fn signals(&self) -> &[Signal] {
        SUBSTRATE
    }

    async fn poll(&mut self, clock: &dyn Clock, asks: &[u64]) -> Poll {
        let mut report = Report::begin(SUBSTRATE, clock);
        let endpoint = self.endpoint.clone();
        let session = match endpoint.session() {
            Ok(session) => session,
            Err(why) => return report.unasked(&why),
        };
        let asked = async {
            let chain = self.identity(&session).await?;
            let (health, latency) = session.timed::<Health>("system_health", json!([])).await?;
            Ok::<_, Trouble>((chain, health, latency))
        };
        let (chain, health, latency) = match asked.await {
            Ok(told) => told,
            Err(trouble) => {
                self.verified = None;
                self.heights.clear();
                self.support.lost();
                return report.failed(&trouble, clock);
            }
        };
        report.answered(latency, clock);
        report.set(Signal::Peers, Value::Whole(health.peers));
        report.set(Signal::Syncing, flag(health.is_syncing));
        if self.support.wants_version()
            && let Ok(version) = session.call::<String>("system_version", json!([])).await
        {
            self.support.version(&excerpt(version.as_bytes()));
        }
        report.told.identity = Some(Identity { chain, version: self.support.known_version().to_owned() });
        self.heights(&session, asks, &mut report).await;
        // An unsafe method on most public endpoints.
        let pending = session.call::<Vec<serde::de::IgnoredAny>>("author_pendingExtrinsics", json!([]));
        let pool = ask!(self.support, "author_pendingExtrinsics", pending);
        report.tell(Signal::Mempool, pool, |pool| Value::Whole(pool.len() as u64));
        report.end()
    }
}
