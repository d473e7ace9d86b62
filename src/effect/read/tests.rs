use serde_json::{Value, json};

use super::*;
use crate::effect::fake::{Answer, Fake};

const NOW: Server = Server(1_793_527_260_000);

fn stop() -> StopRef {
    StopRef { namespace: "mainstay".into(), name: "mainstay-stop".into() }
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "cosmos", "name": "val-0", "uid": "u1", "resourceVersion": "41",
            "labels": {"controller-revision-hash": "val-a"},
            "ownerReferences": [{"kind": "StatefulSet", "name": "val", "uid": "s1", "controller": true}]},
        "spec": {"nodeName": "worker-1", "terminationGracePeriodSeconds": 60, "containers": []},
        "status": {"phase": "Running", "startTime": "2026-11-01T10:00:00Z"},
    })
}

fn set(spec: &Value, status: &Value) -> Value {
    let metadata = json!({"name": "val", "uid": "s1", "generation": 2});
    let mut set = json!({"metadata": metadata, "spec": {"selector": {}, "serviceName": "val", "template": {}},
        "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3,
            "currentRevision": "val-a", "updateRevision": "val-a"}});
    for (place, changes) in [("spec", spec), ("status", status)] {
        set[place].as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    }
    set
}

fn settled() -> Value {
    set(&json!({}), &json!({}))
}

fn node(unschedulable: bool, ready: &str) -> Value {
    json!({"metadata": {"name": "worker-1"}, "spec": {"unschedulable": unschedulable},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}})
}

fn map(annotations: &Value) -> Value {
    json!({"metadata": {"name": "mainstay-stop", "annotations": annotations}})
}

fn gone() -> Answer {
    Answer::status(404, "NotFound")
}

async fn read(answers: [Answer; 4]) -> Result<Live, ReadError> {
    let (client, _) = Fake::answering(answers);
    read_live(&client, "cosmos", "val-0", &stop(), NOW, Also::default(), &|_| false).await
}

async fn with_set(set: Value) -> WorkloadFacts {
    let answers = [pod(), set, node(false, "True"), map(&json!({}))].map(|body| Answer::json(200, body));
    read(answers).await.unwrap().workload
}

#[tokio::test]
async fn what_is_well_is_read_in_order_with_the_stop_last() {
    let answers = [pod(), settled(), node(false, "True"), map(&json!({}))].map(|body| Answer::json(200, body));
    let (client, fake) = Fake::answering(answers);
    let live = read_live(&client, "cosmos", "val-0", &stop(), NOW, Also::default(), &|pod| pod.name == "val-0")
        .await
        .unwrap();
    let pod = PodPresent {
        uid: "u1".into(),
        resource_version: "41".into(),
        terminating: false,
        ignored: false,
        controlled: true,
        protected: true,
        host_network: false,
        crash_loop: false,
        grace: 60,
        age: 60_000,
        rotation: Rotation { since: 60_000, ..Rotation::default() },
    };
    let expected = Live {
        stop: Stop::Go,
        pod: PodFacts::Present(pod),
        workload: WorkloadFacts::Settled,
        node: NodeFacts::Ready,
        cron_job: CronJobFacts::Unread,
        group: GroupFacts::Unread,
        vantage: Vantage::Unread,
    };
    assert_eq!(live, expected);
    let lines: Vec<_> = fake.requests().iter().map(|request| request.uri.to_string()).collect();
    assert_eq!(
        lines,
        [
            "/api/v1/namespaces/cosmos/pods/val-0",
            "/apis/apps/v1/namespaces/cosmos/statefulsets/val",
            "/api/v1/nodes/worker-1",
            "/api/v1/namespaces/mainstay/configmaps/mainstay-stop",
        ],
        "and none with a resourceVersion, which could be answered from a cache"
    );
}

