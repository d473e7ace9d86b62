//! What proves that a launcher has ended and what does not, by the whole operator at a real API server, without any machine.

use std::time::{Duration, Instant};

use mainstay::{
    api::SigningIdentityStatus,
    failover::{
        Boot, Held, Phase, Pod, Proof, Record,
        gate::{Launcher, Me},
        latch::LATCH,
        off::OUT_OF_SERVICE,
    },
    gate::registry::Identity,
};
use serde_json::{Value, json};

use crate::{
    apiserver::Operator,
    launchers::turn,
    render::manifests,
    stage::{JSON, KEY, MERGE, NAMESPACE, Stage, create, get, send},
};

const SOON: Duration = Duration::from_secs(120);
const GROUP: &str = "/apis/mainstay.dev/v1alpha1/namespaces/validator/failovergroups/val";
const POLICY: &str = "/apis/mainstay.dev/v1alpha1/namespaces/validator/nodehealthpolicies/val";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
/// Of the shortest hold: nothing is proven before.
const WAIT: Duration = Duration::from_millis(25_400);

struct Launched {
    stage: Stage,
    pods: [Pod; 2],
    _operator: Operator,
}

fn path_of(member: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods/val-{member}-0")
}

fn node_of(member: &str) -> String {
    format!("/api/v1/nodes/node-of-{member}")
}

/// The example's pod with a launcher in the place of its gate.
fn launched(pod: &mut Value) {
    pod["metadata"]["finalizers"] = json!([LATCH]);
    pod["spec"]["initContainers"].as_array_mut().unwrap().retain(|one| one["name"] != "gate");
    let signer = &mut pod["spec"]["containers"][0];
    signer["command"] = json!(["mainstay", "gate", "--identity", KEY, "--member", "x", "--grace", "20", "--"]);
    signer["args"] = json!(["signer", "run"]);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(60);
}

impl Launched {
    /// The first of two members holds the place, and its process has claimed it.
    async fn new() -> Self {
        let stage = Stage::new().await;
        stage.grant().await;
        let admin = &stage.server.client;
        for object in manifests(&json!({"failover": {"enabled": true}})) {
            let name = object["metadata"]["name"].as_str().unwrap();
            if object["kind"].as_str().unwrap().starts_with("ValidatingAdmission") && name.ends_with("-rotation") {
                create(admin, &object).await;
            }
        }
        send(admin, "DELETE", POLICY, JSON, &json!({})).await.unwrap();
        let way = json!({"spec": {"automatic": true, "handover": {"gate": null, "launcher": {"hold": "20s"}}}});
        send(admin, "PATCH", GROUP, MERGE, &way).await.unwrap();
        for member in ["a", "b"] {
            Self::make_node(&stage, member).await;
        }
        // Which of two came first is told in whole seconds.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let pods = [stage.start_with("a", launched).await, stage.start_with("b", launched).await];
        for member in ["a", "b"] {
            let running = json!({"status": {"phase": "Running"}});
            send(admin, "PATCH", &format!("{}/status", path_of(member)), MERGE, &running).await.unwrap();
        }
        let operator = stage.server.operator_of_groups("one");
        let _init = stage.server.mainstay(&["init", "val", "-n", NAMESPACE, "--assert", "made today"]).spawn();
        let this = Self { stage, pods, _operator: operator };
        this.claims("a", 1).await;
        this
    }

    async fn make_node(stage: &Stage, member: &str) {
        let admin = &stage.server.client;
        let name = format!("node-of-{member}");
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        create(admin, &node).await;
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": name, "renewTime": "2026-01-01T00:00:00.000000Z"}});
        send(admin, "POST", LEASES, JSON, &lease).await.unwrap();
        let lost = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
        send(admin, "PATCH", &format!("{}/status", node_of(member)), MERGE, &lost).await.unwrap();
    }

    async fn patch(&self, path: &str, change: &Value) {
        send(&self.stage.server.client, "PATCH", path, MERGE, change).await.unwrap();
    }

    /// Whatever runs on its machine.
    async fn delete(&self, path: &str) {
        send(&self.stage.server.client, "DELETE", path, JSON, &json!({"gracePeriodSeconds": 0})).await.unwrap();
    }

    async fn renew(&self, member: &str, at: &str) {
        self.patch(&format!("{LEASES}/node-of-{member}"), &json!({"spec": {"renewTime": at}})).await;
    }

    async fn taint(&self, member: &str, is: bool) {
        let taints = if is { json!([{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]) } else { json!([]) };
        self.patch(&node_of(member), &json!({"spec": {"taints": taints}})).await;
    }

    /// Its kubelet says that all of it has ended, and lives.
    async fn ended(&self, member: &str) {
        let pod = get(&self.stage.server.client, &path_of(member)).await.unwrap();
        let end = json!({"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:10Z"});
        let of = |list: &str| -> Vec<Value> {
            let all = pod["spec"][list].as_array().cloned().unwrap_or_default();
            let one = |container: Value| {
                json!({"name": container["name"], "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": end}})
            };
            all.into_iter().map(one).collect()
        };
        let status = json!({"status": {"phase": "Failed", "containerStatuses": of("containers"),
            "initContainerStatuses": of("initContainers")}});
        self.patch(&format!("{}/status", path_of(member)), &status).await;
        self.renew(member, "2026-01-01T00:00:20.000000Z").await;
    }

