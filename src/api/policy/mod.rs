//! `NodeHealthPolicy`: what healthy means here, and what may be done about it.

mod guard;
mod remediation;
mod rules;
mod signals;
mod status;
mod telemetry;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use guard::{Approvals, Budget, Guard, ProgressGuard, Schedule, Storm, Window};
pub use remediation::{Backoff, Failover, Job, Page, Remediation, Reroute, Restart};
pub use rules::{Absent, Breaching, Clear, Diverged, HealthRule, Severity, Stalled};
pub use signals::{Combine, PRESET_RULES, SIGNAL_NAMES, SignalName, SignalSource, TIME_SIGNALS};
pub use status::{Counts, HeldGuard, NodeHealthPolicyStatus, TargetStatus};
pub use telemetry::{
    CometBftSource, Exporter, FeedSource, HttpJsonSource, PortName, PortSource, PrometheusSource, ScrapeSource,
    SolanaSource, TelemetrySource, WalletSource,
};

/// What CEL's `duration()` reads without an error; whether it is a duration of ours has its own rule.
const TIME: &str = "^[0-9]{1,6}(ms|s|m|h)$";

/// What healthy means for a set of pods, and what may be done when one is not.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "NodeHealthPolicy",
    plural = "nodehealthpolicies",
    shortname = "nhp",
    category = "mainstay",
    namespaced,
    doc = "What healthy means for a set of blockchain nodes, and what Mainstay may do about one that is not.",
    status = "NodeHealthPolicyStatus",
    derive = "PartialEq",
    annotation("mainstay.dev/schema", "8"),
    printcolumn(name = "Network", type_ = "string", json_path = ".spec.network"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Targets", type_ = "integer", json_path = ".status.counts.targets"),
    printcolumn(name = "Healthy", type_ = "integer", json_path = ".status.counts.healthy"),
    printcolumn(name = "Unhealthy", type_ = "integer", json_path = ".status.counts.unhealthy"),
    printcolumn(name = "Acting", type_ = "integer", json_path = ".status.counts.acting"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.joins) || size(self.joins) == 0 || self.role in ['Relayer', 'Oracle']").message("joins is for the roles Relayer and Oracle: a node belongs to one network").field_path(".joins"))]
#[x_kube(validation = Rule::new("!has(self.remediation) || !has(self.remediation.reroute) || self.role in ['FullNode', 'Sentry']").message("reroute is for the roles FullNode and Sentry: others have no Service that may choose between them; the policy of the nodes that a relayer or an oracle uses re-routes those").field_path(".remediation"))]
#[x_kube(validation = Rule::new("!has(self.remediation) || !has(self.remediation.job) || !(self.role in ['Validator', 'Signer'])").message("job is not for the roles Validator and Signer: a job that brings back older data could bring back an older signing state, and that signs twice").field_path(".remediation"))]
#[x_kube(validation = Rule::new("!has(self.remediation) || !has(self.remediation.failover) || self.role in ['Validator', 'Signer']").message("failover is for the roles Validator and Signer: others hold no key that only one may use; leave it out, their pods are re-routed and restarted").field_path(".remediation"))]
#[x_kube(validation = Rule::new("!has(self.guard) || !has(self.guard.approvals) || self.mode == 'Approve'").message("guard.approvals goes with mode Approve: write mode: Approve, or leave it out").field_path(".guard"))]
#[x_kube(validation = Rule::new(fresh_enough()).message("every and timeout of a source (the preset's: 5s and 2s) must together not exceed guard.evidenceMaxAge (the preset's: 30s), or no evidence would ever be fresh: write a smaller every or a larger evidenceMaxAge"))]
pub struct NodeHealthPolicySpec {
    /// Name of the `Network` whose nodes these are. It must admit this namespace.
    #[schemars(length(min = 1, max = 253))]
    pub network: String,
    /// For a relayer or an oracle: other networks that it needs. It is left alone while one of them stands still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    pub joins: Vec<String>,
    /// What the pods do on that network; it decides the preset.
    pub role: Role,
    /// The pods of this namespace. It needs at least one label that a pod must carry.
    #[x_kube(validation = Rule::new("(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && self.matchExpressions.exists(e, e.operator == 'In' || e.operator == 'Exists'))").message("name at least one label that a pod must carry, under matchLabels or as In or Exists under matchExpressions: an empty selector would mean every pod"))]
    #[schemars(schema_with = "selector_schema")]
    pub selector: LabelSelector,
    /// How far Mainstay may go.
    #[serde(default)]
    pub mode: Mode,
    /// Two policies on one pod: the one with the higher number acts; a tie is a conflict and neither acts.
    #[serde(default)]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: i32,
    /// Sources in addition to the preset's; the same name replaces.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub telemetry: Vec<TelemetrySource>,
    /// Rules in addition to the preset's, which are named `preset/NAME`; the same name replaces, `disabled` removes.
    #[serde(default)]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<HealthRule>,
    /// The ladder, gentlest step first. Absent: the preset's. A step that is left out is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
    /// What holds Mainstay back. Absent fields: the preset's.
    #[serde(default)]
    pub guard: Guard,
    /// Sinks of the operator's configuration that hear of every remediation and page.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub notify: Vec<String>,
}

/// What the pods of a policy do on their network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// Follows the chain and serves it to others.
    FullNode,
    /// Stands between a validator and the world.
    Sentry,
    /// Holds a consensus key and signs.
    Validator,
    /// Keeps a key and signs for a validator.
    Signer,
    /// Carries messages between networks.
    Relayer,
    /// Publishes facts about the world on a network.
    Oracle,
}

/// How far Mainstay may go.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Mode {
    /// Verdicts only.
    Observe,
    /// Writes down each step it would have taken, and takes none.
    #[default]
    DryRun,
    /// Acts on each step that people have approved.
    Approve,
    /// Acts by itself.
    Enforce,
}

impl Mode {
    /// Whether steps are taken, and not only written down.
    #[must_use]
    pub const fn acts(self) -> bool {
        match self {
            Self::Approve | Self::Enforce => true,
            Self::Observe | Self::DryRun => false,
        }
    }
}

/// A poll and its answer must fit into the age that evidence may have. Malformed durations have their own message.
fn fresh_enough() -> String {
    let age = written("self.guard", "evidenceMaxAge", "30s");
    let (every, timeout) = (written("s", "every", "5s"), written("s", "timeout", "2s"));
    format!(
        "(self.telemetry.exists(s, s.name == 'rpc') || !{age}.matches('{TIME}') || duration({age}) >= duration('7s')) && \
         self.telemetry.all(s, !({age}.matches('{TIME}') && {every}.matches('{TIME}') && {timeout}.matches('{TIME}')) || \
         duration({every}) + duration({timeout}) <= duration({age}))"
    )
}

/// CEL: a duration as written, or the preset's.
fn written(object: &str, field: &str, preset: &str) -> String {
    format!("(has({object}.{field}) ? {object}.{field} : '{preset}')")
}

/// `LabelSelector` with bounds, so that the cost of its rule has one too.
fn selector_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "type": "object",
                "maxProperties": 16,
                "additionalProperties": {"type": "string", "maxLength": 63},
            },
            "matchExpressions": {
                "type": "array",
                "maxItems": 16,
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "In and NotIn need values, Exists and DoesNotExist have none",
                    }],
                    "properties": {
                        "key": {"type": "string", "minLength": 1, "maxLength": 317},
                        "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                        "values": {"type": "array", "maxItems": 64, "items": {"type": "string", "maxLength": 63}},
                    },
                },
            },
        },
    })
}
