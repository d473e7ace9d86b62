//! What a policy shows. For display only: it is never read back for a decision.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a policy shows; written on change by the leader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeHealthPolicyStatus {
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many targets have which verdict.
    #[serde(default)]
    pub counts: Counts,
    /// The targets that are not healthy, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetStatus>,
    /// `Ready`, `Healthy`, `Acting`, `TelemetryLost`, `Paused`, `Conflict`, `StormActive`, `Invalid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// How many targets have which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// All targets.
    #[serde(default)]
    pub targets: i32,
    /// With every critical rule judged and none breaching.
    #[serde(default)]
    pub healthy: i32,
    /// With a critical rule breaching within its `for`.
    #[serde(default)]
    pub suspect: i32,
    /// With a critical rule firing.
    #[serde(default)]
    pub unhealthy: i32,
    /// With a critical rule that cannot be judged.
    #[serde(default)]
    pub unknown: i32,
    /// With a seat.
    #[serde(default)]
    pub acting: i32,
}

/// A target that is not healthy. Numbers freeze at the transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The pod's name.
    pub pod: String,
    /// Its verdict.
    pub verdict: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The sentence behind the verdict.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// What is next: `restart`, `page`, or nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// The guard that holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub guard: String,
    /// Why it holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub guard_message: String,
    /// Until when it holds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Every guard that holds, in the order in which they are asked; all others of that step pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub holding: Vec<HeldGuard>,
}

/// A guard that holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldGuard {
    /// Its name.
    pub guard: String,
    /// Why it holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Until when, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}
