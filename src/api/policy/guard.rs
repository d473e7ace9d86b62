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
    /// At most so many actions on one target in so long, beside the policy's own budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    pub budget_per_target: Option<Vec<Budget>>,
    /// When so many targets had an action within so long, the next one waits, and somebody is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
    /// Times in which nothing is begun, or outside of which nothing is. A person is called at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub windows: Vec<Window>,
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
    /// With mode `Approve`: what an approval takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
}

/// What an approval takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approvals {
    /// So many people must approve a step, each by a `RemediationApproval` of their own; whoever asked for it is none of
    /// them. Default: 1.
    #[schemars(range(min = 1, max = 5))]
    pub required: i32,
}

/// What counts as progress of a node that is catching up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressGuard {
    /// Its head rose within this time.
    pub within: Duration,
}

/// Many actions in a short time are one cause, and not so many.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.per.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.per) >= duration('1m') && duration(self.per) <= duration('24h'))").message("per: between 1m and 24h").field_path(".per"))]
#[x_kube(validation = Rule::new("!self.cooldown.matches('^[0-9]{1,6}(ms|s|m|h)$') || duration(self.cooldown) <= duration('24h')").message("cooldown: at most 24h").field_path(".cooldown"))]
pub struct Storm {
    /// So many targets.
    #[schemars(range(min = 2, max = 1000))]
    pub targets: i32,
    /// Within so long.
    pub per: Duration,
    /// So long nothing is begun after that.
    pub cooldown: Duration,
}

/// A time that comes again: either nothing is begun in it, or only in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.deny) != has(self.allow)").message("exactly one of deny and allow"))]
pub struct Window {
    /// Nothing is begun in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<Schedule>,
    /// Nothing is begun outside of it, nor outside of any other one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Schedule>,
    /// Why, for whoever wonders.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub reason: String,
}

/// When, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.duration.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.duration) >= duration('1m') && duration(self.duration) <= duration('168h'))").message("duration: between 1m and 168h").field_path(".duration"))]
pub struct Schedule {
    /// When it begins: minute, hour, day of month, month, day of week, as cron writes it (`0 9 * * MON`).
    #[schemars(length(min = 9, max = 120), regex(pattern = r"^[^ ]+( [^ ]+){4}$"))]
    pub cron: String,
    /// How long it lasts.
    pub duration: Duration,
    /// The time zone, by its name in the IANA database.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+/-]*$"))]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".into()
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