    async fn record(&self) -> Option<Record> {
        let status = self.stage.identity().await["status"].clone();
        let status: Option<SigningIdentityStatus> = serde_json::from_value(status).unwrap();
        status.map(|status| Record::try_from(&status).unwrap())
    }

    async fn until<T>(&self, what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found().await {
                return found;
            }
            let record = self.record().await;
            assert!(begun.elapsed() < SOON, "no {what}: {record:?}\n{}", self.stage.server.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A process of a member's pod claims the place in an epoch.
    async fn claims(&self, member: &str, epoch: u64) {
        let pod = self.pods.iter().find(|pod| pod.member == member).unwrap();
        self.until(&format!("{member} in epoch {epoch}"), async || {
            let record = self.record().await?;
            let named = matches!(&record.phase, Phase::Active(holder) if holder.pod.uid == pod.uid);
            (named && record.tenure.epoch.0 == epoch).then_some(())
        })
        .await;
        let mut process = Launcher::new(Me { pod: pod.clone().into(), boot: Boot(7) }, Held::Command);
        let identity = Identity::new(self.stage.client_of(pod).await, KEY);
        // The operator may write in between.
        self.until("claim", async || turn(&mut process, &identity).await.ok().flatten().map(|_| ())).await;
    }

    async fn revoked(&self) -> Instant {
        self.until("revocation", async || {
            self.record().await.filter(|of| matches!(of.phase, Phase::Revoking { .. })).map(|_| ())
        })
        .await;
        Instant::now()
    }

    /// Waits until a condition of the group has this status and reason, and a message with these words.
    async fn says(&self, condition: &str, wanted: &str, words: &str) {
        self.until(&format!("{condition} {wanted} {words}"), async || {
            let group = get(&self.stage.server.client, GROUP).await.unwrap();
            let all = group["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let found = all.into_iter().find(|of| of["type"] == condition)?;
            let text = |field: &str| found[field].as_str().unwrap_or_default();
            let same = format!("{} {}", text("status"), text("reason")) == wanted;
            (same && text("message").contains(words)).then_some(())
        })
        .await;
    }

    async fn is_gone(&self, member: &str) {
        self.until(&format!("end of {member}'s pod"), async || {
            get(&self.stage.server.client, &path_of(member)).await.err().map(|_| ())
        })
        .await;
    }

    /// For long enough that a look would have changed it.
    async fn stays_in(&self, epoch: u64) {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(self.record().await.unwrap().tenure.epoch.0, epoch);
    }
}

// W07, and a platform that says that a machine is off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_taint_on_a_silent_node_is_proof_and_a_node_that_is_gone_is_none() {
    let group = Launched::new().await;
    group.delete(&path_of("a")).await;
    group.revoked().await;
    group.says("Ready", "False Proof", "nobody says that node node-of-a is off").await;
    // The machine comes back under its taint: what is said of it counts for nothing any more.
    group.taint("a", true).await;
    group.says("Ready", "False Proof", "not been silent under its taint").await;
    group.renew("a", "2026-01-01T00:00:01.000000Z").await;
    group.says("Ready", "False Proof", "may be an old one").await;
    tokio::time::sleep(WAIT).await;
    group.says("Blocked", "True Proof", "").await;
    group.stays_in(1).await;

    group.taint("a", false).await;
    group.says("Ready", "False Proof", "nobody says that node node-of-a is off").await;
    let begun = Instant::now();
    group.taint("a", true).await;
    let proof = group
        .until("proof", async || match group.record().await?.phase {
            Phase::Fenced(proof) => Some(proof),
            Phase::Active(holder) if holder.pod.member == "b" => {
                Some(Proof::NodeOff(group.pods[0].clone().into()))
            }
            Phase::Active(_) | Phase::Revoking { .. } => None,
        })
        .await;
    assert_eq!(proof, Proof::NodeOff(group.pods[0].clone().into()));
    assert!(begun.elapsed() + Duration::from_millis(200) > WAIT, "{:?}", begun.elapsed());
    println!("off: {:?} from the taint to the proof", begun.elapsed());
    assert!(group.stage.server.log().contains("NodeOff"), "by this proof and no other");
    group.claims("b", 2).await;
    group.is_gone("a").await;

    // W07.
    group.delete(&path_of("b")).await;
    group.revoked().await;
    group.taint("b", true).await;
    group.delete(&node_of("b")).await;
    group.says("Ready", "False Proof", "node node-of-b is gone, which proves nothing").await;
    tokio::time::sleep(WAIT).await;
    // Made anew under the same name, and said to be off.
    send(&group.stage.server.client, "DELETE", &format!("{LEASES}/node-of-b"), JSON, &json!({})).await.unwrap();
    Launched::make_node(&group.stage, "b").await;
    group.taint("b", true).await;
    group.says("Ready", "False Proof", "node node-of-b is younger than the pod").await;
    group.says("Blocked", "True Proof", "").await;
    group.stays_in(2).await;
}

// W06.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_finalizer_that_somebody_takes_away_is_told_and_proves_nothing() {
    let group = Launched::new().await;
    group.says("Unlatched", "False Latched", "").await;
    group.patch(&path_of("a"), &json!({"metadata": {"finalizers": null}})).await;
    group.says("Unlatched", "True FinalizerGone", "mainstay.dev/signer").await;
    group.patch(&path_of("a"), &json!({"metadata": {"finalizers": [LATCH]}})).await;
    group.says("Unlatched", "False Latched", "").await;

    group.patch(&path_of("a"), &json!({"metadata": {"finalizers": null}})).await;
    group.delete(&path_of("a")).await;
    group.is_gone("a").await;
    group.revoked().await;
    group.says("Blocked", "True Proof", "mainstay release").await;
    group.says("Ready", "False Proof", "its pod is gone").await;
    // Not even the word of the platform helps: nobody knows any more which machine it was.
    group.taint("a", true).await;
    tokio::time::sleep(WAIT).await;
    group.stays_in(1).await;
}

// W08.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn in_a_namespace_that_is_deleted_nobody_goes_on() {
    let group = Launched::new().await;
    send(&group.stage.server.client, "DELETE", &format!("/api/v1/namespaces/{NAMESPACE}"), JSON, &json!({}))
        .await
        .unwrap();
    group.delete(&path_of("a")).await;
    group.says("Blocked", "True Proof", "").await;
    group.says("Ready", "False Proof", "its pod has not ended").await;
    group.ended("a").await;
    group.is_gone("a").await;
    group.says("Ready", "False Leaving", "is being deleted").await;
    group.stays_in(1).await;
    let record = group.record().await.unwrap();
    assert_eq!(record.phase, Phase::Fenced(Proof::KubeletConfirmed(group.pods[0].clone().into())));
    // A standby's pod is no evidence.
    group.delete(&path_of("b")).await;
    group.is_gone("b").await;
}

