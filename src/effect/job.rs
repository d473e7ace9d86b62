//! Job: runs a suspended `CronJob` of the namespace once, as `kubectl create job --from` does. What it does is for its
//! owner to say; Mainstay names it, tells it which pod it is about, and looks how it ends.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::batch::v1::{CronJob, Job},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Api, Client, api::PostParams};

use super::{Outcome, Verb, read::ReadError};
use crate::{
    controller::clients::{CallError, DEADLINE, deadline},
    plan::CronJobFacts,
};

/// Annotations on the job and on its pods, which may read them through the downward API.
const REMEDIATION: &str = "mainstay.dev/remediation";
const TARGET: &str = "mainstay.dev/target";
const SLOT: &str = "mainstay.dev/slot";

/// Which job, and on which behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOrder {
    /// Its namespace.
    pub namespace: String,
    /// The `CronJob` whose template is run.
    pub cron_job: String,
    /// Name of the job: that of the remediation, so that it is created once however often it is asked for.
    pub name: String,
    /// Uid of the remediation.
    pub remediation: String,
    /// Name of the pod that it is about.
    pub target: String,
    /// The place that the pod fills.
    pub slot: String,
}

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// There is none of its name: it was never created, or was cleared away after its end.
    Absent,
    /// It is not over.
    Running,
    /// It has done its work.
    Complete,
    /// It has given up, and says why.
    Failed(String),
}

/// Whether a `CronJob` is one that we may run now.
pub(super) async fn read_cron_job(
    actuator: &Client,
    namespace: &str,
    name: &str,
) -> Result<CronJobFacts, ReadError> {
    let api: Api<CronJob> = Api::namespaced(actuator.clone(), namespace);
    let found = match deadline(DEADLINE, api.get(name)).await {
        Ok(found) => found,
        Err(CallError::Kube(kube::Error::Api(status))) if status.code == 403 => {
            return Ok(CronJobFacts::Forbidden);
        }
        Err(error) if Outcome::of(Verb::Read, &error) == Outcome::Gone => return Ok(CronJobFacts::Absent),
        Err(error) => return Err(ReadError::of("CronJob", &error)),
    };
    let suspended = found.spec.suspend == Some(true);
    let busy = found.status.is_some_and(|status| status.active.is_some_and(|active| !active.is_empty()));
    Ok(match (suspended, busy) {
        (false, _) => CronJobFacts::RunsByItself,
        (true, true) => CronJobFacts::Busy,
        (true, false) => CronJobFacts::Ready,
    })
}

/// Creates the job, once: one of the same name and for the same remediation is that very job.
pub async fn run_job(actuator: &Client, order: &JobOrder) -> Outcome {
    let cron_jobs: Api<CronJob> = Api::namespaced(actuator.clone(), &order.namespace);
    let jobs: Api<Job> = Api::namespaced(actuator.clone(), &order.namespace);
    let template = match deadline(DEADLINE, cron_jobs.get(&order.cron_job)).await {
        Ok(found) => found,
        // Nothing was asked for yet, whatever the answer was.
        Err(error) => {
            return match Outcome::of(Verb::Read, &error) {
                Outcome::Unknown(why) => Outcome::Moved(why),
                outcome => outcome,
            };
        }
    };
    let Some(job) = made_of(template, order) else {
        return Outcome::Refused(format!("CronJob {} has no template", order.cron_job));
    };
    match deadline(DEADLINE, jobs.create(&PostParams::default(), &job)).await {
        Ok(_) => Outcome::Done,
        Err(CallError::Kube(kube::Error::Api(status))) if status.is_already_exists() => {
            match deadline(DEADLINE, jobs.get(&order.name)).await {
                Ok(found) if is_of(&found, &order.remediation) => Outcome::Done,
                Ok(_) => Outcome::Refused(format!("another Job {} is there already", order.name)),
                Err(error) => Outcome::of(Verb::Read, &error),
            }
        }
        Err(error) => Outcome::of(Verb::Write, &error),
    }
}

/// How far a job has come.
pub async fn read_job(
    actuator: &Client,
    namespace: &str,
    name: &str,
    remediation: &str,
) -> Result<JobState, ReadError> {
    let jobs: Api<Job> = Api::namespaced(actuator.clone(), namespace);
    let job = match deadline(DEADLINE, jobs.get(name)).await {
        Ok(job) if is_of(&job, remediation) => job,
        Ok(_) => return Ok(JobState::Absent),
        Err(error) if Outcome::of(Verb::Read, &error) == Outcome::Gone => return Ok(JobState::Absent),
        Err(error) => return Err(ReadError::of("Job", &error)),
    };
    let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
    let mut holds = conditions.into_iter().filter(|condition| condition.status == "True");
    Ok(match holds.find(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed")) {
        None => JobState::Running,
        Some(condition) if condition.type_ == "Complete" => JobState::Complete,
        Some(condition) => {
            let (reason, message) = (condition.reason.unwrap_or_default(), condition.message.unwrap_or_default());
            JobState::Failed(format!("Job {name} has failed: {reason}: {message}").chars().take(512).collect())
        }
    })
}

