//! What is asked of a target, and which signals that can tell.

use serde::{Deserialize, Serialize};

use crate::{
    api::policy::{Combine, Exporter, PortName},
    signal::{Signal, metrics},
};

/// One thing that is asked of each target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its name.
    pub name: String,
    /// What is asked.
    pub kind: SourceKind,
    /// How often (milliseconds).
    pub every: u64,
    /// How long an answer may take, in all (milliseconds).
    pub timeout: u64,
}

/// What is asked of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// The RPC of a `CometBFT` node.
    CometBft {
        /// The container port of the RPC.
        port: PortName,
        /// The container port of the Cosmos REST API, if it is to be asked.
        rest: Option<PortName>,
    },
    /// The JSON-RPC of an Ethereum execution client.
    Execution(PortName),
    /// The Beacon API of an Ethereum consensus client.
    Consensus(PortName),
    /// The JSON-RPC of a Substrate node.
    Substrate(PortName),
    /// The JSON-RPC of a Solana validator.
    Solana {
        /// The container port of the RPC.
        port: PortName,
        /// The vote account, for a validator's own signals.
        vote_account: Option<String>,
    },
    /// The HTTP API of a Web3Signer.
    Web3Signer(PortName),
    /// The REST API of a Hermes relayer.
    Hermes(PortName),
    /// The HTTP API of a Chainlink node.
    Chainlink(PortName),
    /// A price feed on an EVM chain, through the network's references.
    Feed {
        /// The contract: `0x` and 40 digits.
        contract: String,
        /// It publishes at least this often (milliseconds).
        heartbeat: u64,
    },
    /// The balance of a wallet, through the network's references.
    Wallet {
        /// The address.
        address: String,
        /// Cosmos: the smallest unit.
        denom: String,
        /// Decimal places of the coin.
        decimals: u32,
    },
    /// A page of metrics.
    Scrape {
        /// The container port.
        port: PortName,
        /// The path.
        path: String,
        /// Whose well-known metrics are read.
        reads: Option<Exporter>,
        /// What else is read: names of metrics.
        picks: Vec<Pick>,
    },
    /// A JSON document.
    HttpJson {
        /// The container port.
        port: PortName,
        /// The path.
        path: String,
        /// What is read: JSON pointers.
        picks: Vec<Pick>,
    },
    /// A query of the operator's configuration, asked once for all targets.
    Prometheus {
        /// The query's name.
        query: String,
        /// The label that holds the pod's name.
        target_label: String,
        /// The signal that its value is.
        signal: Signal,
    },
}

/// One signal, and where in an answer it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pick {
    /// The signal.
    pub signal: Signal,
    /// The name of a metric, or a JSON pointer.
    pub at: String,
    /// Labels that a series must carry.
    pub labels: Vec<(String, String)>,
    /// What becomes of several series; `None`: more than one is an error.
    pub combine: Option<Combine>,
}

/// What the RPC of a `CometBFT` node tells.
pub const COMETBFT: &[Signal] = &[
    Signal::Reachable,
    Signal::RpcLatency,
    Signal::Head,
    Signal::BlockTimeSkew,
    Signal::Syncing,
    Signal::Peers,
    Signal::Signing,
    Signal::BlockHash,
    Signal::AppHash,
    Signal::Round,
    Signal::RoundAge,
    Signal::Mempool,
    Signal::BlockInterval,
    Signal::TxThroughput,
    Signal::SignerAnswers,
    Signal::MissedBlocks,
    Signal::MissedRatio,
    Signal::Jailed,
    Signal::Tombstoned,
];

/// What the JSON-RPC of an Ethereum execution client tells.
pub const EXECUTION: &[Signal] = &[
    Signal::Reachable,
    Signal::RpcLatency,
    Signal::Head,
    Signal::BlockTimeSkew,
    Signal::BlockHash,
    Signal::Finalized,
    Signal::FinalityLag,
    Signal::Syncing,
    Signal::Peers,
    Signal::Mempool,
    Signal::BlockInterval,
    Signal::TxThroughput,
    Signal::GasThroughput,
    Signal::GasUtilisation,
];

/// What the Beacon API tells.
pub const CONSENSUS: &[Signal] = &[
    Signal::Reachable,
    Signal::RpcLatency,
    Signal::Head,
    Signal::BlockTimeSkew,
    Signal::BlockHash,
    Signal::Finalized,
    Signal::FinalityLag,
    Signal::Syncing,
    Signal::Peers,
];

