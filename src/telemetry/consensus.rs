//! The Beacon API of an Ethereum consensus client: Lighthouse, Prysm, Teku, Nimbus, Lodestar. Written after
//! ethereum/beacon-APIs v3.
//!
//! A poll is four GETs. Heights are slots; `finalized` is an epoch, and `finality_lag` counts epochs: 2 is usual, and
//! above 4 the chain leaks. Empty slots are legal, so a lag of up to three slots says nothing.

use serde::Deserialize;

use super::{
    ask::{Endpoint, Session, Trouble},
    clock::Clock,
    number::{self, Decimal},
    report::{Report, flag},
    source::{Expected, Source},
    support::{Support, ask},
    text::excerpt,
};
use crate::{
    policy::CONSENSUS,
    signal::{Block, Hash, Identity, Poll, Signal, Value},
};

/// The Beacon API of one consensus client.
#[derive(Clone, Debug)]
pub struct Consensus {
    endpoint: Endpoint,
    chain: Expected,
    support: Support,
    spec: Option<Spec>,
}

/// What never changes on one chain.
#[derive(Clone, Debug)]
struct Spec {
    names: [String; 2],
    genesis: i64,
    seconds_per_slot: u64,
    slots_per_epoch: u64,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "CONFIG_NAME", default)]
    name: String,
    #[serde(rename = "SECONDS_PER_SLOT")]
    seconds_per_slot: Decimal,
    #[serde(rename = "SLOTS_PER_EPOCH")]
    slots_per_epoch: Decimal,
}

#[derive(Deserialize)]
struct Genesis {
    genesis_time: Decimal,
    genesis_validators_root: String,
}

#[derive(Deserialize)]
struct Sync {
    head_slot: Decimal,
    is_syncing: bool,
    #[serde(default)]
    is_optimistic: bool,
    #[serde(default)]
    el_offline: bool,
}

#[derive(Deserialize)]
struct Peers {
    connected: Decimal,
}

#[derive(Deserialize)]
struct Header {
    root: String,
}

#[derive(Deserialize)]
struct Checkpoints {
    finalized: Checkpoint,
}

#[derive(Deserialize)]
struct Checkpoint {
    epoch: Decimal,
    root: String,
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "version")]
    name: String,
}

impl Consensus {
    /// The Beacon API at an endpoint, of a node of this chain: its configuration's name or its genesis validators root.
    #[must_use]
    pub const fn new(endpoint: Endpoint, chain: Expected) -> Self {
        Self { endpoint, chain, support: Support::new(), spec: None }
    }

    /// The chain's constants, asked for once, and again after the node was lost: another may have taken its place.
    async fn spec(&mut self, session: &Session<'_>) -> Result<Spec, Trouble> {
        if let Some(spec) = &self.spec {
            return Ok(spec.clone());
        }
        let Data { data: config } = session.get::<Data<Config>>("/eth/v1/config/spec").await?;
        let Data { data: genesis } = session.get::<Data<Genesis>>("/eth/v1/beacon/genesis").await?;
        let seconds = i64::try_from(genesis.genesis_time.0).unwrap_or(i64::MAX);
        let spec = Spec {
            names: [excerpt(config.name.as_bytes()), excerpt(genesis.genesis_validators_root.as_bytes())],
            genesis: seconds.saturating_mul(1_000_000),
            seconds_per_slot: config.seconds_per_slot.0,
            slots_per_epoch: config.slots_per_epoch.0,
        };
        if spec.seconds_per_slot == 0 || spec.slots_per_epoch == 0 {
            return Err(Trouble::invalid("a slot takes no time, or an epoch has no slots"));
        }
        self.chain.check(&[&spec.names[0], &spec.names[1]])?;
        self.spec = Some(spec.clone());
        Ok(spec)
    }