#[tokio::test]
async fn a_pod_that_is_gone_has_nothing_else_to_tell() {
    let (client, fake) = Fake::answering([gone(), Answer::json(200, map(&json!({})))]);
    let live = read_live(&client, "cosmos", "val-0", &stop(), NOW, Also::default(), &|_| false).await.unwrap();
    assert_eq!((live.pod, live.stop), (PodFacts::Gone, Stop::Go));
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn a_rollout_in_any_state_is_left_alone() {
    let none = json!({});
    let rolling = [
        set(&none, &json!({"updateRevision": "val-b", "updatedReplicas": 1})),
        set(&none, &json!({"observedGeneration": 1})),
        set(&none, &json!({"currentRevision": "val-0"})),
        set(&json!({"updateStrategy": {"type": "OnDelete"}}), &json!({"updateRevision": "val-b"})),
    ];
    for set in rolling {
        assert!(matches!(with_set(set.clone()).await, WorkloadFacts::RollingOut(_)), "{set}");
    }
    let mut other = settled();
    other["metadata"]["uid"] = json!("s2");
    assert!(matches!(with_set(other).await, WorkloadFacts::RollingOut(_)), "another set of that name");
    let mut ending = settled();
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-01T10:00:00Z");
    assert!(matches!(with_set(ending).await, WorkloadFacts::RollingOut(_)));
}

#[tokio::test]
async fn what_looks_like_a_rollout_and_is_none() {
    let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
    let stuck = set(&on_delete, &json!({"currentRevision": "val-0"}));
    assert_eq!(with_set(stuck).await, WorkloadFacts::Settled, "OnDelete never moves the current revision on");
    let missing = set(&json!({}), &json!({"replicas": 3, "updatedReplicas": 2}));
    assert_eq!(with_set(missing).await, WorkloadFacts::Settled, "another pod of the set is being made");
}

#[tokio::test]
async fn a_node_that_is_not_well_is_the_nodes_affair() {
    let nodes = [
        (Answer::json(200, node(true, "True")), "node worker-1 is cordoned"),
        (Answer::json(200, node(false, "Unknown")), "node worker-1 is not ready"),
        (Answer::json(200, json!({"metadata": {}})), "node worker-1 is not ready"),
        (gone(), "node worker-1 is gone"),
    ];
    for (answer, why) in nodes {
        let json = |body| Answer::json(200, body);
        let live = read([json(pod()), json(settled()), answer, json(map(&json!({})))]).await.unwrap();
        assert_eq!(live.node, NodeFacts::Unfit(why.into()));
    }
}

#[tokio::test]
async fn the_emergency_stop_holds_when_pulled_and_when_missing() {
    let stops = [
        (Answer::json(200, map(&json!({STOP_ANNOTATION: "chain halt"}))), "chain halt"),
        (Answer::json(200, map(&json!({STOP_ANNOTATION: ""}))), "no reason was given"),
        (gone(), "its ConfigMap mainstay/mainstay-stop does not exist"),
    ];
    for (answer, why) in stops {
        let json = |body| Answer::json(200, body);
        let live = read([json(pod()), json(settled()), json(node(false, "True")), answer]).await.unwrap();
        assert_eq!(live.stop, Stop::Stopped(why.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_is_not_assumed() {
    for (place, what) in ["pod", "StatefulSet", "node", "emergency stop"].into_iter().enumerate() {
        for answer in [Answer::Hang, Answer::Reset, Answer::status(403, "Forbidden"), Answer::text(404, "<html>")]
        {
            let mut answers =
                [pod(), settled(), node(false, "True"), map(&json!({}))].map(|body| Answer::json(200, body));
            answers[place] = answer;
            assert_eq!(read(answers).await.unwrap_err().what, what);
        }
    }
}

#[tokio::test]
async fn a_cron_job_is_read_where_a_ladder_has_one() {
    let cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"suspend": true},
        "metadata": {"name": "resync", "uid": "c1", "generation": 1}});
    let jobs = json!({"apiVersion": "batch/v1", "kind": "JobList", "metadata": {}, "items": []});
    let answers = [pod(), settled(), node(false, "True"), cron_job, jobs, map(&json!({}))];
    let (client, fake) = Fake::answering(answers.map(|body| Answer::json(200, body)));
    let also = Also { cron_job: Some(("resync", "")), ..Also::default() };
    let live = read_live(&client, "cosmos", "val-0", &stop(), NOW, also, &|_| false).await.unwrap();
    assert_eq!(live.cron_job, CronJobFacts::Ready("c1/1".into()));
    assert_eq!(fake.requests()[3].uri.path(), "/apis/batch/v1/namespaces/cosmos/cronjobs/resync");
}
