//! The ladder: steps in a fixed order, gentlest first.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Duration;

/// The ladder. A step that is left out is skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remediation {
    /// Take the pod out of the Services that serve it, and back in when it is well. Only for `FullNode` and `Sentry`,
    /// and only for pods that take part: those with the label `mainstay.dev/in-rotation: "true"` in their template, behind a
    /// Service that selects by it, or with a readiness gate of that name, behind any Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reroute: Option<Reroute>,
    /// Let the pod be made anew by its workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Run a suspended `CronJob` of this namespace once: for what only its owner knows, such as a resync or the restore of a
    /// snapshot. Not for `Validator` and `Signer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Let another member of a `FailoverGroup` sign, when restarts are used up or of no use. Only for `Validator` and `Signer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// Call a person when nothing gentler is left, or when a guard has held a restart back for longer than `restart.within`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
}

/// Take the pod out of the Services that serve it, and back in when it is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.stay) || !self.stay.matches('^[0-9]{1,6}(ms|s|m|h)$') || duration(self.stay) >= duration('5s')").message("stay: at least 5s").field_path(".stay"))]
pub struct Reroute {
    /// So long it may get well by itself, out of rotation, before the next step. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// How often in one incident. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<i32>,
    /// At least so long in, and at least so long out. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stay: Option<Duration>,
    /// Take out a target of another chain (severity `Quarantine`) even if it is the last that its Service has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantine_the_last: bool,
}

/// Let the pod be made anew by its workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.within) || !self.within.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.within) >= duration('10s') && duration(self.within) <= duration('168h'))").message("within: between 10s and 168h, and longer than the pod's own grace period").field_path(".within"))]
pub struct Restart {
    /// From the accepted removal to a healthy target. Longer than the pod's grace period. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// Restarts in one incident. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<i32>,
    /// Rest between two restarts of one slot. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Duration>,
    /// How the rest grows with every restart of the incident. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// Run a suspended `CronJob` once, when restarts are used up or would not mend what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.within) || !self.within.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.within) >= duration('1m') && duration(self.within) <= duration('168h'))").message("within: between 1m and 168h").field_path(".within"))]
pub struct Job {
    /// Its name. It must be suspended: a `CronJob` that runs by itself is none of ours.
    #[schemars(length(min = 1, max = 52), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub cron_job: String,
    /// From the creation of the job to a healthy target. Default: 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// Jobs in one incident. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub attempts: Option<i32>,
    /// Rest between two jobs for one slot. Default: 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Duration>,
    /// How the rest grows with every job of the incident. Default: twice as long each time, at most 4h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// Let another member of a `FailoverGroup` sign, when restarts are used up or would not mend what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.within) || !self.within.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.within) >= duration('30s') && duration(self.within) <= duration('24h'))").message("within: between 30s and 24h: ten seconds of it belong to the former holder, to seal").field_path(".within"))]
pub struct Failover {
    /// Name of the group, in this namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub group: String,
    /// From the order to another member that holds the place. Default: 2m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// Failovers in one incident. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub attempts: Option<i32>,
    /// Rest between two failovers away from one slot. Default: 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Duration>,
}

/// How a rest grows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Each rest is so many times the one before.
    #[schemars(range(min = 1, max = 10))]
    pub factor: i32,
    /// No rest is longer.
    pub max: Duration,
}

/// Call a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page {}
