//! Job: runs a suspended `CronJob` of the namespace once, as `kubectl create job --from` does. What it does is for its
//! owner to say; Mainstay names it, tells it which pod it is about, and looks how it ends.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::{Map, Value, json};

use super::{Outcome, Verb, read::ReadError};
use crate::{
    controller::clients::{CallError, DEADLINE, deadline},
    plan::CronJobFacts,
};

/// Annotations on the job and on its pods, which may read them through the downward API.
const REMEDIATION: &str = "mainstay.dev/remediation";
const TARGET: &str = "mainstay.dev/target";
const SLOT: &str = "mainstay.dev/slot";
/// More jobs in one namespace are not looked through: nothing is known then.
const MOST: u32 = 500;

/// Which job, and on which behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOrder {
    /// Its namespace.
    pub namespace: String,
    /// The `CronJob` whose template is run.
    pub cron_job: String,
    /// Uid and generation of that, as it was when this was decided.
    pub revision: String,
    /// Name of the job: that of the remediation, so that it is created once however often it is asked for.
    pub name: String,
    /// Uid of the remediation.
    pub remediation: String,
    /// Name of the pod that it is about.
    pub target: String,
    /// The place that the pod fills.
    pub slot: String,
    /// It is over after so long (milliseconds), or is ended: nobody waits for it any longer than that.
    pub within: u64,
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

/// Whether a `CronJob` is one that we may run now; a job of `own`, a remediation (uid), does not stand in its own way.
pub(super) async fn read_cron_job(
    actuator: &Client,
    namespace: &str,
    name: &str,
    own: &str,
) -> Result<CronJobFacts, ReadError> {
    let found = match get(actuator, namespace, name).await {
        Ok(found) => found,
        Err(error) if is_forbidden(&error) => return Ok(CronJobFacts::Forbidden),
        Err(error) if Outcome::of(Verb::Read, &error) == Outcome::Gone => return Ok(CronJobFacts::Absent),
        Err(error) => return Err(ReadError::of("CronJob", &error)),
    };
    if found.data["spec"]["suspend"] != json!(true) {
        return Ok(CronJobFacts::RunsByItself);
    }
    // Its status knows those alone that it has made itself, and a suspended one makes none.
    let jobs: Api<Job> = Api::namespaced(actuator.clone(), namespace);
    let jobs = match deadline(DEADLINE, jobs.list(&ListParams::default().limit(MOST))).await {
        Ok(jobs) if jobs.metadata.continue_.as_deref().is_none_or(str::is_empty) => jobs.items,
        Ok(_) => return Ok(CronJobFacts::Busy),
        Err(error) if is_forbidden(&error) => return Ok(CronJobFacts::Forbidden),
        Err(error) => return Err(ReadError::of("Jobs", &error)),
    };
    let uid = found.metadata.uid.as_deref();
    let mut its = jobs
        .iter()
        .filter(|job| job.metadata.owner_references.iter().flatten().any(|owner| Some(owner.uid.as_str()) == uid));
    if its.any(|job| !is_of(job, own) && state_of(job) == JobState::Running) {
        return Ok(CronJobFacts::Busy);
    }
    Ok(CronJobFacts::Ready(revision(&found)))
}

/// Creates the job, once: one of the same name and for the same remediation is that very job.
pub async fn run_job(actuator: &Client, order: &JobOrder) -> Outcome {
    let template = match get(actuator, &order.namespace, &order.cron_job).await {
        Ok(found) => found,
        // Nothing was asked for yet, whatever the answer was.
        Err(error) => {
            return match Outcome::of(Verb::Read, &error) {
                Outcome::Gone => Outcome::Refused(format!("there is no CronJob {} any more", order.cron_job)),
                Outcome::Unknown(why) => Outcome::Moved(why),
                outcome => outcome,
            };
        }
    };
    if revision(&template) != order.revision || template.data["spec"]["suspend"] != json!(true) {
        return Outcome::Refused(format!("CronJob {} has changed since this was decided", order.cron_job));
    }
    let jobs: Api<Job> = Api::namespaced(actuator.clone(), &order.namespace);
    let raw: Api<DynamicObject> =
        Api::namespaced_with(actuator.clone(), &order.namespace, &ApiResource::erase::<Job>(&()));
    match deadline(DEADLINE, raw.create(&PostParams::default(), &made_of(&template, order))).await {
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
    match deadline(DEADLINE, jobs.get(name)).await {
        Ok(job) if is_of(&job, remediation) => Ok(state_of(&job)),
        Ok(_) => Ok(JobState::Absent),
        Err(error) if Outcome::of(Verb::Read, &error) == Outcome::Gone => Ok(JobState::Absent),
        Err(error) => Err(ReadError::of("Job", &error)),
    }
}

/// A `CronJob` as it was written: what this build knows nothing of stays in its template.
async fn get(actuator: &Client, namespace: &str, name: &str) -> Result<DynamicObject, CallError> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(actuator.clone(), namespace, &ApiResource::erase::<CronJob>(&()));
    deadline(DEADLINE, api.get(name)).await
}

