use serde_json::{Value, json};

use super::*;
use crate::plan::{Place, Switch};

fn view(pod: Value) -> PodView {
    serde_json::from_value(pod).unwrap()
}

fn owned(kind: &str, owner: &str, labels: &Value) -> PodView {
    let reference = json!({"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "o", "controller": true});
    view(json!({"metadata": {"name": "pod-0", "labels": labels, "ownerReferences": [reference]}}))
}

#[test]
fn a_slot_survives_restarts() {
    let slot = |kind, owner, labels: Value| owned(kind, owner, &labels).slot();
    assert_eq!(slot("StatefulSet", "val", json!({})).as_deref(), Some("pod-0"));
    let hash = json!({"pod-template-hash": "5d9c7f"});
    assert_eq!(slot("ReplicaSet", "rpc-5d9c7f", hash.clone()).as_deref(), Some("rpc"));
    assert_eq!(slot("ReplicaSet", "rpc-other", hash).as_deref(), Some("replicaset-rpc-other"));
    assert_eq!(slot("DaemonSet", "geth", json!(null)).as_deref(), Some("daemonset-geth"));
}

#[test]
fn bare_static_and_merely_owned_pods_fill_no_slot() {
    assert_eq!(view(json!({"metadata": {"name": "a"}})).slot(), None);
    assert_eq!(owned("Node", "worker-1", &json!({})).slot(), None);
    let reference = json!({"kind": "StatefulSet", "name": "a", "uid": "o"});
    assert_eq!(view(json!({"metadata": {"name": "a", "ownerReferences": [reference]}})).slot(), None);
}

#[test]
fn a_pod_opts_out_by_annotation_or_label() {
    for place in ["annotations", "labels"] {
        assert!(view(json!({"metadata": {place: {"mainstay.dev/ignore": "true"}}})).ignored);
        assert!(!view(json!({"metadata": {place: {"mainstay.dev/ignore": "false"}}})).ignored);
    }
}

#[test]
fn a_pod_that_was_just_made_is_read_too() {
    let pod = view(json!({"metadata": {"name": "a", "labels": null}, "spec": null, "status": {}}));
    assert_eq!((pod.grace, pod.started, pod.ready, pod.finished), (30, None, false, false));
    assert_eq!((pod.waiting_reason.as_str(), pod.last_exit.as_str()), ("", ""));
}

/// A pod with these gates and conditions (type, status, reason and message).
fn gated(gates: &[&str], conditions: &[[&str; 4]]) -> Value {
    let gates: Vec<_> = gates.iter().map(|gate| json!({"conditionType": gate})).collect();
    let conditions: Vec<_> = conditions
        .iter()
        .map(|[of, status, reason, message]| {
            json!({"type": of, "status": status, "reason": reason, "message": message, "lastProbeTime": null})
        })
        .collect();
    json!({"metadata": {"name": "a"}, "spec": {"readinessGates": gates}, "status": {"conditions": conditions}})
}

#[test]
fn a_readiness_gate_is_read_with_who_turned_it_and_when() {
    let out = [IN_ROTATION, "False", readiness::OUT, "turned by policy p1 at 1800000000000"];
    let pod = view(gated(&["example.org/other", IN_ROTATION], &[["Ready", "False", "", ""], out]));
    assert_eq!(pod.gate, Some(Gate::Shut));
    assert_eq!((pod.rotated_by.as_str(), pod.rotated_at), ("p1", Some(Server(1_800_000_000_000))));
    let rotation = pod.rotation(Server(1_800_000_030_000));
    assert_eq!((rotation.place, rotation.by.as_str(), rotation.since), (Place::Out, "p1", 30_000));

    assert_eq!(view(gated(&[], &[out])).gate, None, "nobody asks for the condition");
    let new = view(gated(&[IN_ROTATION], &[]));
    assert_eq!((new.gate, new.waits_at_its_gate()), (Some(Gate::Unsaid), true));
    let theirs = view(gated(&[IN_ROTATION], &[[IN_ROTATION, "False", "Maintenance", "back at noon"]]));
    assert_eq!((theirs.gate, theirs.rotated_by.as_str(), theirs.rotated_at), (Some(Gate::Shut), "", None));
    assert!(!theirs.waits_at_its_gate());
    let odd = json!({"metadata": {}, "spec": {"readinessGates": null}, "status": {"conditions": [
        {"type": IN_ROTATION, "status": "True", "reason": null, "message": null}]}});
    assert_eq!(view(odd).gate, None);
}

#[test]
fn the_label_decides_where_there_is_one_and_has_annotations_beside_it() {
    let mut pod = gated(&[IN_ROTATION], &[[IN_ROTATION, "True", readiness::IN, "turned by policy p1 at 5"]]);
    pod["metadata"]["labels"] = json!({IN_ROTATION: "false"});
    pod["metadata"]["annotations"] = json!({ROTATED_BY: "p2", ROTATED_AT: "7"});
    let pod = view(pod);
    assert_eq!((pod.rotated_by.as_str(), pod.rotated_at), ("p2", Some(Server(7))));
    assert_eq!((pod.rotation(Server(9)).place, pod.rotation(Server(9)).switch), (Place::Out, Switch::Label));
}

#[test]
fn our_own_gate_makes_no_pod_look_ill() {
    let ready = |gates: &[&str], conditions: &[[&str; 2]]| {
        let conditions: Vec<_> = conditions.iter().map(|[of, status]| [*of, *status, "", ""]).collect();
        view(gated(gates, &conditions)).ready
    };
    let well = ["ContainersReady", "True"];
    assert!(ready(&[IN_ROTATION], &[["Ready", "False"], well, [IN_ROTATION, "False"]]));
    assert!(ready(&[IN_ROTATION], &[["Ready", "False"], well]), "nor one that is not opened yet");
    assert!(!ready(&[IN_ROTATION], &[["Ready", "False"], ["ContainersReady", "False"], [IN_ROTATION, "False"]]));
    assert!(
        !ready(&[IN_ROTATION], &[["Ready", "False"], well, [IN_ROTATION, "True"]]),
        "the kubelet is not there"
    );
    let both = [IN_ROTATION, "example.org/other"];
    assert!(
        !ready(&both, &[["Ready", "False"], well, [IN_ROTATION, "False"]]),
        "nor are the gates of others ours"
    );
    assert!(ready(&both, &[["Ready", "False"], well, [IN_ROTATION, "False"], ["example.org/other", "True"]]));
    assert!(!ready(&[], &[["Ready", "False"], well]), "without the gate nothing is new");
}

#[test]
fn while_it_is_deleted_the_grace_that_was_granted_counts() {
    let spec = json!({"terminationGracePeriodSeconds": 600});
    assert_eq!(view(json!({"spec": spec})).grace, 600);
    let metadata = json!({"deletionTimestamp": "2026-11-01T10:00:00Z", "deletionGracePeriodSeconds": 10});
    let pod = view(json!({"metadata": metadata, "spec": spec}));
    assert_eq!((pod.terminating, pod.grace), (true, 10));
}

#[test]
fn tcp_ports_of_containers_and_native_sidecars_are_declared() {
    let pod = view(json!({"spec": {
        "containers": [{"ports": [
            {"name": "rpc", "containerPort": 26657, "protocol": "TCP"},
            {"containerPort": 26656},
            {"name": "disco", "containerPort": 30303, "protocol": "UDP"},
        ]}, {}],
        "initContainers": [
            {"restartPolicy": "Always", "ports": [{"name": "signer", "containerPort": 1234}]},
            {"ports": [{"name": "never", "containerPort": 1}]},
        ],
    }}));
    assert_eq!(pod.ports, [(Some("rpc".into()), 26657), (None, 26656), (Some("signer".into()), 1234)]);
}

#[test]
fn the_worst_reason_to_wait_and_the_last_exit_are_told() {
    let ended = |reason: &str, code: i32, at: &str| json!({"terminated": {"reason": reason, "exitCode": code, "finishedAt": at, "startedAt": null}});
    let pod = view(json!({"status": {
        "phase": "Running",
        "initContainerStatuses": [{"restartCount": 0, "state": ended("Completed", 0, "2026-11-01T12:00:00Z")}],
        "containerStatuses": [
            {"restartCount": 3, "state": {"waiting": {"reason": "ContainerCreating"}},
             "lastState": ended("Error", 1, "2026-11-01T10:00:00Z")},
            {"restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": ended("OOMKilled", 137, "2026-11-01T11:00:00Z")},
            {"restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}},
        ],
    }}));
    assert_eq!(pod.waiting_reason, "CrashLoopBackOff");
    assert_eq!(pod.last_exit, "OOMKilled (exit 137)");
    assert_eq!(pod.restarts, 7);
}

#[test]
fn a_pod_of_fifty_kilobytes_becomes_less_than_two() {
    let pod = large_pod();
    assert!(serde_json::to_string(&pod).unwrap().len() > 50 * 1024);
    let pod = view(pod);
    assert_eq!((pod.name.as_str(), pod.node.as_deref(), pod.ready), ("hub-rpc-0", Some("worker-7"), true));
    assert_eq!(pod.started, Some(Server(1_793_527_200_000)));
    assert!(bytes(&pod) < 2048, "{} bytes", bytes(&pod));
}

/// What a pod takes: itself and what it points to. A map's node is counted whole.
fn bytes(pod: &PodView) -> usize {
    let texts = [
        &pod.namespace,
        &pod.name,
        &pod.uid,
        &pod.resource_version,
        &pod.waiting_reason,
        &pod.last_exit,
        &pod.phase,
    ];
    let owner =
        pod.owner.as_ref().map_or(0, |owner| owner.kind.capacity() + owner.name.capacity() + owner.uid.capacity());
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
    let ports = pod.ports.capacity() * size_of::<(Option<String>, u16)>()
        + pod.ports.iter().map(|(name, _)| optional(name)).sum::<usize>();
    let nodes = pod.labels.len().div_ceil(6) * 11 * 2 * size_of::<String>();
    size_of::<PodView>()
        + texts.iter().map(|text| text.capacity()).sum::<usize>()
        + owner
        + optional(&pod.ip)
        + optional(&pod.node)
        + ports
        + nodes
        + pod.labels.iter().map(|(key, value)| key.capacity() + value.capacity()).sum::<usize>()
}

fn large_pod() -> Value {
    let environment: Vec<_> = (0..300)
        .map(|n| json!({"name": format!("GAIAD_SETTING_{n}"), "value": "a value of some length, as they are"}))
        .collect();
    let fields: serde_json::Map<_, _> = (0..600)
        .map(|n| (format!("k:{{\"name\":\"GAIAD_SETTING_{n}\"}}"), json!({".": {}, "f:name": {}, "f:value": {}})))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "hub-rpc-0", "namespace": "cosmos", "uid": "0d2d9ab5-9b4e-4a5f-8a57-4a1f7f1f7f10",
            "resourceVersion": "184467", "generateName": "hub-rpc-",
            "labels": {
                "app.kubernetes.io/name": "gaiad", "app.kubernetes.io/instance": "hub-rpc",
                "statefulset.kubernetes.io/pod-name": "hub-rpc-0", "apps.kubernetes.io/pod-index": "0",
                "controller-revision-hash": "hub-rpc-6f7d9c8b5",
            },
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(8192)},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "hub-rpc",
                "uid": "7c1f3c7e-2a4d-4b19-9d53-1c2f6f1b5a77", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:containers": fields}}}],
        },
        "spec": {
            "nodeName": "worker-7", "terminationGracePeriodSeconds": 120,
            "containers": [{"name": "gaiad", "image": "gaiad:v25", "env": environment, "ports": [
                {"name": "rpc", "containerPort": 26657, "protocol": "TCP"},
                {"name": "p2p", "containerPort": 26656, "protocol": "TCP"},
                {"name": "metrics", "containerPort": 26660, "protocol": "TCP"},
            ]}],
        },
        "status": {
            "phase": "Running", "podIP": "10.1.2.3", "startTime": "2026-11-01T10:00:00Z",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "gaiad", "restartCount": 1, "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
                    "finishedAt": "2026-11-01T09:59:00Z"}}}],
        },
    })
}