/// What the JSON-RPC of a Substrate node tells.
pub const SUBSTRATE: &[Signal] = &[
    Signal::Reachable,
    Signal::RpcLatency,
    Signal::Head,
    Signal::BlockHash,
    Signal::Finalized,
    Signal::FinalityLag,
    Signal::Syncing,
    Signal::Peers,
    Signal::Mempool,
];

/// What the JSON-RPC of a Solana validator tells.
pub const SOLANA: &[Signal] = &[
    Signal::Reachable,
    Signal::RpcLatency,
    Signal::Head,
    Signal::BlockTimeSkew,
    Signal::BlockHash,
    Signal::Finalized,
    Signal::FinalityLag,
    Signal::Syncing,
    Signal::TxThroughput,
    Signal::Signing,
    Signal::Jailed,
    Signal::LastSignedAge,
];

/// What a Web3Signer tells.
pub const WEB3SIGNER: &[Signal] = &[Signal::Reachable, Signal::RpcLatency, Signal::SignerAnswers];

/// What the REST API of Hermes tells.
pub const HERMES: &[Signal] = &[Signal::Reachable, Signal::RpcLatency, Signal::RelayWorkers];

/// What a Chainlink node tells.
pub const CHAINLINK: &[Signal] = &[Signal::Reachable, Signal::RpcLatency, FAILING_CHECKS];

/// What a price feed tells.
pub const FEED: &[Signal] = &[Signal::FeedAge, Signal::FeedOverdue];

/// What a wallet tells.
pub const WALLET: &[Signal] = &[Signal::WalletBalance, Signal::WalletRunway];

/// Checks of a Chainlink node that do not pass.
pub const FAILING_CHECKS: Signal = metrics::FAILING_CHECKS;

impl Source {
    /// A sample older than this is not known any more: three intervals, and at least one whole poll.
    #[must_use]
    pub fn stale_after(&self) -> u64 {
        (3 * self.every).max(self.every + self.timeout)
    }
}

impl SourceKind {
    /// What it can tell: a poll has a value or a reason for each of these.
    #[must_use]
    pub fn signals(&self) -> Vec<Signal> {
        match self {
            Self::CometBft { .. } => COMETBFT.into(),
            Self::Execution(_) => EXECUTION.into(),
            Self::Consensus(_) => CONSENSUS.into(),
            Self::Substrate(_) => SUBSTRATE.into(),
            Self::Solana { .. } => SOLANA.into(),
            Self::Web3Signer(_) => WEB3SIGNER.into(),
            Self::Hermes(_) => HERMES.into(),
            Self::Chainlink(_) => CHAINLINK.into(),
            Self::Feed { .. } => FEED.into(),
            Self::Wallet { .. } => WALLET.into(),
            Self::Scrape { reads, picks, .. } => {
                let known = reads.map_or(&[][..], metrics::known).iter().map(|metric| metric.signal);
                let picked = picks.iter().map(|pick| pick.signal);
                distinct([Signal::Reachable, Signal::RpcLatency].into_iter().chain(known).chain(picked))
            }
            Self::HttpJson { picks, .. } => {
                let picked = picks.iter().map(|pick| pick.signal);
                distinct([Signal::Reachable, Signal::RpcLatency].into_iter().chain(picked))
            }
            Self::Prometheus { signal, .. } => vec![*signal],
        }
    }

    /// Whether it is asked once for all targets of a policy, and not target by target.
    #[must_use]
    pub const fn is_a_query(&self) -> bool {
        matches!(self, Self::Prometheus { .. })
    }

    /// Its name in manifests, metrics and on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CometBft { .. } => "cometbft",
            Self::Execution(_) => "execution",
            Self::Consensus(_) => "consensus",
            Self::Substrate(_) => "substrate",
            Self::Solana { .. } => "solana",
            Self::Web3Signer(_) => "web3signer",
            Self::Hermes(_) => "hermes",
            Self::Chainlink(_) => "chainlink",
            Self::Feed { .. } => "feed",
            Self::Wallet { .. } => "wallet",
            Self::Scrape { .. } => "scrape",
            Self::HttpJson { .. } => "httpJson",
            Self::Prometheus { .. } => "prometheus",
        }
    }
}

/// Each once, in the order of its first appearance.
fn distinct(signals: impl Iterator<Item = Signal>) -> Vec<Signal> {
    let mut seen = Vec::new();
    for signal in signals {
        if !seen.contains(&signal) {
            seen.push(signal);
        }
    }
    seen
}
