//! `mainstay approve`: a person's word that a remediation may be carried out, given with that person's own credentials.

use std::{fmt::Write as _, process::ExitCode};

use k8s_openapi::{
    api::authentication::v1::SelfSubjectReview,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest, Sha256};

use super::{CliError, block_on, print};
use crate::{
    api::{
        ApprovedRemediation, FailoverAction, GROUP, JobAction, NodeRemediation, Phase, RemediationApproval,
        RemediationApprovalSpec, RestartAction, VERSION,
    },
    controller::entry::step_of,
    plan::record::Record,
};

/// Arguments of `mainstay approve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the remediation: `kubectl get nrem`
    #[arg(value_name = "REMEDIATION")]
    name: String,
    /// Its namespace; without it the one of the current context
    #[arg(long, short)]
    namespace: Option<String>,
    /// Why, for whoever reads it later
    #[arg(long, default_value = "")]
    comment: String,
    /// Say no: it is not done, and not asked about again for an hour
    #[arg(long)]
    reject: bool,
    /// Only show what would be approved
    #[arg(long)]
    show: bool,
}

/// Why nothing was approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// No cluster is configured.
    #[error("failed to find a cluster: {0}; set KUBECONFIG or choose a context")]
    Config(#[from] kube::config::InferConfigError),
    /// The cluster refused or did not answer.
    #[error("failed to reach the cluster: {0}")]
    Api(#[from] kube::Error),
    /// The cluster does not let this user.
    #[error("{0}")]
    Refused(String),
    /// It waits for nobody.
    #[error("{0} waits for no approval: it is {1}")]
    NotAsked(String, String),
    /// The one who asked is none of those who approve.
    #[error("{0} asked for it: somebody else must approve it")]
    OwnRequest(String),
    /// The cluster does not say who is asking.
    #[error("the cluster does not say who you are: it has no SelfSubjectReview, or you have no name")]
    Nobody,
}

/// Approves a remediation, or shows it.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    print(&block_on(approve(args))??)?;
    Ok(ExitCode::SUCCESS)
}

async fn approve(args: &Args) -> Result<String, ApproveError> {
    let config = kube::Config::infer().await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    let remediations: Api<NodeRemediation> = Api::namespaced(client.clone(), &namespace);
    let object = remediations.get(&args.name).await?;
    let what = describe(&object);
    if args.show {
        return Ok(what);
    }
    let me = who_am_i(&client).await?.ok_or(ApproveError::Nobody)?;
    let word = word(&object, &me, args.reject, &args.comment)?;
    let approvals: Api<RemediationApproval> = Api::namespaced(client, &namespace);
    let given = match approvals.create(&PostParams::default(), &word).await {
        Ok(_) if args.reject => "rejected",
        Ok(_) => "approved",
        Err(kube::Error::Api(status)) if status.is_already_exists() => "said so already",
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            return Err(ApproveError::Refused(status.message));
        }
        Err(error) => return Err(error.into()),
    };
    let until =
        if args.reject { "" } else { "; void after 15 minutes, or when the policy or what fires has changed" };
    Ok(format!("{what}{given} as {me}{until}\n"))
}

/// Who asks, as the cluster knows them.
pub(super) async fn who_am_i(client: &Client) -> Result<Option<String>, kube::Error> {
    let reviews = Api::<SelfSubjectReview>::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    Ok(review.status.and_then(|status| status.user_info?.username))
}

/// The approval of a remediation by somebody. Its name says both, so that nobody approves twice; it goes when the
/// remediation goes.
fn word(
    object: &NodeRemediation,
    approver: &str,
    reject: bool,
    comment: &str,
) -> Result<RemediationApproval, ApproveError> {
    let (spec, meta) = (&object.spec, &object.metadata);
    let name = meta.name.clone().unwrap_or_default();
    let status = object.status.clone().unwrap_or_default();
    if status.phase != Phase::AwaitingApproval {
        return Err(ApproveError::NotAsked(name, format!("{:?} {}", status.phase, status.reason)));
    }
    if spec.requested_by == approver && !reject {
        return Err(ApproveError::OwnRequest(approver.to_owned()));
    }
    let uid = meta.uid.clone().unwrap_or_default();
    let who = format!("{:x}", Sha256::digest(approver));
    Ok(RemediationApproval {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{}{}", if reject { "no-" } else { "" }, &who[..10])),
            owner_references: Some(vec![OwnerReference {
                api_version: format!("{GROUP}/{VERSION}"),
                kind: "NodeRemediation".into(),
                name: name.clone(),
                uid: uid.clone(),
                controller: None,
                block_owner_deletion: None,
            }]),
            ..ObjectMeta::default()
        },
        spec: RemediationApprovalSpec {
            remediation: ApprovedRemediation { name, uid },
            approver: approver.to_owned(),
            reject,
            comment: comment.to_owned(),
        },
    })
}

