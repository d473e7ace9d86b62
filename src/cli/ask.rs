//! `mainstay ask`: a person's request for one step on one target, written down as Mainstay itself would write it.

use std::process::ExitCode;

use clap::ValueEnum;
use k8s_openapi::api::{batch::v1::CronJob, core::v1::Pod};
use kube::{Api, Client, api::PostParams};

use super::{CliError, approve::who_am_i, block_on, print};
use crate::{
    api::{
        FailoverGroup, Network, NodeHealthPolicy, NodeRemediation, NodeRemediationSpec, PolicyIdentity,
        SigningIdentity, TargetIdentity,
    },
    controller::entry::{About, action},
    plan::Step,
    policy::{self, Policy},
    world::PodView,
};

/// Arguments of `mainstay ask`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is to be done
    #[arg(value_enum)]
    what: What,
    /// The pod it is to be done to
    #[arg(value_name = "POD")]
    pod: String,
    /// The policy on whose behalf; its ladder says how
    #[arg(long, value_name = "NAME")]
    policy: String,
    /// Their namespace; without it the one of the current context
    #[arg(long, short)]
    namespace: Option<String>,
    /// Only print what would be written
    #[arg(long)]
    dry_run: bool,
}

/// What a person may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Take the pod out of its Services
    Reroute,
    /// Let the pod be made anew
    Restart,
    /// Run the job of the ladder once
    Job,
    /// Let another member of the ladder's failover group sign
    Failover,
}

