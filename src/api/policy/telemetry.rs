//! Where samples come from. Policies name ports and paths, never hosts.

use std::borrow::Cow;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::SignalSource;
use crate::api::Duration;

/// The fields of which a source has exactly one.
const KINDS: [&str; 13] = [
    "cometbft",
    "execution",
    "consensus",
    "substrate",
    "solana",
    "web3signer",
    "hermes",
    "chainlink",
    "feed",
    "wallet",
    "scrape",
    "httpJson",
    "prometheus",
];

/// One thing that is asked of each target. The pod's own status needs no source: it is always watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(exactly_one()).message(format!("exactly one of {}, such as cometbft: {{port: rpc}}", KINDS.join(", ")).as_str()))]
#[x_kube(validation = Rule::new("!has(self.every) || !self.every.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.every) >= duration('500ms') && duration(self.every) <= duration('5m'))").message("every: between 500ms and 5m").field_path(".every"))]
#[x_kube(validation = Rule::new("!has(self.timeout) || !self.timeout.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.timeout) >= duration('100ms') && duration(self.timeout) <= duration('30s'))").message("timeout: between 100ms and 30s").field_path(".timeout"))]
#[x_kube(validation = Rule::new("has(self.scrape) || has(self.httpJson) || has(self.prometheus) || !has(self.signals) || size(self.signals) == 0").message("signals goes with scrape, httpJson and prometheus: the other sources know what they read").field_path(".signals"))]
#[x_kube(validation = Rule::new("!has(self.httpJson) || (has(self.signals) && size(self.signals) > 0 && self.signals.all(s, has(s.pointer) && !has(s.metric)))").message("httpJson needs signals, each with a pointer: {signal: syncing, pointer: /syncing}").field_path(".signals"))]
#[x_kube(validation = Rule::new("!has(self.prometheus) || (has(self.signals) && size(self.signals) == 1 && self.signals.all(s, !has(s.pointer) && !has(s.metric)))").message("prometheus needs one signal, which the query's value is: signals: [{signal: missed_blocks}]").field_path(".signals"))]
#[x_kube(validation = Rule::new("!has(self.scrape) || !has(self.signals) || self.signals.all(s, has(s.metric) && !has(s.pointer))").message("each signal of scrape needs a metric: {signal: peers, metric: cometbft_p2p_peers}").field_path(".signals"))]
pub struct TelemetrySource {
    /// Name of the source; the same name as one of the preset's replaces it.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("a lower-case name such as rpc or rpc-2"))]
    pub name: String,
    /// The RPC of a `CometBFT` node, and the Cosmos REST API beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cometbft: Option<CometBftSource>,
    /// The JSON-RPC of an Ethereum execution client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<PortSource>,
    /// The Beacon API of an Ethereum consensus client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consensus: Option<PortSource>,
    /// The JSON-RPC of a Substrate node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substrate: Option<PortSource>,
    /// The JSON-RPC of a Solana validator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solana: Option<SolanaSource>,
    /// The HTTP API of a Web3Signer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web3signer: Option<PortSource>,
    /// The REST API of a Hermes relayer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hermes: Option<PortSource>,
    /// The HTTP API of a Chainlink node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chainlink: Option<PortSource>,
    /// A price feed on an EVM chain, read from the network's references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedSource>,
    /// The balance of a wallet, read from the network's references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<WalletSource>,
    /// A page of metrics in the Prometheus or `OpenMetrics` text format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape: Option<ScrapeSource>,
    /// A JSON document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_json: Option<HttpJsonSource>,
    /// A query that the operator's configuration names, asked once for all targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusSource>,
    /// What is read, where the source does not know it by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub signals: Vec<SignalSource>,
    /// How often it is asked; 500ms to 5m. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// How long an answer may take, from the first byte sent to the last received; 100ms to 30s. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// An endpoint that is known by its port alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortSource {
    /// A container port of the target, by name or number.
    pub port: PortName,
}

