//! Names of signals as people write them. A test holds the lists against the catalogue.

use std::borrow::Cow;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The standard signals that a rule can judge or a source can offer; others are named `custom/NAME`.
pub const SIGNAL_NAMES: &[&str] = &[
    "reachable",
    "rpc_latency",
    "ready",
    "restarts",
    "fatal_exit",
    "head",
    "head_age",
    "head_lag",
    "block_time_skew",
    "block_hash",
    "app_hash",
    "finalized",
    "finality_lag",
    "syncing",
    "sync_rate",
    "peers",
    "round",
    "round_age",
    "block_interval",
    "tx_throughput",
    "gas_throughput",
    "gas_utilisation",
    "mempool",
    "missed_blocks",
    "missed_ratio",
    "signing",
    "jailed",
    "tombstoned",
    "signer_answers",
    "last_signed_age",
    "disk_used_ratio",
    "memory_used_ratio",
    "clock_offset",
    "relay_backlog",
    "relay_backlog_age",
    "relay_events_age",
    "relay_workers",
    "client_expiry",
    "wallet_balance",
    "wallet_runway",
    "feed_age",
    "feed_overdue",
];

/// Those whose values are times, so that a threshold may be written as a duration.
pub const TIME_SIGNALS: &[&str] = &[
    "rpc_latency",
    "head_age",
    "block_time_skew",
    "round_age",
    "block_interval",
    "last_signed_age",
    "clock_offset",
    "relay_backlog_age",
    "relay_events_age",
    "client_expiry",
    "wallet_runway",
    "feed_age",
];

/// Rules of presets, without `preset/`. Which of them a family and role has, its preset says.
pub const PRESET_RULES: &[&str] = &[
    "silent",
    "stalled",
    "behind",
    "lagging",
    "lonely",
    "forked",
    "corrupt",
    "fatal",
    "missing",
    "jailed",
    "tombstoned",
    "unfinal",
    "backlog",
    "deaf",
    "idle",
    "poor",
    "expiring",
    "overdue",
    "unwell",
    "mute",
];

/// The name of a signal: one of the standard ones, or `custom/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignalName(pub String);

impl JsonSchema for SignalName {
    fn schema_name() -> Cow<'static, str> {
        "SignalName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "minLength": 1, "maxLength": 31})
    }
}

/// One signal, and where in an answer it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalSource {
    /// The signal that is read.
    #[x_kube(validation = Rule::new(known_signal()).message(unknown_signal().as_str()))]
    pub signal: SignalName,
    /// For `scrape`: the name of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub metric: Option<String>,
    /// For `scrape`: labels that a series must carry, with these very values.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    pub labels: std::collections::BTreeMap<String, String>,
    /// For `scrape`: what becomes of several series. Default: more than one is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine: Option<Combine>,
    /// For `httpJson`: where the value stands, as a JSON pointer such as `/result/height`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    #[x_kube(validation = Rule::new("self == '' || self.startsWith('/')").message("a JSON pointer begins with a slash, such as /result/height"))]
    pub pointer: Option<String>,
}

/// What becomes of several series of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Combine {
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The greatest.
    Max,
}

/// CEL: the name of a signal.
pub(super) fn known_signal() -> String {
    let names: Vec<_> = SIGNAL_NAMES.iter().map(|name| format!("'{name}'")).collect();
    format!("self.matches('^custom/[a-z0-9_]{{1,24}}$') || self in [{}]", names.join(", "))
}

pub(super) fn unknown_signal() -> String {
    format!("name a standard signal ({}), or custom/ and a name of a-z, 0-9 and _", SIGNAL_NAMES.join(", "))
}

/// CEL: the name of a rule.
pub(super) fn known_rule() -> String {
    let names: Vec<_> = PRESET_RULES.iter().map(|name| format!("'preset/{name}'")).collect();
    format!("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') || self in [{}]", names.join(", "))
}

pub(super) fn unknown_rule() -> String {
    let names: Vec<_> = PRESET_RULES.iter().map(|name| format!("preset/{name}")).collect();
    format!("a lower-case name such as slow-rpc, or one of {}", names.join(", "))
}

/// CEL: whether the rule's signal is a time.
pub(super) fn time_signals() -> String {
    let names: Vec<_> = TIME_SIGNALS.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", names.join(", "))
}

fn labels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {"type": "string", "maxLength": 200},
    })
}
