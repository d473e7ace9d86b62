//! Pods of every origin: a Deployment's, one in the middle of a rollout, one on a cordoned node, and nobody's.

use serde_json::{Value, json};

use crate::{
    rig::{apply, get, remediations, wait},
    stage::{SOON, Stage},
};

const GUARD: &str = "{minHealthy: 0, warmUp: 1s, budget: [{actions: 10, per: 1h}]}";
const LADDER: &str = "{restart: {within: 2m, attempts: 2, cooldown: 30s}}";

/// Takes the third full node from its `StatefulSet` and runs it, on the same home, in a `Deployment`.
fn deploy_the_third(stage: &Stage) {
    let mut pod = get(&["-n", &stage.namespace, "statefulset", "full"])["spec"]["template"].clone();
    stage.kubectl(&["scale", "statefulset", "full", "--replicas=2"]);
    stage.kubectl(&["wait", "--for=delete", "pod/full-2", "--timeout=60s"]);
    let labels = json!({"app": "deployed"});
    pod["metadata"]["labels"] = labels.clone();
    let container = &mut pod["spec"]["containers"][0];
    container["env"] = json!([]);
    container["volumeMounts"] = json!([{"name": "homes", "mountPath": "/home/node", "subPath": "full-2"}]);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "deployed", "namespace": stage.namespace},
        "spec": {"replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels}, "template": pod},
    });
    apply(&deployment.to_string()).expect("a deployment");
}

/// The one pod with a label.
fn pod_of(stage: &Stage, label: &str) -> Option<String> {
    let pods = get(&["-n", &stage.namespace, "pods", "-l", label]);
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let [pod] = pods.as_slice() else { return None };
    pod["metadata"]["name"].as_str().map(str::to_owned)
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn pods_of_every_origin_are_treated_as_their_owners_expect() {
    let stage = Stage::alone("workloads");
    deploy_the_third(&stage);
    let policy = |name: &str, selector: &str| {
        stage.policy_on(name, "FullNode", "Enforce", selector, crate::stage::SILENT, LADDER, GUARD);
    };
    policy("deployed", "{app: deployed}");
    stage.healthy("deployed", 1);

    // A Deployment's pod comes back under another name, in the same slot.
    let first = pod_of(&stage, "app=deployed").expect("a pod");
    stage.hang(&first);
    let remediation = wait("the remediation", SOON, || remediations(&stage.namespace).into_iter().next()).unwrap();
    let slot = remediation["spec"]["target"]["slot"].as_str().unwrap_or_default().to_owned();
    assert_ne!(slot, first, "the slot outlives the pod");
    stage.healed(&slot);
    let second = pod_of(&stage, "app=deployed").expect("a pod");
    assert_ne!(first, second);
    assert_eq!(stage.removals().len(), 1);

    // A revision that waits for a person is a rollout in progress.
    policy("full-nodes", "{app: cometbft, role: full}");
    stage.healthy("full-nodes", 2);
    stage.kubectl(&[
        "patch",
        "statefulset",
        "full",
        "-p",
        r#"{"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}}"#,
    ]);
    let revised = r#"{"spec": {"template": {"metadata": {"annotations": {"example.org/revision": "2"}}}}}"#;
    stage.kubectl(&["patch", "statefulset", "full", "-p", revised]);
    stage.hang("full-0");
    stage.held("full-nodes", "full-0", "Rollout");
    stage.kubectl(&["rollout", "undo", "statefulset", "full"]);
    stage.healed("full-0");
    assert_eq!(stage.removals().len(), 2);

    // A pod on a cordoned node is the node's affair.
    let node = get(&["-n", &stage.namespace, "pod", "full-1"])["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    stage.kubectl(&["cordon", &node]);
    stage.hang("full-1");
    stage.held("full-nodes", "full-1", "NodeUnfit");
    stage.kubectl(&["uncordon", &node]);
    stage.healed("full-1");
    assert_eq!(stage.removals().len(), 3);

    // Nobody would make a bare pod anew.
    let bare: Value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "bare", "namespace": stage.namespace, "labels": {"app": "bare"}},
        "spec": {"containers": [{
            "name": "node", "image": "mainstay.test/pause:1", "imagePullPolicy": "Never",
            "ports": [{"name": "rpc", "containerPort": 26657}],
        }]},
    });
    apply(&bare.to_string()).expect("a bare pod");
    policy("bare", "{app: bare}");
    stage.held("bare", "bare", "NeverTouched");
    assert_eq!(stage.removals().len(), 3);
}