/// What it would do, to whom, and why.
fn describe(object: &NodeRemediation) -> String {
    let spec = &object.spec;
    let status = object.status.clone().unwrap_or_default();
    let mut text = format!(
        "{} of pod {} (attempt {}), for policy {}, asked by {}\n  {:?}: {}\n",
        step_of(&spec.action).name(),
        spec.target.pod,
        spec.attempt,
        spec.policy.name,
        spec.requested_by,
        status.phase,
        status.message
    );
    let action = &spec.action;
    if let Some(RestartAction { method, within, .. }) = &action.restart {
        let _ = writeln!(text, "  by {method:?}, healthy again within {within}; network {}", spec.network);
    }
    if let Some(JobAction { cron_job, revision, within, .. }) = &action.job {
        let _ = writeln!(text, "  CronJob {cron_job} ({revision}) is run once, for {within} at most");
    }
    if let Some(FailoverAction { group, epoch, within, .. }) = &action.failover {
        let _ =
            writeln!(text, "  another member of FailoverGroup {group} signs after epoch {epoch}, within {within}");
    }
    let record: Option<Record> = serde_json::from_str(&spec.decision).ok();
    for finding in record.iter().flat_map(|record| record.target.verdict.firing()) {
        let _ = writeln!(text, "  {}: {}", finding.rule, finding.evidence);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn waiting(phase: &str) -> NodeRemediation {
        serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeRemediation",
            "metadata": {"name": "gaia-1-x", "namespace": "cosmos", "uid": "r1"},
            "spec": {
                "network": "hub", "attempt": 1,
                "action": {"job": {"cronJob": "resync", "within": "1h", "clear": "10s"}},
                "policy": {"name": "hub-rpc", "uid": "p", "generation": 1}, "requestedBy": "carol",
                "target": {"slot": "gaia-1", "pod": "gaia-1", "uid": "u"},
            },
            "status": {"phase": phase, "reason": "Approval", "message": "people must approve it: 0 of 2"},
        }))
        .unwrap()
    }

    #[test]
    fn a_word_names_what_it_is_about_and_goes_with_it() {
        let (ann, ben) = (
            word(&waiting("AwaitingApproval"), "ann", false, "seen").unwrap(),
            word(&waiting("AwaitingApproval"), "ben", false, "").unwrap(),
        );
        assert_ne!(ann.metadata.name, ben.metadata.name);
        assert_eq!(ann.metadata.name, word(&waiting("AwaitingApproval"), "ann", false, "").unwrap().metadata.name);
        assert_eq!((ann.spec.approver.as_str(), ann.spec.remediation.uid.as_str()), ("ann", "r1"));
        assert_eq!(ann.metadata.owner_references.unwrap()[0].uid, "r1");
        assert!(ann.metadata.name.unwrap().len() <= 253);
    }

    #[test]
    fn nobody_approves_their_own_request_or_what_does_not_wait() {
        let own = word(&waiting("AwaitingApproval"), "carol", false, "").unwrap_err();
        assert!(own.to_string().contains("somebody else"), "{own}");
        let late = word(&waiting("Withdrawn"), "ann", false, "").unwrap_err();
        assert_eq!(late.to_string(), "gaia-1-x waits for no approval: it is Withdrawn Approval");
    }

    #[test]
    fn it_says_what_would_be_done() {
        let text = describe(&waiting("AwaitingApproval"));
        assert!(text.starts_with("job of pod gaia-1 (attempt 1), for policy hub-rpc, asked by carol\n"), "{text}");
        assert!(text.contains("CronJob resync () is run once"), "{text}");
    }
}