// W08: the group is the first to go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn what_a_deleted_group_leaves_is_cleared_up() {
    let group = Launched::new().await;
    send(&group.stage.server.client, "DELETE", &format!("/api/v1/namespaces/{NAMESPACE}"), JSON, &json!({}))
        .await
        .unwrap();
    group.delete(GROUP).await;
    // Its signer goes on while its pod does.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(matches!(group.record().await.unwrap().phase, Phase::Active(_)));
    for member in ["a", "b"] {
        group.delete(&path_of(member)).await;
    }
    group.is_gone("b").await;
    let begun = group.revoked().await;
    group
        .until("call for a person", async || {
            let blocked = |of: &Record| matches!(of.phase, Phase::Revoking { blocked: Some(_), .. });
            group.record().await.filter(blocked).map(|_| ())
        })
        .await;
    assert!(begun.elapsed() + Duration::from_secs(1) > WAIT);
    assert!(get(&group.stage.server.client, &path_of("a")).await.is_ok(), "it is evidence");
    group.ended("a").await;
    group.is_gone("a").await;
    let record = group.record().await.unwrap();
    assert_eq!(record.phase, Phase::Fenced(Proof::KubeletConfirmed(group.pods[0].clone().into())));
}

/// A process that follows one that ended without a seal does not stay up. And the group hands over in another way by then: what is no
/// evidence may go all the same, and what is stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS: a directory with etcd and kube-apiserver; and helm"]
async fn a_launcher_that_does_not_stay_up_is_told_and_goes_in_whatever_way_the_group_hands_over() {
    let group = Launched::new().await;
    group.says("Ready", "True Held", "").await;
    let waits = json!({"status": {"containerStatuses": [{"name": "node", "image": "i", "imageID": "", "ready": false,
        "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
    group.patch(&format!("{}/status", path_of("a")), &waits).await;
    group.says("Ready", "False NotUp", "CrashLoopBackOff").await;

    group.patch(GROUP, &json!({"spec": {"handover": {"launcher": null, "gate": {}}}})).await;
    group.delete(&path_of("b")).await;
    group.is_gone("b").await;
    group.delete(&path_of("a")).await;
    group.revoked().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(get(&group.stage.server.client, &path_of("a")).await.is_ok(), "it is evidence");
    group.ended("a").await;
    group.is_gone("a").await;
    let record = group.record().await.unwrap();
    assert_eq!(record.phase, Phase::Fenced(Proof::KubeletConfirmed(group.pods[0].clone().into())));
}
