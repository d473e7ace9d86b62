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
/// The same of a hand-over: the identity, the epoch and its activation, and the phase.
const HANDOVER: &str = "mainstay.dev/handover";
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
    /// Name of the job: made of what it is for, so that it is created once however often it is asked for.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// It is over after so long (milliseconds), or is ended: nobody waits for it any longer than that.
    pub within: u64,
}

/// What a job is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A step of a policy's ladder.
    Remediation {
        /// Its uid.
        uid: String,
        /// Name of the pod that it is about.
        target: String,
        /// The place that the pod fills.
        slot: String,
    },
    /// The place of a signer changes hands.
    Handover {
        /// Which identity, epoch, activation and phase.
        mark: String,
        /// What its containers are told.
        env: Vec<(&'static str, String)>,
    },
}

impl Purpose {
    /// By what its job is known again.
    fn mark(&self) -> &str {
        match self {
            Self::Remediation { uid, .. } => uid,
            Self::Handover { mark, .. } => mark,
        }
    }

    fn annotations(&self) -> Value {
        match self {
            Self::Remediation { uid, target, slot } => json!({REMEDIATION: uid, TARGET: target, SLOT: slot}),
            Self::Handover { mark, .. } => json!({HANDOVER: mark}),
        }
    }
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

/// Whether a `CronJob` is one that we may run now; a job of `own`, a purpose's mark, does not stand in its own way.
pub async fn read_cron_job(
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

/// Creates the job, once: one of the same name and for the same purpose is that very job.
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
                Ok(found) if is_of(&found, order.purpose.mark()) => Outcome::Done,
                Ok(_) => Outcome::Refused(format!("another Job {} is there already", order.name)),
                Err(error) => Outcome::of(Verb::Read, &error),
            }
        }
        Err(error) => Outcome::of(Verb::Write, &error),
    }
}

/// How far a job has come.
pub async fn read_job(actuator: &Client, namespace: &str, name: &str, mark: &str) -> Result<JobState, ReadError> {
    let jobs: Api<Job> = Api::namespaced(actuator.clone(), namespace);
    match deadline(DEADLINE, jobs.get(name)).await {
        Ok(job) if is_of(&job, mark) => Ok(state_of(&job)),
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
    let about = order.purpose.annotations();
    let mut spec = template["spec"].clone();
    spec["template"]["metadata"]["annotations"] =
        merged(&template["spec"]["template"]["metadata"]["annotations"], &about);
    // A tenth of the time, or five seconds, is for its pods to end.
    let most = order.within / 1000;
    let most = most.saturating_sub((most / 10).max(5)).max(1);
    let written = spec["activeDeadlineSeconds"].as_u64().unwrap_or(most);
    spec["activeDeadlineSeconds"] = json!(written.min(most));
    if let Purpose::Handover { env, .. } = &order.purpose {
        tell(&mut spec["template"]["spec"], env);
        // It is what the next step rests on: nobody clears it away by the clock.
        spec.as_object_mut().and_then(|spec| spec.remove("ttlSecondsAfterFinished"));
    }
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

/// Tells every container, in the place of what its owner may have written under the same names.
fn tell(pod: &mut Value, env: &[(&'static str, String)]) {
    for list in ["initContainers", "containers"] {
        for container in pod[list].as_array_mut().into_iter().flatten() {
            let written = container["env"].as_array().into_iter().flatten();
            let others = written.filter(|one| env.iter().all(|(name, _)| one["name"] != *name)).cloned();
            let ours = env.iter().map(|(name, value)| json!({"name": name, "value": value}));
            container["env"] = others.chain(ours).collect();
        }
    }
}

fn merged(written: &Value, about: &Value) -> Value {
    let all = [written, about].into_iter().filter_map(Value::as_object).flatten();
    Value::Object(all.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}

fn is_of(job: &Job, mark: &str) -> bool {
    let annotations = job.metadata.annotations.iter().flatten();
    annotations.filter(|(key, _)| [REMEDIATION, HANDOVER].contains(&key.as_str())).any(|(_, value)| value == mark)
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
mod tests;
