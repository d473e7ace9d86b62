//! `RemediationApproval`: a person's word that a step may be taken.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One person's word that one remediation may be carried out. It never changes, and is void after 15 minutes.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "RemediationApproval",
    plural = "remediationapprovals",
    shortname = "rapp",
    category = "mainstay",
    namespaced,
    doc = "One person's word that one remediation may be carried out. Void after 15 minutes.",
    derive = "PartialEq",
    annotation("mainstay.dev/schema", "8"),
    selectable = ".spec.remediation.uid",
    printcolumn(name = "Remediation", type_ = "string", json_path = ".spec.remediation.name"),
    printcolumn(name = "Approver", type_ = "string", json_path = ".spec.approver"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("an approval is a person's word: write a new one instead of changing this"))]
pub struct RemediationApprovalSpec {
    /// What is approved. Its target, step, rules and policy are part of it and never change.
    pub remediation: ApprovedRemediation,
    /// Who approves: the user who creates this object. Admission control holds everybody to it.
    #[schemars(length(min = 1, max = 512))]
    pub approver: String,
    /// Whether this is a no: it is not done, whoever else approves, and not asked about again for an hour.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reject: bool,
    /// Why, for whoever reads it later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub comment: String,
}

/// The remediation that is approved, in the namespace of the approval.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedRemediation {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its uid: another of the same name is not approved.
    #[schemars(length(min = 1, max = 36))]
    pub uid: String,
}
