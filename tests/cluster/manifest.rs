//! The objects of a chain, as its owner would write them.
use crate::chain::Member;
use crate::image;
use crate::kind::Kind;
use crate::run::Result;
use serde_json::{Value, json};

/// The port of a node's RPC.
pub const RPC: u16 = 26657;
const P2P: u16 = 26656;

/// A member's own Service: an address that outlives its pod, so that no DNS is needed.
pub fn service(kind: Kind, member: &Member) -> Value {
    let port = |(name, port): (&str, u16)| json!({"name": name, "port": port, "targetPort": name});
    let ports: Vec<Value> = ports(kind).map(port).collect();
    json!({"apiVersion": "v1", "kind": "Service",
    "metadata": {"name": member.pod(), "labels": {"app": "cometbft", "role": member.role}},
    "spec": {
        "selector": {"statefulset.kubernetes.io/pod-name": member.pod()},
        "publishNotReadyAddresses": true,
        "ports": ports,
    }})
}

/// The ports that a node is reached at, by name.
fn ports(kind: Kind) -> impl Iterator<Item = (&'static str, u16)> {
    [("rpc", RPC), ("p2p", P2P)].into_iter().chain(kind.rest().map(|port| ("rest", port)))
}

/// The Service that a `StatefulSet` has to name.
pub fn governing(set: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": set, "labels": {"app": "cometbft"}},
        "spec": {"clusterIP": "None", "selector": {"app": "cometbft", "set": set},
                 "ports": [{"name": "rpc", "port": RPC, "targetPort": "rpc"}]}})
}

/// All nodes of one role.
pub fn stateful_set(kind: Kind, (set, role): (&str, &str), replicas: u32, homes: &str) -> Result<Value> {
    let port = |(name, port): (&str, u16)| json!({"name": name, "containerPort": port});
    let ports: Vec<Value> = ports(kind).chain([("metrics", 26660)]).map(port).collect();
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
                    "name": "node", "image": image::chain_name(kind)?, "imagePullPolicy": "Never",
                    "args": kind.start(),
                    "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "ports": ports,
                    // No liveness probe, and a readiness probe that stays green when the process
                    // hangs: Kubernetes sees nothing wrong.
                    "readinessProbe": {"tcpSocket": {"port": "rpc"}, "periodSeconds": 2},
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                        "capabilities": {"drop": ["ALL"]}},
                    // The ordinal selects the home; it outlives the pod.
                    "volumeMounts": [{"name": "homes", "mountPath": "/home/node", "subPathExpr": "$(POD)"},
                                     // wasmd makes a folder of its own there whenever it starts.
                                     {"name": "tmp", "mountPath": "/tmp"}],
                }],
                "volumes": [{"name": "homes", "hostPath": {"path": homes, "type": "Directory"}}, {"name": "tmp", "emptyDir": {}}],
            },
        },
    }}))
}