fn is_forbidden(error: &CallError) -> bool {
    matches!(error, CallError::Kube(kube::Error::Api(status)) if status.code == 403)
}

/// Which version of what a person wrote.
fn revision(cron_job: &DynamicObject) -> String {
    let meta = &cron_job.metadata;
    format!("{}/{}", meta.uid.as_deref().unwrap_or_default(), meta.generation.unwrap_or_default())
}

fn made_of(cron_job: &DynamicObject, order: &JobOrder) -> DynamicObject {
    let template = &cron_job.data["spec"]["jobTemplate"];
    let about = json!({REMEDIATION: order.remediation, TARGET: order.target, SLOT: order.slot});
    let mut spec = template["spec"].clone();
    spec["template"]["metadata"]["annotations"] =
        merged(&template["spec"]["template"]["metadata"]["annotations"], &about);
    // A tenth of the time, or five seconds, is for its pods to end.
    let most = order.within / 1000;
    let most = most.saturating_sub((most / 10).max(5)).max(1);
    let written = spec["activeDeadlineSeconds"].as_u64().unwrap_or(most);
    spec["activeDeadlineSeconds"] = json!(written.min(most));
    let mut annotations = merged(&template["metadata"]["annotations"], &about);
    annotations["cronjob.kubernetes.io/instantiate"] = json!("manual");
    let owner = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "name": order.cron_job, "uid": cron_job.metadata.uid,
        // To block the owner's deletion as well would take a right on its finalizers.
        "controller": true,
    });
    let metadata = json!({
        "name": order.name, "namespace": order.namespace, "labels": template["metadata"]["labels"],
        "annotations": annotations, "ownerReferences": [owner],
    });
    let mut job = DynamicObject::new(&order.name, &ApiResource::erase::<Job>(&()));
    // Made of plain strings a moment ago; one that cannot be read is refused by the API server, which wants a name.
    job.metadata = serde_json::from_value(metadata).unwrap_or_default();
    job.data = json!({"spec": spec});
    job
}

fn merged(written: &Value, about: &Value) -> Value {
    let all = [written, about].into_iter().filter_map(Value::as_object).flatten();
    Value::Object(all.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}

fn is_of(job: &Job, remediation: &str) -> bool {
    let annotations = job.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(REMEDIATION)).is_some_and(|uid| uid == remediation)
}