/// The RPC of a `CometBFT` node: `/status`, `/net_info` and more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CometBftSource {
    /// A container port of the target, by name or number.
    pub port: PortName,
    /// The container port of the Cosmos REST API, for missed blocks, jail and planned upgrades.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<PortName>,
}

/// The JSON-RPC of a Solana validator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SolanaSource {
    /// A container port of the target, by name or number.
    pub port: PortName,
    /// The vote account of a validator, for its last vote and delinquency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 32, max = 44))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9A-HJ-NP-Za-km-z]+$')").message("a Solana address: 32 to 44 letters and digits in base 58"))]
    pub vote_account: Option<String>,
}

/// A price feed on an EVM chain (`latestRoundData`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeedSource {
    /// Address of the feed's contract.
    #[schemars(length(min = 42, max = 42))]
    #[x_kube(validation = Rule::new("self.matches('^0x[0-9a-fA-F]{40}$')").message("a contract's address: 0x and 40 hexadecimal digits"))]
    pub contract: String,
    /// The feed publishes at least this often.
    pub heartbeat: Duration,
}

/// The balance of a wallet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WalletSource {
    /// The wallet's address.
    #[schemars(length(min = 8, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-zA-Z]+$')").message("an address: letters and digits only"))]
    pub address: String,
    /// Cosmos: the smallest unit of the coin, such as `uatom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[a-zA-Z][a-zA-Z0-9/:._-]*$')").message("a denomination such as uatom"))]
    pub denom: Option<String>,
    /// How many decimal places the coin has. Default: the family's (6, 18 or 9).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 30))]
    pub decimals: Option<i32>,
}

/// A page of metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeSource {
    /// A container port of the target, by name or number.
    pub port: PortName,
    /// Path of the page. Default: `/metrics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^/[^# ]*$')").message("a path begins with a slash, such as /metrics"))]
    pub path: Option<String>,
    /// Whose metrics these are: their well-known names are read as standard signals, beside `signals`. Default: those of
    /// the network's family and the policy's role, if `signals` is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<Exporter>,
}

/// Software whose metrics are known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Exporter {
    /// `CometBFT` and Tendermint nodes.
    CometBFT,
    /// geth, reth, Besu, Nethermind and Erigon.
    EthereumExecution,
    /// Lighthouse, Prysm, Teku, Nimbus and Lodestar.
    EthereumConsensus,
    /// Their validator clients, and Web3Signer.
    EthereumValidator,
    /// Polkadot and other Substrate nodes.
    Substrate,
    /// solana-exporter.
    Solana,
    /// The Hermes relayer.
    Hermes,
    /// The Go relayer, rly.
    Rly,
    /// Hyperlane agents.
    Hyperlane,
    /// Chainlink nodes.
    Chainlink,
    /// The Pyth price pusher.
    Pyth,
    /// `node_exporter`: the machine underneath.
    Machine,
}

/// A JSON document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpJsonSource {
    /// A container port of the target, by name or number.
    pub port: PortName,
    /// Path of the document.
    #[schemars(length(max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^/[^# ]*$')").message("a path begins with a slash, such as /status"))]
    pub path: String,
}

/// A named query.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusSource {
    /// Name of a query in the operator's configuration.
    #[schemars(length(min = 1, max = 63))]
    pub query: String,
    /// The label of its series that holds the pod's name. Default: `pod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_label: Option<String>,
}

/// A container port, by name or number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortName {
    /// By number.
    Number(u16),
    /// By the name that the container gives it.
    Name(String),
}

impl JsonSchema for PortName {
    fn schema_name() -> Cow<'static, str> {
        "PortName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 1,
            "maximum": 65535,
            "maxLength": 15,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        })
    }
}

/// CEL: exactly one kind of source.
fn exactly_one() -> String {
    let has: Vec<_> = KINDS.iter().map(|kind| format!("has(self.{kind})")).collect();
    format!("[{}].filter(x, x).size() == 1", has.join(", "))
}
