//! The objects of a chain, as its owner would write them.
use crate::chain::Member;
use crate::image;
use crate::run::Result;
use serde_json::{Value, json};

/// The port of a node's RPC.
pub const RPC: u16 = 26657;
const P2P: u16 = 26656;

/// A member's own Service: an address that outlives its pod, so that no DNS is needed.
pub fn service(member: &Member) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
    "metadata": {"name": member.pod(), "labels": {"app": "cometbft", "role": member.role}},
    "spec": {
        "selector": {"statefulset.kubernetes.io/pod-name": member.pod()},
        "publishNotReadyAddresses": true,
        "ports": [{"name": "rpc", "port": RPC, "targetPort": "rpc"}, {"name": "p2p", "port": P2P, "targetPort": "p2p"}],
    }})
}

/// The Service that a `StatefulSet` has to name.
pub fn governing(set: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": set, "labels": {"app": "cometbft"}},
        "spec": {"clusterIP": "None", "selector": {"app": "cometbft", "set": set},
                 "ports": [{"name": "rpc", "port": RPC, "targetPort": "rpc"}]}})
}

/// All nodes of one role.
pub fn stateful_set(set: &str, role: &str, replicas: u32, homes: &str) -> Result<Value> {
    let labels = json!({"app": "cometbft", "role": role, "set": set});
    Ok(json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
    "metadata": {"name": set, "labels": {"app": "cometbft", "role": role}},
    "spec": {
        "replicas": replicas, "serviceName": set, "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app": "cometbft", "set": set}},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                // A stopped process ignores the polite request to end: this is what healing it costs.
                "terminationGracePeriodSeconds": 10,
                "automountServiceAccountToken": false, "enableServiceLinks": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": image::USER, "runAsGroup": image::USER,
                                    "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "cometbft", "image": image::cometbft_name()?, "imagePullPolicy": "Never",
                    "args": ["node", "--home=/home/node", "--proxy_app=persistent_kvstore"],
                    "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "ports": [{"name": "rpc", "containerPort": RPC}, {"name": "p2p", "containerPort": P2P},
                              {"name": "metrics", "containerPort": 26660}],
                    // No liveness probe, and a readiness probe that stays green when the process
                    // hangs: Kubernetes sees nothing wrong.
                    "readinessProbe": {"tcpSocket": {"port": "rpc"}, "periodSeconds": 2},
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                        "capabilities": {"drop": ["ALL"]}},
                    // The ordinal selects the home; it outlives the pod.
                    "volumeMounts": [{"name": "homes", "mountPath": "/home/node", "subPathExpr": "$(POD)"}],
                }],
                "volumes": [{"name": "homes", "hostPath": {"path": homes, "type": "Directory"}}],
            },
        },
    }}))
}
