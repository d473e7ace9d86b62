//! `NodeRemediation`: the journal. One object per attempt on one target, written before the first side effect.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// One attempt on one target: what, why, on whose behalf. It never changes.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "NodeRemediation",
    plural = "noderemediations",
    shortname = "nrem",
    category = "mainstay",
    namespaced,
    doc = "One attempt to heal one target: the journal that exists before anything is done.",
    status = "NodeRemediationStatus",
    derive = "PartialEq",
    annotation("mainstay.dev/schema", "8"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target.pod"),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".spec.attempt"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a remediation is a journal entry: write a new one instead of changing this"))]
pub struct NodeRemediationSpec {
    /// The network that the target belongs to.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub network: String,
    /// The policy on whose behalf.
    pub policy: PolicyIdentity,
    /// The target.
    pub target: TargetIdentity,
    /// What is to be done.
    pub action: Action,
    /// Number of this attempt on the slot; only rises. Of a person's request it says nothing: write 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt: i32,
    /// When the breach began (milliseconds since the epoch, API server's clock).
    #[serde(default)]
    pub breach_at: i64,
    /// When it was judged unhealthy (milliseconds since the epoch, API server's clock).
    #[serde(default)]
    pub detected_at: i64,
    /// Names of the rules that fired.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(max = 80)))]
    pub rules: Vec<String>,
    /// The facts and the guards of the decision as canonical JSON, for people and for replay.
    #[serde(default)]
    #[schemars(length(max = 16_384))]
    pub decision: String,
    /// Who asked: `mainstay`, or the name of the user who wrote this. A person's request bypasses the mode, never a guard; it
    /// is what the policy's ladder says of the step, and nothing else.
    #[serde(default = "requested_by_mainstay")]
    #[schemars(length(min = 1, max = 512))]
    pub requested_by: String,
}

/// A policy as it was when the attempt was decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyIdentity {
    /// Its name; it lives in the namespace of the remediation.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 36))]
    pub uid: String,
    /// Its generation.
    #[schemars(range(min = 0))]
    pub generation: i64,
}

/// The target of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetIdentity {
    /// The place the pod fills, across restarts: `StatefulSet` pod name, else its owning workload.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub slot: String,
    /// The pod's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub pod: String,
    /// The pod's uid: no other pod is ever touched.
    #[schemars(length(min = 1, max = 36))]
    pub uid: String,
}

/// What is to be done; exactly one of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.reroute), has(self.rejoin), has(self.restart), has(self.job), has(self.failover), has(self.page)].filter(x, x).size() == 1").message("exactly one of reroute, rejoin, restart, job, failover and page"))]
pub struct Action {
    /// Take the pod out of the Services that it takes part in, by its label or its readiness gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reroute: Option<RotationAction>,
    /// Put it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejoin: Option<RotationAction>,
    /// Let the pod be made anew by its workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartAction>,
    /// Run a suspended `CronJob` once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobAction>,
    /// Let another member of a failover group sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<FailoverAction>,
    /// Call a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<PageAction>,
}

/// Parameters of a change of rotation, as they were when it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationAction {
    /// From the turn to endpoints that agree with it.
    pub within: Duration,
}

/// Parameters of a restart, as they were when it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartAction {
    /// How the pod is removed.
    pub method: RestartMethod,
    /// From the accepted removal to a healthy target.
    pub within: Duration,
    /// How long the new pod must have been healthy without a break.
    pub clear: Duration,
}

/// Parameters of a job, as they were when it was decided. The `Job` has the name of the remediation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobAction {
    /// Name of the suspended `CronJob` whose template is run.
    #[schemars(length(min = 1, max = 52), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub cron_job: String,
    /// Uid and generation of the `CronJob`, as `UID/GENERATION`: one that has changed since is not run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub revision: String,
    /// From the creation of the job to a healthy target.
    pub within: Duration,
    /// How long the target must have been healthy without a break, once the job is complete.
    pub clear: Duration,
}

/// Parameters of a failover, as they were when it was decided. The `SigningOrder` has the name of the remediation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverAction {
    /// Name of the `FailoverGroup`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub group: String,
    /// Name of the `SigningIdentity` whose key the group shares.
    #[schemars(length(min = 1, max = 253))]
    pub identity: String,
    /// The epoch in which the target holds the place: an order that comes late changes nothing.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// From the order to another member that holds the place.
    pub within: Duration,
}

/// How a pod is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RestartMethod {
    /// By the Eviction API, so that disruption budgets hold.
    Eviction,
    /// By a graceful DELETE with preconditions: validators, whose disruption budgets often allow none.
    Delete,
}

/// Parameters of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageAction {
    /// Names of the sinks.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    pub sinks: Vec<String>,
    /// The sentence that says why.
    #[serde(default)]
    #[schemars(length(max = 2048))]
    pub text: String,
}

/// Where an attempt stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRemediationStatus {
    /// Its phase.
    #[serde(default)]
    pub phase: Phase,
    /// One word for why it is in this phase, such as the guard that held.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When the present phase must have ended (milliseconds since the epoch, API server's clock).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<i64>,
    /// When the removal of the pod was accepted (milliseconds since the epoch, API server's clock).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acted_at: Option<i64>,
    /// The pod that replaced the target, once it was seen healthy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replacement: String,
    /// Every change of phase, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub timeline: Vec<Transition>,
}

/// The life of an attempt.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Written down; nothing done.
    #[default]
    Pending,
    /// Mode `Approve`: it waits for people to approve it; nothing done.
    AwaitingApproval,
    /// It has a seat; the act may or may not have happened.
    Acting,
    /// The act was accepted; the target is being watched.
    Verifying,
    /// The target is healthy again, or the page was delivered.
    Succeeded,
    /// The target is not healthy, or nobody can tell.
    Failed,
    /// The world changed before the act: nothing was done.
    Superseded,
    /// A guard held before the act: nothing was done.
    Withdrawn,
    /// Mode `DryRun`: written down and nothing more.
    DryRun,
}

/// One change of phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// The phase that began.
    pub phase: Phase,
    /// When, by the API server's clock.
    pub at: Time,
    /// One word for why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Phase {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::AwaitingApproval | Self::Acting | Self::Verifying => false,
            Self::Succeeded | Self::Failed | Self::Superseded | Self::Withdrawn | Self::DryRun => true,
        }
    }
}

/// Who asks, when nobody did.
pub const MAINSTAY: &str = "mainstay";

fn requested_by_mainstay() -> String {
    MAINSTAY.into()
}

impl NodeRemediationSpec {
    /// Whether a person asked for it.
    #[must_use]
    pub fn by_hand(&self) -> bool {
        self.requested_by != MAINSTAY
    }
}