/// Why nothing was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No cluster is configured.
    #[error("failed to find a cluster: {0}; set KUBECONFIG or choose a context")]
    Config(#[from] kube::config::InferConfigError),
    /// The cluster refused or did not answer.
    #[error("failed to reach the cluster: {0}")]
    Api(#[from] kube::Error),
    /// The cluster does not let this user.
    #[error("{0}")]
    Refused(String),
    /// The policy cannot be run.
    #[error("{0}")]
    Policy(#[from] policy::Problem),
    /// The ladder does not have it.
    #[error("the ladder of policy {0} has no {1}")]
    NotInLadder(String, &'static str),
    /// A pod without a workload.
    #[error("{0} is a bare pod: no workload would make it anew")]
    Bare(String),
    /// The pod cannot be read.
    #[error("failed to read pod {0}: {1}")]
    Pod(String, serde_json::Error),
    /// The cluster does not say who is asking.
    #[error("the cluster does not say who you are: it has no SelfSubjectReview, or you have no name")]
    Nobody,
    /// It could not be put into words.
    #[error("failed to write it as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

impl What {
    const fn step(self) -> Step {
        match self {
            Self::Reroute => Step::Reroute,
            Self::Restart => Step::Restart,
            Self::Job => Step::Job,
            Self::Failover => Step::Failover,
        }
    }
}

/// Asks for a step, or prints what would be asked.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    print(&block_on(ask(args))??)?;
    Ok(ExitCode::SUCCESS)
}

async fn ask(args: &Args) -> Result<String, AskError> {
    let config = kube::Config::infer().await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    let object = Api::<NodeHealthPolicy>::namespaced(client.clone(), &namespace).get(&args.policy).await?;
    let network = Api::<Network>::all(client.clone()).get(&object.spec.network).await?;
    let policy = policy::validate(&object, network.spec.family)?;
    let pod = Api::<Pod>::namespaced(client.clone(), &namespace).get(&args.pod).await?;
    let pod: PodView = serde_json::to_value(&pod)
        .and_then(serde_json::from_value::<PodView>)
        .map_err(|error| AskError::Pod(args.pod.clone(), error))?;
    let about = about(&client, &namespace, &policy, args.what).await?;
    let me = who_am_i(&client).await?.ok_or(AskError::Nobody)?;
    let request = request(&policy, &pod, args.what.step(), &about, &me)?;
    if args.dry_run {
        return Ok(serde_yaml::to_string(&request)?);
    }
    let remediations: Api<NodeRemediation> = Api::namespaced(client, &namespace);
    match remediations.create(&PostParams::default(), &request).await {
        Ok(created) => {
            let name = created.metadata.name.unwrap_or_default();
            Ok(format!("asked as {me}: kubectl get nrem {name} -n {namespace}\n"))
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() => Err(AskError::Refused(status.message)),
        Err(error) => Err(error.into()),
    }
}

/// What the step is about beside the pod, as it is now.
async fn about(client: &Client, namespace: &str, policy: &Policy, what: What) -> Result<About, AskError> {
    let mut about = About::default();
    match (what, &policy.ladder.job, &policy.ladder.failover) {
        (What::Job, Some(job), _) => {
            let found = Api::<CronJob>::namespaced(client.clone(), namespace).get_metadata(&job.cron_job).await?;
            let meta = found.metadata;
            about.revision = format!("{}/{}", meta.uid.unwrap_or_default(), meta.generation.unwrap_or_default());
        }
        (What::Failover, _, Some(step)) => {
            let group = Api::<FailoverGroup>::namespaced(client.clone(), namespace).get(&step.group).await?;
            about.identity = group.spec.identity;
            let identity = Api::<SigningIdentity>::all(client.clone()).get(&about.identity).await?;
            about.epoch = identity.status.map_or(0, |record| record.epoch);
        }
        _ => {}
    }
    Ok(about)
}

/// The request, as the operator takes it: what the policy's ladder says of the step, and nothing else.
fn request(
    policy: &Policy,
    pod: &PodView,
    step: Step,
    about: &About,
    by: &str,
) -> Result<NodeRemediation, AskError> {
    let action =
        action(policy, step, about).ok_or_else(|| AskError::NotInLadder(policy.id.name.clone(), step.name()))?;
    let slot = pod.slot().ok_or_else(|| AskError::Bare(pod.name.clone()))?;
    let spec = NodeRemediationSpec {
        network: policy.network.clone(),
        policy: PolicyIdentity {
            name: policy.id.name.clone(),
            uid: policy.id.uid.clone(),
            generation: policy.generation,
        },
        target: TargetIdentity { slot, pod: pod.name.clone(), uid: pod.uid.clone() },
        action,
        attempt: 1,
        breach_at: 0,
        detected_at: 0,
        rules: Vec::new(),
        decision: String::new(),
        requested_by: by.to_owned(),
    };
    let mut request = NodeRemediation::new("", spec);
    request.metadata.name = None;
    let start: String = pod.name.chars().take(40).collect();
    request.metadata.generate_name = Some(format!("{}-by-hand-", start.trim_end_matches(['-', '.'])));
    request.metadata.namespace = Some(policy.id.namespace.clone());
    Ok(request)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{api::Family, controller::entry::unlawful, plan::TargetFacts};

    fn policy(remediation: &Value) -> Policy {
        policy_of("FullNode", remediation)
    }

    fn policy_of(role: &str, remediation: &Value) -> Policy {
        let object: NodeHealthPolicy = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
            "metadata": {"name": "rpc", "namespace": "cosmos", "uid": "p", "generation": 4},
            "spec": {"network": "hub", "role": role, "selector": {"matchLabels": {"app": "gaiad"}},
                "remediation": remediation},
        }))
        .unwrap();
        policy::validate(&object, Family::CometBFT).unwrap()
    }

    fn pod() -> PodView {
        serde_json::from_value(json!({
            "metadata": {"name": "full-1", "namespace": "cosmos", "uid": "u", "labels": {"app": "gaiad"},
                "ownerReferences": [{"kind": "StatefulSet", "name": "full", "uid": "s", "controller": true}]},
            "spec": {"containers": []}, "status": {"phase": "Running"},
        }))
        .unwrap()
    }

    fn target() -> TargetFacts {
        let mut target = crate::plan::testing::facts().target;
        (target.slot, target.pod, target.uid) = ("full-1".into(), "full-1".into(), "u".into());
        target
    }

    #[test]
    fn what_is_asked_is_what_the_operator_takes() {
        let ladder = json!({"reroute": {}, "restart": {"within": "3m"}, "job": {"cronJob": "resync"}});
        let policy = policy(&ladder);
        let about = About { revision: "c1/2".into(), ..About::default() };
        for step in [Step::Reroute, Step::Restart, Step::Job] {
            let request = request(&policy, &pod(), step, &about, "ann").unwrap();
            assert_eq!(unlawful(&request.spec, &policy, &target()), None, "{step:?}");
            assert!(request.spec.by_hand());
        }
    }

    #[test]
    fn a_failover_names_the_key_and_its_epoch() {
        let policy = policy_of("Validator", &json!({"failover": {"group": "val"}, "page": {}}));
        let about = About { identity: "hub-1.k".into(), epoch: 4, ..About::default() };
        let request = request(&policy, &pod(), Step::Failover, &about, "ann").unwrap();
        assert_eq!(unlawful(&request.spec, &policy, &target()), None);
        let failover = request.spec.action.failover.unwrap();
        assert_eq!((failover.identity.as_str(), failover.epoch), ("hub-1.k", 4));
        assert_eq!(failover.within.as_millis(), 120_000);
    }

    #[test]
    fn what_the_ladder_does_not_have_is_not_asked_for() {
        let error =
            request(&policy(&json!({"page": {}})), &pod(), Step::Restart, &About::default(), "ann").unwrap_err();
        assert_eq!(error.to_string(), "the ladder of policy rpc has no restart");
    }

    #[test]
    fn nobody_chooses_a_ledger_a_slot_or_a_way_of_their_own() {
        let policy = policy(&json!({"restart": {}, "page": {}}));
        let wrong = |change: fn(&mut NodeRemediationSpec)| {
            let mut spec = request(&policy, &pod(), Step::Restart, &About::default(), "ann").unwrap().spec;
            change(&mut spec);
            unlawful(&spec, &policy, &target()).unwrap_or_default()
        };
        assert!(wrong(|spec| spec.network = "other".into()).contains("network is hub, and not other"));
        assert!(wrong(|spec| spec.target.slot = "full-2".into()).contains("slot is full-1, and not full-2"));
        assert!(wrong(|spec| spec.policy.generation = 3).contains("generation is 4, and not 3"));
        let long = wrong(|spec| {
            spec.action.restart.as_mut().unwrap().within = crate::api::Duration::from_millis(1);
        });
        assert!(long.contains("says something else of restart"), "{long}");
        let job = wrong(|spec| {
            let clear = spec.action.restart.take().unwrap().clear;
            let (cron_job, revision) = ("mine".into(), String::new());
            spec.action.job = Some(crate::api::JobAction { cron_job, revision, within: clear, clear });
        });
        assert!(job.contains("has no job"), "{job}");
    }
}