    async fn finality(&mut self, session: &Session<'_>, epoch: u64, report: &mut Report<'_>) {
        const PATH: &str = "/eth/v1/beacon/states/head/finality_checkpoints";
        let told = ask!(self.support, "finality", session.get::<Data<Checkpoints>>(PATH));
        match told {
            Ok(Data { data: Checkpoints { finalized } }) => {
                report.set(Signal::Finalized, Value::Whole(finalized.epoch.0));
                report.set(Signal::FinalityLag, Value::of_whole(epoch.saturating_sub(finalized.epoch.0)));
                // Every node has its own finalized checkpoint, and those of one epoch must be one.
                if let Some(hash) = Hash::of_hex(&finalized.root).filter(|_| finalized.epoch.0 > 0) {
                    report.told.blocks.push(Block { height: finalized.epoch.0, hash, app_hash: None });
                }
            }
            Err(trouble) => {
                report.put(Signal::Finalized, Err(trouble.unknown()));
                report.put(Signal::FinalityLag, Err(trouble.unknown()));
            }
        }
    }
}

impl Source for Consensus {
    fn signals(&self) -> &[Signal] {
        CONSENSUS
    }

    async fn poll(&mut self, clock: &dyn Clock, _asks: &[u64]) -> Poll {
        let mut report = Report::begin(CONSENSUS, clock);
        let endpoint = self.endpoint.clone();
        let session = match endpoint.session() {
            Ok(session) => session,
            Err(why) => return report.unasked(&why),
        };
        let spec = match self.spec(&session).await {
            Ok(spec) => spec,
            Err(trouble) => {
                self.support.lost();
                return report.failed(&trouble, clock);
            }
        };
        let answer = session.fetch("/eth/v1/node/syncing").await;
        let told = answer.and_then(|answer| match answer.status {
            200 => Ok((super::ask::document::<Data<Sync>>(&answer.body)?.data, answer.latency)),
            status => Err(Trouble::invalid(&format!("HTTP {status} to /eth/v1/node/syncing"))),
        });
        let (syncing, latency) = match told {
            Ok(told) => told,
            Err(trouble) => {
                self.support.lost();
                self.spec = None;
                return report.failed(&trouble, clock);
            }
        };
        report.answered(latency, clock);
        if self.support.wants_version()
            && let Ok(Data { data: Version { name } }) = session.get("/eth/v1/node/version").await
        {
            self.support.version(&excerpt(name.as_bytes()));
        }
        let version = self.support.known_version().to_owned();
        report.told.identity = Some(Identity { chain: spec.names[0].clone(), version });
        let head = syncing.head_slot.0;
        report.set(Signal::Head, Value::Whole(head));
        // Without its execution client, or with blocks that one has not vouched for, it follows the chain blindly.
        report.set(Signal::Syncing, flag(syncing.is_syncing || syncing.is_optimistic || syncing.el_offline));
        let slot_at = |slot: u64| {
            let into = i64::try_from(slot.saturating_mul(spec.seconds_per_slot)).unwrap_or(i64::MAX);
            spec.genesis.saturating_add(into.saturating_mul(1_000_000))
        };
        report.put(Signal::BlockTimeSkew, number::since(slot_at(head), clock.wall()));
        let peers = ask!(self.support, "peers", session.get::<Data<Peers>>("/eth/v1/node/peer_count"));
        report.tell(Signal::Peers, peers, |peers| Value::Whole(peers.data.connected.0));
        let header = ask!(self.support, "header", session.get::<Data<Header>>("/eth/v1/beacon/headers/head"));
        report.tell(Signal::BlockHash, header, |header| Value::Text(excerpt(header.data.root.as_bytes())));
        // By the clock and not by the head: a chain that stands still is not final either.
        let now = clock.wall().0.saturating_mul(1000).saturating_sub(spec.genesis).max(0);
        let slots = u64::try_from(now / 1_000_000).unwrap_or(0) / spec.seconds_per_slot;
        self.finality(&session, slots / spec.slots_per_epoch, &mut report).await;
        report.end()
    }
}
