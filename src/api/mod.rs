//! What people write: one custom resource per file, derives only, no logic.
//!
//! Group `mainstay.dev`, version `v1alpha1`. The rules that the API server enforces stand beside the fields
//! they guard, with a message that says what to write instead; `crate::policy` validates again at run time,
//! because a stored object may be older than a rule.

mod approval;
mod duration;
mod failover;
mod handover;
mod ledger;
mod network;
pub mod policy;
mod remediation;
mod signing;
mod threshold;

pub use approval::{ApprovedRemediation, RemediationApproval, RemediationApprovalSpec};
pub use duration::{Duration, DurationError};
pub use failover::{
    AdoptOrder, FailoverGroup, FailoverGroupSpec, FailoverGroupStatus, FailoverMember, InitOrder, MemberStatus,
    OrderOutcome, ReleaseOrder, SigningOrder, SigningOrderSpec, SigningOrderStatus, Standby, SwitchOrder,
};
pub use handover::{
    GateHandover, Handover, JobHandover, KeymanagerHandover, LabelHandover, LauncherHandover, SolanaHandover, Way,
};
pub use ledger::{
    ActionRecord, LedgerSeat, NetworkLedger, NetworkLedgerSpec, PolicyRef, RemediationRef, SeatStep, SlotRecord,
};
pub use network::{
    Family, Network, NetworkReference, NetworkSpec, NetworkStatus, ReferenceHeadStatus, ReferenceStatus,
    UpgradeStatus, Upgrades,
};
pub use policy::{NodeHealthPolicy, NodeHealthPolicySpec};
pub use remediation::{
    Action, FailoverAction, JobAction, MAINSTAY, NodeRemediation, NodeRemediationSpec, NodeRemediationStatus,
    PageAction, Phase, PolicyIdentity, RestartAction, RestartMethod, RotationAction, TargetIdentity, Transition,
};
pub use signing::{
    CarriedFile, ProofKind, SigningBlock, SigningCarried, SigningHandover, SigningHolder, SigningIdentity,
    SigningIdentitySpec, SigningIdentityStatus, SigningPhase, SigningProof, SigningShut, SigningTiming,
};
pub use threshold::{HealthyShare, Threshold, ThresholdError};

/// The API group of every kind in this module.
pub const GROUP: &str = "mainstay.dev";

/// The one version served today.
pub const VERSION: &str = "v1alpha1";

/// Finalizer that keeps a `NodeRemediation` until it is final and its seat is free.
pub const FINALIZER: &str = "mainstay.dev/remediation";

/// Pods that carry this annotation or label with the value `true` are watched but never touched.
pub const IGNORE: &str = "mainstay.dev/ignore";

/// Label by which Services choose the pods that are to serve: `"true"` in the pod template, `"false"` on a pod that Mainstay
/// took out of rotation. Without Mainstay every pod is in, so it fails open. Also the type of the condition behind the readiness
/// gate of pods that take part by that instead: what is not `True` is out, so it fails closed.
pub const IN_ROTATION: &str = "mainstay.dev/in-rotation";

/// Label by which a Service finds the member that signs, where a remote signer has the key: `"true"` on the holder's pod and
/// on no other member's.
pub const SIGNING: &str = "mainstay.dev/signing";

/// Annotation on a pod whose rotation label Mainstay has changed: uid of the policy on whose behalf.
pub const ROTATED_BY: &str = "mainstay.dev/rotated-by";

/// Annotation beside it: when (milliseconds since the epoch, API server's clock).
pub const ROTATED_AT: &str = "mainstay.dev/rotated-at";

/// Annotation on each CRD that says which schema it is; an operator that meets an older one only observes.
pub const SCHEMA_ANNOTATION: &str = "mainstay.dev/schema";

/// The schema that this build writes. Raised with every change of a CRD.
pub const SCHEMA: u32 = 8;
