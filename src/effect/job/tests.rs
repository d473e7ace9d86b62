//! What is asked of the API server, and what becomes of its answers.

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
        revision: "c1/3".into(),
        purpose: Purpose::Remediation { uid: "r1".into(), target: "full-1".into(), slot: "full-1".into() },
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
    let again =
        |remediation: &str| [cron_job(true), Answer::status(409, "AlreadyExists"), job(remediation, &json!([]))];
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

#[tokio::test]
async fn a_hand_over_is_told_to_every_container_and_its_job_is_kept() {
    let mut written = cron_job(true);
    let Answer::Whole(_, text) = &mut written else { panic!("no answer") };
    let mut object: Value = serde_json::from_str(text).unwrap();
    let spec = &mut object["spec"]["jobTemplate"]["spec"];
    spec["ttlSecondsAfterFinished"] = json!(0);
    spec["template"]["spec"]["containers"] = json!([{"name": "it", "env": [
        {"name": "A", "value": "b"}, {"name": "MAINSTAY_PHASE", "value": "none"}]}]);
    *text = object.to_string();
    let env = vec![("MAINSTAY_PHASE", "revoke".to_owned()), ("MAINSTAY_FROM", "a".to_owned())];
    let order = JobOrder { purpose: Purpose::Handover { mark: "hub.k/3/7/revoke".into(), env }, ..order() };
    let (client, fake) = Fake::answering([written, job("r1", &json!([]))]);
    assert_eq!(run_job(&client, &order).await, Outcome::Done);
    let body = &fake.requests()[1].body;
    assert_eq!(body["metadata"]["annotations"][HANDOVER], "hub.k/3/7/revoke");
    assert_eq!(body["spec"]["ttlSecondsAfterFinished"], Value::Null);
    let told = json!([{"name": "A", "value": "b"}, {"name": "MAINSTAY_PHASE", "value": "revoke"},
        {"name": "MAINSTAY_FROM", "value": "a"}]);
    assert_eq!(body["spec"]["template"]["spec"]["containers"][0]["env"], told);
}