fn made_of(cron_job: CronJob, order: &JobOrder) -> Option<Job> {
    let owner = OwnerReference {
        api_version: "batch/v1".into(),
        kind: "CronJob".into(),
        name: order.cron_job.clone(),
        uid: cron_job.metadata.uid.clone()?,
        controller: Some(true),
        // To block the owner's deletion would take a right on its finalizers.
        block_owner_deletion: None,
    };
    let template = cron_job.spec.job_template;
    let of_template = template.metadata.unwrap_or_default();
    let mut spec = template.spec?;
    let about = || {
        [(REMEDIATION, &order.remediation), (TARGET, &order.target), (SLOT, &order.slot)]
            .map(|(key, value)| (key.to_owned(), value.clone()))
    };
    let mut annotations: BTreeMap<String, String> = of_template.annotations.unwrap_or_default();
    annotations.extend(about());
    annotations.insert("cronjob.kubernetes.io/instantiate".into(), "manual".into());
    spec.template.metadata.get_or_insert_default().annotations.get_or_insert_default().extend(about());
    Some(Job {
        metadata: ObjectMeta {
            name: Some(order.name.clone()),
            namespace: Some(order.namespace.clone()),
            labels: of_template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    })
}

fn is_of(job: &Job, remediation: &str) -> bool {
    let annotations = job.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(REMEDIATION)).is_some_and(|uid| uid == remediation)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        CronJobFacts::{Absent, Busy, Forbidden, Ready, RunsByItself},
        *,
    };
    use crate::effect::fake::{Answer, Fake};

    fn order() -> JobOrder {
        JobOrder {
            namespace: "cosmos".into(),
            cron_job: "resync".into(),
            name: "full-1-abc".into(),
            remediation: "r1".into(),
            target: "full-1".into(),
            slot: "full-1".into(),
        }
    }

    fn cron_job(suspend: bool, active: &Value) -> Answer {
        Answer::json(
            200,
            json!({"apiVersion": "batch/v1", "kind": "CronJob",
                "metadata": {"name": "resync", "namespace": "cosmos", "uid": "c1"},
                "spec": {"schedule": "0 0 1 1 *", "suspend": suspend, "jobTemplate": {
                    "metadata": {"labels": {"team": "nodes"}},
                    "spec": {"backoffLimit": 1, "template": {"spec": {"containers": [], "restartPolicy": "Never"}}}}},
                "status": {"active": active}}),
        )
    }

    fn job(remediation: &str, conditions: &Value) -> Answer {
        Answer::json(
            200,
            json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": conditions},
                "metadata": {"name": "full-1-abc", "annotations": {REMEDIATION: remediation}}}),
        )
    }

    #[tokio::test]
    async fn a_suspended_cron_job_that_rests_is_ready() {
        let (client, _) = Fake::answering([
            cron_job(true, &json!([])),
            cron_job(false, &json!([])),
            cron_job(true, &json!([{"name": "by-hand"}])),
            Answer::status(404, "NotFound"),
            Answer::status(403, "Forbidden"),
        ]);
        for expected in [Ready, RunsByItself, Busy, Absent, Forbidden] {
            assert_eq!(read_cron_job(&client, "cosmos", "resync").await, Ok(expected));
        }
        let (client, _) = Fake::answering([Answer::status(500, "InternalError")]);
        assert!(read_cron_job(&client, "cosmos", "resync").await.is_err());
    }

    #[tokio::test]
    async fn the_job_is_the_template_and_says_whom_it_is_about() {
        let (client, fake) = Fake::answering([cron_job(true, &json!([])), job("r1", &json!([]))]);
        assert_eq!(run_job(&client, &order()).await, Outcome::Done);
        let request = &fake.requests()[1];
        assert_eq!(request.line(), "POST /apis/batch/v1/namespaces/cosmos/jobs");
        let about = json!({REMEDIATION: "r1", TARGET: "full-1", SLOT: "full-1"});
        assert_eq!(request.body["spec"]["template"]["metadata"]["annotations"], about);
        assert_eq!(request.body["spec"]["backoffLimit"], 1);
        let metadata = &request.body["metadata"];
        assert_eq!(metadata["labels"], json!({"team": "nodes"}));
        assert_eq!(metadata["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
        let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "resync", "uid": "c1",
            "controller": true}]);
        assert_eq!(metadata["ownerReferences"], owner);
    }

    #[tokio::test]
    async fn it_is_created_once_however_often_it_is_asked_for() {
        let again = |remediation: &str| {
            [cron_job(true, &json!([])), Answer::status(409, "AlreadyExists"), job(remediation, &json!([]))]
        };
        let (client, _) = Fake::answering(again("r1"));
        assert_eq!(run_job(&client, &order()).await, Outcome::Done);
        let (client, _) = Fake::answering(again("r2"));
        assert_eq!(run_job(&client, &order()).await.label(), "refused");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unclear_answer_is_told_as_one() {
        let table = [
            (vec![Answer::status(404, "NotFound")], "gone"),
            // Nothing was asked for yet.
            (vec![Answer::Reset], "moved"),
            (vec![cron_job(true, &json!([])), Answer::Reset], "unknown"),
            (vec![cron_job(true, &json!([])), Answer::status(403, "Forbidden")], "refused"),
        ];
        for (answers, label) in table {
            let (client, _) = Fake::answering(answers);
            assert_eq!(run_job(&client, &order()).await.label(), label);
        }
    }

    #[tokio::test]
    async fn a_job_is_read_to_its_end() {
        let failed = json!([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True",
            "reason": "BackoffLimitExceeded", "message": "too often"}]);
        let (client, _) = Fake::answering([
            job("r1", &json!([])),
            job("r1", &json!([{"type": "Complete", "status": "True"}])),
            job("r1", &failed),
            job("r2", &json!([])),
            Answer::status(404, "NotFound"),
        ]);
        let why = "Job full-1-abc has failed: BackoffLimitExceeded: too often".to_owned();
        let expected =
            [JobState::Running, JobState::Complete, JobState::Failed(why), JobState::Absent, JobState::Absent];
        for expected in expected {
            assert_eq!(read_job(&client, "cosmos", "full-1-abc", "r1").await, Ok(expected));
        }
    }
}
