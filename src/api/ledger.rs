//! `NetworkLedger`: the one record that limits rest on. Written by Mainstay only, by PUT with resourceVersion.
//!
//! Times in it are milliseconds since the Unix epoch by the API server's clock, never by ours.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Seats and recent actions of one `Network`, which has the same name.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "NetworkLedger",
    plural = "networkledgers",
    category = "mainstay",
    doc = "Seats and recent actions of one Network. Written by Mainstay only; limits rest on it.",
    derive = "PartialEq",
    annotation("mainstay.dev/schema", "8"),
    printcolumn(name = "Installation", type_ = "string", json_path = ".spec.installation"),
    printcolumn(name = "First seat", type_ = "string", json_path = ".spec.seats[*].slot"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkLedgerSpec {
    /// The installation that owns this network: `namespace/name` of the operator. Any other leaves it alone.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub installation: String,
    /// When that installation was uninstalled (milliseconds, API server's clock); 0 while it is there.
    #[serde(default)]
    pub retired_at: i64,
    /// Who may be acting now.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub seats: Vec<LedgerSeat>,
    /// The actions of the longest budget window, oldest first.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub actions: Vec<ActionRecord>,
    /// What was tried on each slot, across restarts of pods and of Mainstay.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub slots: Vec<SlotRecord>,
}

/// The right to be acting now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerSeat {
    /// The slot that is being acted on.
    #[schemars(length(max = 253))]
    pub slot: String,
    /// The remediation that holds the seat.
    pub remediation: RemediationRef,
    /// The policy on whose behalf.
    pub policy: PolicyRef,
    /// When it was taken (milliseconds, API server's clock).
    pub since: i64,
    /// When its remediation should be over at the latest (milliseconds, API server's clock).
    pub deadline: i64,
    /// The slot's `lastAt` before this seat was taken: put back when nothing was done after all.
    pub previous_at: i64,
    /// For which step.
    #[serde(default)]
    pub step: SeatStep,
    /// The Services whose endpoints change, for a change of rotation: one change at a time in each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    pub services: Vec<String>,
}

/// What a seat was taken for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum SeatStep {
    /// A restart: it counts against `maxConcurrent`.
    #[default]
    Restart,
    /// A pod leaves its Services.
    Reroute,
    /// A pod comes back to them.
    Rejoin,
    /// A job of the owner's: it counts against `maxConcurrent`.
    Job,
    /// Another member is to sign: it counts against `maxConcurrent`, because nobody may for a while.
    Failover,
}

impl SeatStep {
    /// Whether the target, or who takes its place, is gone or useless meanwhile.
    #[must_use]
    pub const fn disrupts(self) -> bool {
        match self {
            Self::Restart | Self::Job | Self::Failover => true,
            Self::Reroute | Self::Rejoin => false,
        }
    }
}

/// A remediation by name and uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemediationRef {
    /// Its namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its uid.
    #[schemars(length(max = 36))]
    pub uid: String,
}

/// A policy by name and uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// Its namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its uid.
    #[schemars(length(max = 36))]
    pub uid: String,
}

/// One action that counts against budgets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionRecord {
    /// Uid of the policy on whose behalf.
    #[schemars(length(max = 36))]
    pub policy: String,
    /// Uid of the remediation.
    #[schemars(length(max = 36))]
    pub remediation: String,
    /// Sixteen digits that stand for the slot: its name may be long, and the ledger is small.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub slot: String,
    /// When the seat for it was taken (milliseconds, API server's clock).
    pub at: i64,
    /// Whether it was only written down (mode `DryRun`).
    #[serde(default)]
    pub simulated: bool,
}

/// What was tried on one slot on behalf of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotRecord {
    /// Uid of the policy.
    #[schemars(length(max = 36))]
    pub policy: String,
    /// The slot.
    #[schemars(length(max = 253))]
    pub slot: String,
    /// Whether these are steps that were only written down (mode `DryRun`).
    #[serde(default)]
    pub simulated: bool,
    /// Number of the last attempt; only rises.
    pub attempt: i32,
    /// Restarts in this incident.
    pub restarts: i32,
    /// How often it was taken out of rotation in this incident.
    #[serde(default)]
    pub reroutes: i32,
    /// Jobs in this incident.
    #[serde(default)]
    pub jobs: i32,
    /// Failovers away from it in this incident. Few slots have any, and the ledger is small.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failovers: i32,
    /// Whether this incident was paged.
    #[serde(default)]
    pub paged: bool,
    /// Whether nothing more is tried in this incident, because the last try could not be verified.
    #[serde(default)]
    pub exhausted: bool,
    /// When the last step began (milliseconds, API server's clock).
    pub last_at: i64,
}

// Serde wants a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &i32) -> bool {
    *number == 0
}
