//! How a place changes hands: the ways that a `FailoverGroup` may say.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// How the place changes hands: exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// Every member runs `mainstay gate` beside its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateHandover>,
    /// Every member's signer is started by `mainstay gate -- COMMAND`: for signers without a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<LauncherHandover>,
    /// The key is behind a remote signer that itself refuses a second signature; a Service leads to the holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelHandover>,
    /// Every member runs `mainstay gate --keymanager` beside its Ethereum validator client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keymanager: Option<KeymanagerHandover>,
    /// Every member runs `mainstay gate --solana` beside its Solana validator (Agave).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solana_identity: Option<SolanaHandover>,
    /// A suspended `CronJob` ends the former holder's part and begins the next one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobHandover>,
}

/// One way in which a place changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// By a gate beside each node.
    Gate,
    /// By a launcher of each signer.
    Launcher(&'a LauncherHandover),
    /// By the label of an endpoint.
    Label(&'a LabelHandover),
    /// By the key managers of Ethereum clients.
    Keymanager(&'a KeymanagerHandover),
    /// By the admin RPC of Solana validators.
    SolanaIdentity(&'a SolanaHandover),
    /// By a job of the owner's.
    Job(&'a JobHandover),
}

impl Handover {
    /// The one way that it says; `None` if it says none, or several.
    #[must_use]
    pub fn way(&self) -> Option<Way<'_>> {
        let said = [
            self.gate.as_ref().map(|_| Way::Gate),
            self.launcher.as_ref().map(Way::Launcher),
            self.label.as_ref().map(Way::Label),
            self.keymanager.as_ref().map(Way::Keymanager),
            self.solana_identity.as_ref().map(Way::SolanaIdentity),
            self.job.as_ref().map(Way::Job),
        ];
        let mut said = said.into_iter().flatten();
        said.next().filter(|_| said.next().is_none())
    }

    /// Whether the pods of its members carry the finalizer that keeps the evidence of how they ended.
    #[must_use]
    pub const fn needs_latch(&self) -> bool {
        self.launcher.is_some() || self.keymanager.is_some() || self.solana_identity.is_some()
    }
}

/// Nothing is to be said: the window is the identity's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateHandover {}

/// A signer that runs only while it holds the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.hold) || !self.hold.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.hold) >= duration('20s') && duration(self.hold) <= duration('10m'))").message("hold: between 20s, in which two questions of a launcher may come to nothing and its command can still stop, and 10m").field_path(".hold"))]
pub struct LauncherHandover {
    /// How long its command runs on while the API server is away; and so long at least, and a little more, a failover waits
    /// for a launcher that vanished, beside the proof that its pod has ended.
    #[serde(default = "default_hold")]
    pub hold: Duration,
}

/// A remote signer that refuses a second signature for a height, whoever asks: horcrux, cosmosigner, Web3Signer with one
/// database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelHandover {
    /// The `Service` that selects `mainstay.dev/signing: "true"`, which the holder's pod wears and no other member's.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
}

/// An Ethereum validator client that has its key only while its member holds the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.hold) || !self.hold.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.hold) >= duration('20s') && duration(self.hold) <= duration('10m'))").message("hold: between 20s and 10m").field_path(".hold"))]
pub struct KeymanagerHandover {
    /// How long the client keeps the key while the API server is away.
    #[serde(default = "default_key_hold")]
    pub hold: Duration,
}

/// A Solana validator that has the staked identity only while its member holds the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.hold) || !self.hold.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.hold) >= duration('20s') && duration(self.hold) <= duration('10m'))").message("hold: between 20s and 10m").field_path(".hold"))]
pub struct SolanaHandover {
    /// How long the validator keeps the identity while the API server is away.
    #[serde(default = "default_key_hold")]
    pub hold: Duration,
}

const fn default_key_hold() -> Duration {
    Duration::from_secs(300)
}

/// The owner's own way. The success of its job is the owner's word that the former holder never signs again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.within) || !self.within.matches('^[0-9]{1,6}(ms|s|m|h)$') || (duration(self.within) >= duration('10s') && duration(self.within) <= duration('1h'))").message("within: between 10s and 1h").field_path(".within"))]
pub struct JobHandover {
    /// The suspended `CronJob`. It is run once to revoke and once to activate, and told which in `MAINSTAY_PHASE`.
    #[schemars(length(min = 1, max = 52))]
    pub cron_job: String,
    /// How long a run may take. A person is called afterwards.
    #[serde(default = "default_within")]
    pub within: Duration,
}

const fn default_within() -> Duration {
    Duration::from_secs(300)
}

const fn default_hold() -> Duration {
    Duration::from_secs(30)
}

impl Default for LauncherHandover {
    fn default() -> Self {
        Self { hold: default_hold() }
    }
}
