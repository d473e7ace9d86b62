//! `SigningIdentity`: one consensus key, who may run it, and in its status the record of who signs which heights.

use k8s_openapi::ByteString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One consensus key of one chain. Its name is `CHAIN_ID.PUBLIC_KEY` with the key in hexadecimal digits, so that a key
/// exists once. Administrators write it and delete it; Mainstay never does.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "SigningIdentity",
    plural = "signingidentities",
    singular = "signingidentity",
    shortname = "sid",
    category = "mainstay",
    doc = "One consensus key of one chain: which group may run it, and who signs which heights.",
    status = "SigningIdentityStatus",
    derive = "PartialEq",
    annotation("mainstay.dev/schema", "8"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Holder", type_ = "string", json_path = ".status.holder.member"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch"),
    printcolumn(name = "Floor", type_ = "integer", json_path = ".status.floor"),
    printcolumn(name = "Ceiling", type_ = "integer", json_path = ".status.ceiling"),
    printcolumn(name = "Blocked", type_ = "string", json_path = ".status.blocked"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SigningIdentitySpec {
    /// The `Network` whose chain the key signs for.
    #[schemars(length(min = 1, max = 63))]
    pub network: String,
    /// Where its members run.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The `FailoverGroup` of that namespace that may run it.
    #[schemars(length(min = 1, max = 63))]
    pub group: String,
    /// How many heights a gate owns ahead of the chain. So many blocks are signed while the API server is away, and so many
    /// are waited for when a signer vanished without a word. A tenth of the misses that jail is the most that makes sense: a group
    /// says `WideWindow` where it is more, and nothing refuses it.
    #[serde(default = "default_window")]
    #[schemars(range(min = 4, max = 10_000))]
    pub window: i64,
}

const fn default_window() -> i64 {
    20
}

/// The record of one identity, only ever written whole, with the resourceVersion that its writer read. See
/// `crate::failover::Record`, which it is.
///
/// A field that this build does not know, here and below, makes it unreadable: whoever wrote the rest back would take the
/// field away, and might sign against it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = open)]
pub struct SigningIdentityStatus {
    /// Which epoch: one more for every holder.
    pub epoch: i64,
    /// Drawn for every activation, 32 hexadecimal digits: tells two epochs of one number apart.
    pub activation: String,
    /// The last epoch that a person began.
    pub adopted: i64,
    /// How this epoch ends.
    pub handover: SigningHandover,
    /// How long a launcher may hold; of launchers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<SigningTiming>,
    /// Where the epoch stands.
    pub phase: SigningPhase,
    /// Who may sign, or could until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<SigningHolder>,
    /// What a failover waits for until a person helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<SigningBlock>,
    /// Why nobody signs in this epoch any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<SigningProof>,
    /// The epoch signs above this height only.
    pub floor: i64,
    /// And at this height at most.
    pub ceiling: i64,
    /// How many processes have claimed the place in this epoch.
    pub claims: i64,
    /// Whether the last of them stopped in good order, and lowered the ceiling to what was signed.
    pub lowered: bool,
    /// The highest height that the epoch can have signed, once its gate is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<i64>,
    /// Why nobody signs with the key any more, until a person adopts the identity anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shut: Option<SigningShut>,
    /// What travels with the key: what its last signer knew of its own signatures (Solana's tower and vote history).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<SigningCarried>,
}

/// What the signer of an epoch knew of its own signatures when the epoch had ended. It is public: the chain has seen it all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = open)]
pub struct SigningCarried {
    /// At the end of which epoch. It counts for the one right after it.
    pub epoch: i64,
    /// The member that has signed last.
    #[schemars(length(max = 63))]
    pub member: String,
    /// The files. None where the epoch ended without a word: only that member itself has them then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub files: Vec<CarriedFile>,
}

/// A file that travels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedFile {
    /// Its name.
    #[schemars(length(max = 127))]
    pub name: String,
    /// What is in it, in base 64; 64 KiB at most.
    #[schemars(with = "String", length(max = 87_384))]
    pub data: ByteString,
}

impl CarriedFile {
    /// A file with this in it.
    #[must_use]
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), data: ByteString(bytes.to_vec()) }
    }

    /// What is in it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.data.0
    }
}

/// How an epoch ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SigningHandover {
    /// A gate signs inside its window only.
    #[default]
    Gate,
    /// A launcher kills its signer when its hold ends.
    Launcher,
    /// A key is in the client of its holder only, and leaves it when its hold ends.
    Keymanager,
    /// The same of a Solana validator's identity.
    SolanaIdentity,
    /// A remote signer refuses a second signature itself; the endpoint moves.
    Label,
    /// The owner's job says that the former holder has stopped.
    Job,
}

/// How long a launcher may hold. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = open)]
pub struct SigningTiming {
    /// After it sent the question whose answer showed it as the holder.
    pub hold: i64,
    /// How much two clocks may differ in a thousand of their units.
    pub drift: i32,
    /// For what takes time after the hold has ended.
    pub margin: i64,
}

/// Where an epoch stands. The way is one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SigningPhase {
    /// The holder may sign.
    Active,
    /// The window is frozen; proof is wanted that the holder signs no more.
    Revoking,
    /// Nobody signs any more in this epoch.
    #[default]
    Fenced,
}

/// A pod that may sign, and the process in it that has claimed the place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = open)]
pub struct SigningHolder {
    /// The member of the group.
    pub member: String,
    /// The pod's uid: the twin of a deleted pod is another.
    pub pod_uid: String,
    /// The node that it runs on.
    pub node: String,
    /// Drawn by the process when it started, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
}

/// What holds a failover up until a person helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SigningBlock {
    /// Nothing proves that the former holder has stopped.
    Proof,
    /// No block passes the frozen ceiling without this key, or nobody knows whether one would.
    ChainNeedsUs,
}

/// Why nobody signs with a key any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SigningShut {
    /// The chain has a signature that its gate did not make: somebody else has the key.
    Foreign,
    /// The chain has punished the key.
    Punished,
}

/// Why it is known that an epoch signs nothing above its bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = open)]
pub struct SigningProof {
    /// Of which kind.
    pub kind: ProofKind,
    /// About which pod, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<SigningHolder>,
}

/// The kinds of proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProofKind {
    /// The signer itself refuses: its gate sealed the epoch, stopped in good order, or nobody ever claimed it; or it is a
    /// remote signer that refuses by its kind.
    SignerRefuses,
    /// No gate signs above the frozen ceiling, whatever becomes of it.
    WindowFrozen,
    /// The kubelet saw every container of the pod end.
    KubeletConfirmed,
    /// The platform says that the node is off.
    NodeOff,
    /// The owner's job says so, by its success.
    JobSucceeded,
    /// A person says so.
    Asserted,
}

/// The refusal is this build's alone: the API server prunes what the definition does not know.
fn open(schema: &mut schemars::Schema) {
    schema.remove("additionalProperties");
}
