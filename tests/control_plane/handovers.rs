//! Hand-overs in which no process of ours signs, by the whole operator at a real API server: the endpoint of a remote signer
//! moves, and the owner's own job is run.

use std::{
    process::Child,
    time::{Duration, Instant},
};

use mainstay::{
    api::SigningIdentityStatus,
    failover::{Phase, Record},
};
use serde_json::{Value, json};

use crate::{
    apiserver::Operator,
    render::manifests,
    stage::{JSON, MERGE, NAMESPACE, Stage, create, get, send, set, try_to},
};

const SOON: Duration = Duration::from_secs(120);
const GROUP: &str = "/apis/mainstay.dev/v1alpha1/namespaces/validator/failovergroups/val";
const POLICY: &str = "/apis/mainstay.dev/v1alpha1/namespaces/validator/nodehealthpolicies/val";
const JOBS: &str = "/apis/batch/v1/namespaces/validator/jobs";
const SIGNING: &str = "mainstay.dev/signing";

struct Handover {
    stage: Stage,
    _operator: Operator,
}

/// Waits until something is found.
async fn until<T>(what: &str, stage: &Stage, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(begun.elapsed() < SOON, "no {what}\n{}", stage.server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn pod_path(member: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods/val-{member}-0")
}

impl Handover {
    /// Two members whose place changes hands so, and an operator with the chart's rights.
    async fn new(handover: &Value, objects: &[Value]) -> Self {
        let stage = Stage::new().await;
        stage.grant().await;
        let admin = &stage.server.client;
        for object in manifests(&json!({"failover": {"enabled": true}, "jobs": {"enabled": true}})) {
            let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
            let ours = ["-rotation", "-jobs", "-handover", "-endpoints"].iter().any(|end| name.ends_with(end));
            if kind.starts_with("ValidatingAdmission") && ours {
                create(admin, &object).await;
            } else if kind == "ClusterRole" && object["metadata"]["annotations"]["helm.sh/hook"].is_null() {
                let path = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}");
                send(admin, "PATCH", &path, MERGE, &json!({"rules": object["rules"]})).await.unwrap();
            }
        }
        for object in objects {
            create(admin, object).await;
        }
        // Nobody can be asked how the nodes are: what no policy knows does not matter.
        send(admin, "DELETE", POLICY, JSON, &json!({})).await.unwrap();
        let mut change = handover.clone();
        change["gate"] = Value::Null;
        send(admin, "PATCH", GROUP, MERGE, &json!({"spec": {"automatic": true, "handover": change}}))
            .await
            .unwrap();
        let operator = stage.server.operator_of_groups("one");
        let this = Self { stage, _operator: operator };
        for member in ["a", "b"] {
            this.start(member).await;
        }
        this
    }

    async fn start(&self, member: &str) -> String {
        let pod = self.stage.start(member).await;
        let status = json!({"status": {"phase": "Running"}});
        self.patch(&format!("{}/status", pod_path(member)), &status).await;
        pod.uid
    }

    async fn patch(&self, path: &str, change: &Value) {
        send(&self.stage.server.client, "PATCH", path, MERGE, change).await.unwrap();
    }

    /// Gives an order as an administrator, and does not wait for its end.
    fn order(&self, arguments: &[&str]) -> Child {
        let all = [arguments, &["val", "-n", NAMESPACE]].concat();
        self.stage.server.mainstay(&all).spawn().unwrap()
    }

    fn init(&self) -> Child {
        self.order(&["init", "--assert", "the key was made today"])
    }

    async fn record(&self) -> Option<Record> {
        let status = self.stage.identity().await["status"].clone();
        let status: Option<SigningIdentityStatus> = serde_json::from_value(status).unwrap();
        status.map(|status| Record::try_from(&status).unwrap())
    }

    /// Waits until a member is at work in an epoch.
    async fn works(&self, member: &str, epoch: u64) -> Record {
        until(&format!("{member} in epoch {epoch}"), &self.stage, async || {
            self.record().await.filter(|record| {
                let here = matches!(&record.phase, Phase::Active(holder) if holder.pod.member == member && holder.boot.is_some());
                here && record.tenure.epoch.0 == epoch
            })
        })
        .await
    }

    /// Waits until the group says something.
    async fn says(&self, words: &str) {
        until(words, &self.stage, async || {
            let group = get(&self.stage.server.client, GROUP).await.unwrap();
            group["status"]["conditions"].to_string().contains(words).then_some(())
        })
        .await;
    }

    /// What the label on a member's pod says, and the version of that pod.
    async fn label(&self, member: &str) -> (String, u64) {
        let pod = get(&self.stage.server.client, &pod_path(member)).await.unwrap();
        let says = pod["metadata"]["labels"][SIGNING].as_str().unwrap_or_default().to_owned();
        (says, pod["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn the_endpoint_is_taken_from_one_before_the_other_gets_it() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "signer", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "val"}, "ports": [{"port": 1234}]}});
    let group = Handover::new(&json!({"label": {"service": "signer"}}), &[service]).await;
    group.init().wait().unwrap();
    group.says("leads to every member: write mainstay.dev/signing").await;
    assert_eq!((group.label("a").await.0, group.label("b").await.0), (String::new(), String::new()));

    let path = format!("/api/v1/namespaces/{NAMESPACE}/services/signer");
    group.patch(&path, &json!({"spec": {"selector": {SIGNING: "true"}}})).await;
    let first = group.works("a", 1).await;
    assert_eq!((first.claims, group.label("a").await.0.as_str()), (1, "true"));
    assert_ne!(group.label("b").await.0, "true");
    // Somebody gives it to another: that lasts for a moment.
    group.patch(&pod_path("b"), &json!({"metadata": {"labels": {SIGNING: "true"}}})).await;
    until("correction", &group.stage, async || (group.label("b").await.0 == "false").then_some(())).await;

    assert!(group.order(&["failover", "--to", "b"]).wait().unwrap().success(), "{}", group.stage.server.log());
    group.works("b", 2).await;
    let (from, to) = (group.label("a").await, group.label("b").await);
    assert_eq!((from.0.as_str(), to.0.as_str()), ("false", "true"));
    assert!(from.1 < to.1, "it was taken before it was given: {from:?} {to:?}");

    // A twin of the holder's pod is another pod.
    let now = json!({"gracePeriodSeconds": 0});
    send(&group.stage.server.client, "DELETE", &pod_path("b"), JSON, &now).await.unwrap();
    let uid = group.start("b").await;
    let third = until("another epoch", &group.stage, async || {
        group.record().await.filter(|record| record.tenure.epoch.0 == 3 && record.claims == 1)
    })
    .await;
    let (holder, label) = (&third.holder().unwrap().pod, group.label(&third.holder().unwrap().pod.member).await.0);
    assert!(holder.member != "b" || holder.uid == uid, "{holder:?}");
    assert_eq!(label, "true");

    // Another way begins with a person's word.
    group.patch(GROUP, &json!({"spec": {"handover": {"label": null, "gate": {}}}})).await;
    let _order = Reaped(group.order(&["failover"]));
    group.says("ended another way than handover says").await;
    held_to_the_label(&group).await;
}

/// What admission control lets Mainstay's own account do with pods, and people with templates.
async fn held_to_the_label(group: &Handover) {
    let (own, admin) = (group.stage.server.own_account(), &group.stage.server.client);
    let change = async |labels: Value| {
        let path = format!("{}?dryRun=All", pod_path("a"));
        send(&own, "PATCH", &path, MERGE, &json!({"metadata": {"labels": labels}})).await
    };
    change(json!({SIGNING: "true"})).await.unwrap();
    for labels in [json!({SIGNING: "yes"}), json!({"app": "x"}), json!({SIGNING: "true", "other": "x"})] {
        let error = change(labels.clone()).await.expect_err("refused");
        assert!(
            error.contains("nothing of a pod but its label mainstay.dev/in-rotation and mainstay.dev/signing"),
            "{labels}: {error}"
        );
    }
    let mut template = set("a");
    template["metadata"]["name"] = json!("val-c");
    try_to(admin, &template).await.unwrap();
    template["spec"]["template"]["metadata"]["labels"][SIGNING] = json!("true");
    let error = try_to(admin, &template).await.expect_err("refused");
    assert!(error.contains("take it out of the pod template"), "{error}");
}

/// A command that nobody waits for.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a job is told.
fn told(job: &Value, name: &str) -> String {
    let env = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let found = env.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("{name}: {job}"));
    found["value"].as_str().unwrap_or_default().to_owned()
}

impl Handover {
    /// Waits for the job of a phase of an epoch.
    async fn job(&self, phase: &str, epoch: u64) -> Value {
        until(&format!("job {phase} {epoch}"), &self.stage, async || {
            let jobs = get(&self.stage.server.client, JOBS).await.unwrap();
            let mut jobs = jobs["items"].as_array().unwrap().iter();
            let is_it = |job: &&Value| {
                told(job, "MAINSTAY_PHASE") == phase && told(job, "MAINSTAY_EPOCH") == epoch.to_string()
            };
            jobs.find(is_it).cloned()
        })
        .await
    }

    /// As the controller of jobs, of which there is none here, would say it.
    async fn ends(&self, job: &Value, well: bool) {
        let now = "2026-01-01T00:00:00Z";
        let kinds = if well { ["SuccessCriteriaMet", "Complete"] } else { ["FailureTarget", "Failed"] };
        let conditions = kinds.map(|kind| {
            json!({"type": kind, "status": "True", "reason": "Test", "message": "as the test wants it",
                "lastProbeTime": now, "lastTransitionTime": now})
        });
        let mut status = json!({"startTime": now, "conditions": conditions});
        if well {
            status["completionTime"] = json!(now);
            status["succeeded"] = json!(1);
        }
        let path = format!("{JOBS}/{}/status", job["metadata"]["name"].as_str().unwrap());
        self.patch(&path, &json!({"status": status})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn the_owner_s_job_ends_one_epoch_and_begins_the_next() {
    let cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "handover", "namespace": NAMESPACE},
        "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "it", "image": "handover"}]}}}}}});
    let group = Handover::new(&json!({"job": {"cronJob": "handover", "within": "2m"}}), &[cron_job]).await;
    let mut init = group.init();
    let job = group.job("activate", 1).await;
    assert_eq!((told(&job, "MAINSTAY_FROM"), told(&job, "MAINSTAY_TO")), (String::new(), "a".into()));
    assert_eq!(told(&job, "MAINSTAY_IDENTITY"), crate::stage::KEY);
    assert!(group.record().await.unwrap().claims == 0, "nobody is at work before the job says so");
    group.ends(&job, true).await;
    group.works("a", 1).await;
    init.wait().unwrap();

    // It fails: a person is called, and nobody goes on before that person says so.
    let mut order = group.order(&["failover", "--to", "b"]);
    let job = group.job("revoke", 1).await;
    assert_eq!((told(&job, "MAINSTAY_FROM"), told(&job, "MAINSTAY_TO")), ("a".into(), "b".into()));
    assert!(job["spec"]["activeDeadlineSeconds"].as_u64().unwrap() < 120);
    group.ends(&job, false).await;
    group.says("as the test wants it").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let record = group.record().await.unwrap();
    assert!(matches!(record.phase, Phase::Revoking { blocked: Some(_), .. }), "{:?}", record.phase);
    let uid = record.holder().unwrap().pod.uid.clone();
    assert!(!uid.is_empty());
    let released = group.order(&["release", "--pod", &uid, "--assert", "I have looked"]).wait().unwrap();
    assert!(released.success(), "{}", group.stage.server.log());
    let job = group.job("activate", 2).await;
    assert_eq!((told(&job, "MAINSTAY_FROM"), told(&job, "MAINSTAY_TO")), ("a".into(), "b".into()));
    group.ends(&job, true).await;
    group.works("b", 2).await;
    order.wait().unwrap();

    // It succeeds, which is the owner's word.
    let mut order = group.order(&["failover", "--to", "a"]);
    let job = group.job("revoke", 2).await;
    group.ends(&job, true).await;
    let job = group.job("activate", 3).await;
    group.ends(&job, true).await;
    let third = group.works("a", 3).await;
    assert!(order.wait().unwrap().success());
    assert_eq!(third.hand_over, mainstay::failover::HandOver::Job);
    let jobs = get(&group.stage.server.client, JOBS).await.unwrap();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 5, "each was run once");

    // Whoever may not create jobs has none created by a group.
    let account = group.stage.account("val-a", None).await;
    let rules = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "groups", "namespace": NAMESPACE},
        "rules": [{"apiGroups": ["mainstay.dev"], "resources": ["failovergroups"], "verbs": ["*"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "groups", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "groups"},
        "subjects": [{"kind": "ServiceAccount", "name": "val-a", "namespace": NAMESPACE}]});
    create(&group.stage.server.client, &rules).await;
    create(&group.stage.server.client, &binding).await;
    let change = json!({"spec": {"handover": {"job": {"cronJob": "other"}}}});
    let begun = Instant::now();
    let error = loop {
        let refused =
            send(&account, "PATCH", &format!("{GROUP}?dryRun=All"), MERGE, &change).await.expect_err("refused");
        if refused.contains("verb create on jobs") || begun.elapsed() > SOON {
            break refused;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(error.contains("or write another handover"), "{error}");
}
