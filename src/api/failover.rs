//! `FailoverGroup`: the members of which one signs. `SigningOrder`: what a person or a policy wants of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handover;

/// A validator and its standbys: at every height one of them signs with the key of its `SigningIdentity`.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "FailoverGroup",
    plural = "failovergroups",
    shortname = "fog",
    category = "mainstay",
    namespaced,
    doc = "A validator and its standbys: at every height one of them signs with the key of its SigningIdentity.",
    status = "FailoverGroupStatus",
    derive = "PartialEq",
    annotation("mainstay.dev/schema", "8"),
    printcolumn(name = "Holder", type_ = "string", json_path = ".status.holder"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Blocked",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Blocked\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.automatic) || !self.automatic || self.members.size() > 1").message("automatic: there is nobody to go on for a single member: name another one in members, or write automatic: false").field_path(".automatic"))]
pub struct FailoverGroupSpec {
    /// The `Network` that the members are on.
    #[schemars(length(min = 1, max = 63))]
    pub network: String,
    /// The `SigningIdentity` whose key they share. It must name this group.
    #[schemars(length(min = 1, max = 253))]
    pub identity: String,
    /// In order of preference.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub members: Vec<FailoverMember>,
    /// How the place changes hands.
    #[x_kube(validation = Rule::new("[has(self.gate), has(self.launcher), has(self.label), has(self.keymanager), has(self.solanaIdentity), has(self.job)].filter(x, x).size() == 1").message("say how the place changes hands, in one way: handover: {gate: {}}, {launcher: {}}, {label: {service: NAME}}, {keymanager: {}}, {solanaIdentity: {}} or {job: {cronJob: NAME}}"))]
    pub handover: Handover,
    /// What a standby must be to go on.
    #[serde(default)]
    pub standby: Standby,
    /// Whether the place changes hands without a person: when the ladder of a policy says so, and when the holder's pod is
    /// gone.
    #[serde(default)]
    pub automatic: bool,
    /// Named sinks of the operator's configuration that hear of what a person has to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63)))]
    pub notify: Vec<String>,
}

/// One that may sign: a `StatefulSet` of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverMember {
    /// Its name in the group.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The `StatefulSet`, whose first pod it is.
    #[schemars(length(min = 1, max = 63))]
    pub stateful_set: String,
}

/// What a standby must be to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standby {
    /// At most so many blocks behind the network.
    #[serde(default = "default_max_lag")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_lag: i32,
    /// At least so many peers, where its software tells.
    #[serde(default = "default_min_peers")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_peers: i32,
}

const fn default_max_lag() -> i32 {
    2
}

const fn default_min_peers() -> i32 {
    1
}

impl Default for Standby {
    fn default() -> Self {
        Self { max_lag: default_max_lag(), min_peers: default_min_peers() }
    }
}

/// What is seen of a group. For display: decisions rest on the record of its identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverGroupStatus {
    /// The generation that the rest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Signing`, `Blocked`, `Invalid`, `DuplicateKey`, `WideWindow`, `Unlabelled`, `Unlatched`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The member that may sign, or could until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The identity that had a record when it was seen last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Where its epoch stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Which epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// What is known of each member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub members: Vec<MemberStatus>,
}

/// What is known of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// Its pod, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Whether it could go on now.
    pub fit: bool,
    /// Why not, or that it signs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// An order about one identity, from a person or from the ladder of a policy. It never changes, and is carried out or
/// refused once. In the namespace of the identity's group.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "SigningOrder",
    plural = "signingorders",
    shortname = "sord",
    category = "mainstay",
    namespaced,
    doc = "An order about one signing identity: init, adopt, failover or release. Carried out or refused once.",
    status = "SigningOrderStatus",
    derive = "PartialEq",
    annotation("mainstay.dev/schema", "8"),
    printcolumn(name = "Identity", type_ = "string", json_path = ".spec.identity"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".spec.epoch"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("an order is somebody's word: write a new one instead of changing this"),
    validation = Rule::new("[has(self.init), has(self.adopt), has(self.failover), has(self.release)].filter(x, x).size() == 1")
        .message("exactly one of init, adopt, failover and release")
)]
pub struct SigningOrderSpec {
    /// The `SigningIdentity`.
    #[schemars(length(min = 1, max = 253))]
    pub identity: String,
    /// The epoch that this was decided about: an order that comes late changes nothing. Of `adopt`, the highest epoch that
    /// any gate, log or person remembers; of `init`, 0.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// Who orders: the user who creates this object. Admission control holds everybody to it.
    #[schemars(length(min = 1, max = 512))]
    pub by: String,
    /// A new key that has never signed anything anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOrder>,
    /// A key that has signed before, or whose record was restored from a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<AdoptOrder>,
    /// Another member is to sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<SwitchOrder>,
    /// A pod that nothing proves to have stopped, has stopped for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseOrder>,
}

/// A new key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InitOrder {
    /// The person's word that this key has never signed anything.
    #[schemars(length(min = 1, max = 1024))]
    pub assertion: String,
}

/// A key that has signed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptOrder {
    /// Nothing at or below this height is ever signed again: the highest height that the key has signed, and a verified
    /// head with a window on top.
    #[schemars(range(min = 1))]
    pub floor: i64,
    /// The uid of the pod that holds the place, as the record has it: the person's word that this very pod has stopped for
    /// good. The floor is then the highest height that it signed, and may be below its window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 36))]
    pub pod_uid: Option<String>,
    /// The person's word that no process with this key runs anywhere.
    #[schemars(length(min = 1, max = 1024))]
    pub assertion: String,
}

/// Another member is to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SwitchOrder {
    /// The member that is to go on; if it cannot, the order is refused. Without it, the first that is fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub to: Option<String>,
    /// Why, for whoever reads it later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// A pod that has stopped for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseOrder {
    /// The pod's uid, as the record has it.
    #[schemars(length(min = 1, max = 36))]
    pub pod_uid: String,
    /// The person's word that it has stopped, and why that is known.
    #[schemars(length(min = 1, max = 1024))]
    pub assertion: String,
}

/// What became of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningOrderStatus {
    /// Where it stands; none yet: it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OrderOutcome>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Of `failover`: the member that is to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OrderOutcome {
    /// It is being carried out.
    Accepted,
    /// It has been.
    Done,
    /// It is not carried out.
    Refused,
}
