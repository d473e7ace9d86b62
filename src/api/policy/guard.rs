//! What holds Mainstay back.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Duration, HealthyShare};

/// What holds Mainstay back. Absent fields have the preset's values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.evidenceMaxAge) || !self.evidenceMaxAge.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.evidenceMaxAge) >= duration('2s') && duration(self.evidenceMaxAge) <= duration('5m'))").message("evidenceMaxAge: between 2s and 5m").field_path(".evidenceMaxAge"))]
pub struct Guard {
    /// So many of the *other* targets must be healthy. A percentage p of n targets means min(ceil(p·n), n−1), so
    /// that a small set can be helped while its others are well; a number is taken as it is. Unknown and opted-out
    /// targets count in n.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_healthy: Option<HealthyShare>,
    /// Disruptive actions of this policy at once. 0: no automatic action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_concurrent: Option<i32>,
    /// After so long in health the next breach is a new incident, with fresh attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_incident_after: Option<Duration>,
    /// What counts as progress of a node that is catching up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressGuard>,
    /// At most so many actions in so long. An `actions` of 0 means no automatic action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    pub budget: Option<Vec<Budget>>,
    /// No action on a pod younger than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Duration>,
    /// Evidence older than this is no evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_max_age: Option<Duration>,
    /// Reasons, as text, for which nothing new is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    pub pause: Vec<String>,
}

/// What counts as progress of a node that is catching up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressGuard {
    /// Its head rose within this time.
    pub within: Duration,
}

/// At most so many actions in so long.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.per.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.per) >= duration('1m') && duration(self.per) <= duration('168h'))").message("per: between 1m and 168h").field_path(".per"))]
pub struct Budget {
    /// So many actions.
    #[schemars(range(min = 0, max = 100))]
    pub actions: i32,
    /// In so long.
    pub per: Duration,
}
