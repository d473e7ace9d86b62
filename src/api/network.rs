//! `Network`: one chain, as a quorum sees it. Owned by administrators.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, policy::Budget};

/// One chain: how its nodes are recognised, who may act on them, and where a second opinion comes from.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "Network",
    plural = "networks",
    shortname = "net",
    category = "mainstay",
    doc = "One chain as a quorum sees it: identity, pace, who may act on its nodes, and outside references.",
    status = "NetworkStatus",
    derive = "PartialEq",
    annotation("mainstay.dev/schema", "8"),
    printcolumn(name = "Chain", type_ = "string", json_path = ".spec.chainId"),
    printcolumn(name = "Head", type_ = "integer", json_path = ".status.referenceHead.height"),
    printcolumn(name = "Votes", type_ = "integer", json_path = ".status.referenceHead.of"),
    printcolumn(
        name = "Stalled",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Stalled\")].status"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSpec {
    /// The family of software that the nodes run; it decides which sources and presets exist.
    pub family: Family,
    /// The chain's own name for itself, verified on every node and reference. A node of another chain is a
    /// configuration error and never restarted. `CometBFT`: the chain id; Ethereum execution: the chain id in decimal
    /// digits; Ethereum consensus: the name of the configuration (`mainnet`) or the genesis validators root; Substrate:
    /// the chain's name or its genesis hash; Solana: the genesis hash.
    #[schemars(length(min = 1, max = 80))]
    pub chain_id: String,
    /// How often a block is expected. A network whose head rests much longer is not evidence against a node.
    #[serde(default = "default_block_time")]
    pub block_time: Duration,
    /// Namespaces that may have policies, votes and seats on this network. Empty: none.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub allowed_namespaces: Vec<String>,
    /// Nodes outside the cluster that are asked for the head. Three or more outvote one's own nodes.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub references: Vec<NetworkReference>,
    /// After so long without a new block the network is reported as `Stalled`.
    #[serde(default = "default_stalled_after")]
    pub stalled_after: Duration,
    /// Whether planned upgrades are read from the chain, and nobody is touched around their height. Where a chain has
    /// none to read, nothing is held.
    #[serde(default)]
    pub upgrades: Upgrades,
    /// Disruptive actions at once on this chain, over all policies and namespaces. 0: none.
    #[serde(default = "default_max_concurrent")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_concurrent: i32,
    /// At most so many actions in so long on this chain, over all policies and namespaces, beside their own budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub budget: Vec<Budget>,
}

/// Where planned upgrades are learned.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Upgrades {
    /// From the chain's own plan, as most of those who can read it tell it.
    #[default]
    FromChain,
    /// They are not looked at.
    Ignore,
}

/// The family of software that the nodes of a network run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Family {
    /// `CometBFT`, Tendermint and the Cosmos SDK.
    CometBFT,
    /// Execution clients: geth, reth, Besu, Nethermind, Erigon, and other EVM chains.
    EthereumExecution,
    /// Consensus clients: Lighthouse, Prysm, Teku, Nimbus, Lodestar.
    EthereumConsensus,
    /// Polkadot, Kusama and other Substrate chains.
    Substrate,
    /// Solana (Agave).
    Solana,
    /// Anything else: no presets, no references; policies say what is read.
    Other,
}

/// A node outside the cluster that is asked for the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkReference {
    /// Name of the reference, unique in the network.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Base address of its RPC: `http://` or `https://`, without credentials.
    #[schemars(length(min = 8, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^@/?#]+(/[^@?#]*)?$')").message("write http:// or https://, a host and perhaps a path; credentials belong into the operator's configuration"))]
    pub url: String,
    /// Base address of its Cosmos REST API, for wallets and planned upgrades.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^@/?#]+(/[^@?#]*)?$')").message("write http:// or https://, a host and perhaps a path; credentials belong into the operator's configuration"))]
    pub rest: Option<String>,
}

/// What the quorum sees. Refreshed at most once a minute, and whenever a condition changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStatus {
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The network's height as a quorum sees it; absent while there is no quorum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_head: Option<ReferenceHeadStatus>,
    /// The upgrade that the chain has planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,
    /// What each reference last said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferenceStatus>,
    /// `Ready`, `Stalled`, `Diverged`, `Upgrading`, `Conflict`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The reference head at the time the status was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceHeadStatus {
    /// Height of the lower median of the fresh, chain-verified votes.
    pub height: i64,
    /// When it last rose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risen_at: Option<Time>,
    /// Votes at or above that height.
    pub agree: i32,
    /// Votes that were counted.
    pub of: i32,
}

/// An upgrade that the chain has planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// Its name.
    pub name: String,
    /// The height at which nodes of the old version halt.
    pub height: i64,
}

/// What a reference last said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceStatus {
    /// Name of the reference.
    pub name: String,
    /// Its head, when it answered and is of this chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Why it has no vote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

const fn default_block_time() -> Duration {
    Duration::from_secs(6)
}

const fn default_stalled_after() -> Duration {
    Duration::from_secs(120)
}

const fn default_max_concurrent() -> i32 {
    1
}