fn state_of(job: &Job) -> JobState {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut holds = conditions.filter(|condition| condition.status == "True");
    match holds.find(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed")) {
        None => JobState::Running,
        Some(condition) if condition.type_ == "Complete" => JobState::Complete,
        Some(condition) => {
            let (reason, message) = (condition.reason.as_deref(), condition.message.as_deref());
            let (reason, message) = (reason.unwrap_or_default(), message.unwrap_or_default());
            let name = job.metadata.name.as_deref().unwrap_or_default();
            JobState::Failed(format!("Job {name} has failed: {reason}: {message}").chars().take(512).collect())
        }
    }
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
            revision: "c1/3".into(),
            target: "full-1".into(),
            slot: "full-1".into(),
            within: 600_000,
        }
    }

    fn cron_job(suspend: bool) -> Answer {
        Answer::json(
            200,
            json!({"apiVersion": "batch/v1", "kind": "CronJob",
                "metadata": {"name": "resync", "namespace": "cosmos", "uid": "c1", "generation": 3},
                "spec": {"schedule": "0 0 1 1 *", "suspend": suspend, "jobTemplate": {
                    "metadata": {"labels": {"team": "nodes"}},
                    "spec": {"backoffLimit": 1, "template": {"spec": {"containers": [], "ofTomorrow": 1}}}}}}),
        )
    }

    fn job(remediation: &str, conditions: &Value) -> Answer {
        Answer::json(
            200,
            json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": conditions},
                "metadata": {"name": "full-1-abc", "annotations": {REMEDIATION: remediation}}}),
        )
    }

    fn jobs(owner: &str, remediation: &str, conditions: &Value) -> Answer {
        let job = json!({"status": {"conditions": conditions}, "metadata": {"name": "j",
            "annotations": {REMEDIATION: remediation},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "resync", "uid": owner}]}});
        Answer::json(200, json!({"apiVersion": "batch/v1", "kind": "JobList", "metadata": {}, "items": [job]}))
    }

    #[tokio::test]
    async fn a_suspended_cron_job_none_of_whose_jobs_is_running_is_ready() {
        let ready = || Ready("c1/3".into());
        let (running, over) = (json!([]), json!([{"type": "Complete", "status": "True"}]));
        let table = [
            (vec![cron_job(true), jobs("c1", "r2", &over)], ready()),
            (vec![cron_job(true), jobs("c2", "r2", &running)], ready()),
            (vec![cron_job(true), jobs("c1", "r1", &running)], ready()),
            (vec![cron_job(true), jobs("c1", "r2", &running)], Busy),
            (vec![cron_job(false)], RunsByItself),
            (vec![Answer::status(404, "NotFound")], Absent),
            (vec![Answer::status(403, "Forbidden")], Forbidden),
            (vec![cron_job(true), Answer::status(403, "Forbidden")], Forbidden),
        ];
        for (answers, expected) in table {
            let (client, _) = Fake::answering(answers);
            assert_eq!(read_cron_job(&client, "cosmos", "resync", "r1").await, Ok(expected));
        }
        let (client, _) = Fake::answering([Answer::status(500, "InternalError")]);
        assert!(read_cron_job(&client, "cosmos", "resync", "r1").await.is_err());
    }

    #[tokio::test]
    async fn the_job_is_the_template_and_says_whom_it_is_about() {
        let (client, fake) = Fake::answering([cron_job(true), job("r1", &json!([]))]);
        assert_eq!(run_job(&client, &order()).await, Outcome::Done);
        let request = &fake.requests()[1];
        assert_eq!(request.line(), "POST /apis/batch/v1/namespaces/cosmos/jobs");
        let about = json!({REMEDIATION: "r1", TARGET: "full-1", SLOT: "full-1"});
        assert_eq!(request.body["spec"]["template"]["metadata"]["annotations"], about);
        assert_eq!(request.body["spec"]["backoffLimit"], 1);
        assert_eq!(request.body["spec"]["activeDeadlineSeconds"], 540, "it is over before anybody stops waiting");
        assert_eq!(request.body["spec"]["template"]["spec"]["ofTomorrow"], 1, "what we know nothing of stays");
        let metadata = &request.body["metadata"];
        assert_eq!(metadata["labels"], json!({"team": "nodes"}));
        assert_eq!(metadata["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
        let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "resync", "uid": "c1",
            "controller": true}]);
        assert_eq!(metadata["ownerReferences"], owner);
    }

    #[tokio::test]
    async fn one_that_has_changed_since_is_not_run() {
        let (client, fake) = Fake::answering([cron_job(true), cron_job(false)]);
        let other = JobOrder { revision: "c1/2".into(), ..order() };
        assert_eq!(run_job(&client, &other).await.label(), "refused");
        assert_eq!(run_job(&client, &order()).await.label(), "refused", "it runs by itself by now");
        assert_eq!(fake.requests().len(), 2);
    }

    #[tokio::test]
    async fn it_is_created_once_however_often_it_is_asked_for() {
        let again = |remediation: &str| {
            [cron_job(true), Answer::status(409, "AlreadyExists"), job(remediation, &json!([]))]
        };
        let (client, _) = Fake::answering(again("r1"));
        assert_eq!(run_job(&client, &order()).await, Outcome::Done);
        let (client, _) = Fake::answering(again("r2"));
        assert_eq!(run_job(&client, &order()).await.label(), "refused");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unclear_answer_is_told_as_one() {
        let table = [
            (vec![Answer::status(404, "NotFound")], "refused"),
            // Nothing was asked for yet.
            (vec![Answer::Reset], "moved"),
            (vec![cron_job(true), Answer::Reset], "unknown"),
            (vec![cron_job(true), Answer::status(403, "Forbidden")], "refused"),
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
