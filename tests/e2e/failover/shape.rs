//! How the members of a group are made, and what an administrator and their owner write for it.

use std::path::Path;

use super::group::{Group, WINDOW};
use crate::rig::{get, kubectl};

/// How the members are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A gate beside each node.
    Gated,
    /// No gate: whoever will may dial the socket of each node, from outside.
    Plain,
    /// A launcher that starts the node, with its key.
    Launched,
    /// A node without a key of its own, which a Service leads to while it wears the label.
    Served,
    /// A script that runs the node with its key while a file says so, which the owner's job writes.
    Owned,
}

// === impl Shape ===

impl Shape {
    /// Whether its nodes have the key in a file, and write down what they sign.
    pub const fn has_key(self) -> bool {
        matches!(self, Self::Launched | Self::Owned)
    }

    /// The container whose words tell what went wrong.
    pub const fn container(self) -> &'static str {
        match self {
            Self::Gated => "gate",
            Self::Plain | Self::Launched | Self::Served | Self::Owned => "node",
        }
    }

    const fn handover(self) -> &'static str {
        match self {
            Self::Gated | Self::Plain => "{gate: {}}",
            Self::Launched => "{launcher: {hold: 20s}}",
            Self::Served => "{label: {service: signer}}",
            Self::Owned => "{job: {cronJob: handover, within: 40s}}",
        }
    }

    const fn manifest(self) -> &'static str {
        match self {
            Self::Gated => include_str!("member.yaml"),
            Self::Plain => include_str!("plain.yaml"),
            Self::Launched => include_str!("handovers/launched.yaml"),
            Self::Served => include_str!("handovers/served.yaml"),
            Self::Owned => include_str!("handovers/owned.yaml"),
        }
    }
}

// === impl Group ===

impl Group {
    /// What an administrator writes, and the group.
    pub(super) fn objects(&self) -> String {
        let Self { identity, stage, shape, .. } = self;
        let (namespace, name) = (&stage.namespace, format!("{}-gate", stage.namespace));
        let handover = shape.handover();
        format!(
            "apiVersion: mainstay.dev/v1alpha1
kind: SigningIdentity
metadata: {{name: {identity}}}
spec: {{network: {namespace}, namespace: {namespace}, group: val, window: {WINDOW}}}
---
apiVersion: mainstay.dev/v1alpha1
kind: FailoverGroup
metadata: {{name: val, namespace: {namespace}}}
spec:
  network: {namespace}
  identity: {identity}
  members: [{{name: a, statefulSet: a}}, {{name: b, statefulSet: b}}]
  handover: {handover}
  notify: [test]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}}}
rules:
- {{apiGroups: [mainstay.dev], resources: [signingidentities], resourceNames: [{identity}], verbs: [get]}}
- {{apiGroups: [mainstay.dev], resources: [signingidentities/status], resourceNames: [{identity}], verbs: [update]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects:
- {{kind: ServiceAccount, name: signer-a, namespace: {namespace}}}
- {{kind: ServiceAccount, name: signer-b, namespace: {namespace}}}"
        )
    }

    /// One member, on a node.
    pub(super) fn member(&self, member: &str, node: &str) -> String {
        let Self { identity, stage, homes, kind, shape, .. } = self;
        let place = |path: &Path| path.display().to_string();
        self.filled(shape.manifest())
            .replace("@member", member)
            .replace("@node", node)
            .replace("@namespace", &stage.namespace)
            .replace("@identity", identity)
            .replace("@start", &[&[kind.program()], kind.start()].concat().join(" "))
            .replace("@home", &place(&homes.join(format!("{member}-0"))))
            .replace("@state", &place(&self.state(member)))
    }

    /// A manifest with what all members have in common.
    pub(super) fn filled(&self, manifest: &str) -> String {
        manifest
            .replace("@image", &image(&self.stage.namespace))
            .replace("@shared", &self.shared().display().to_string())
    }

    /// Whether a member could go on.
    pub(super) fn stands_by(&self, member: &str) -> bool {
        if self.shape.has_key() {
            // Its node does not run before it holds the place.
            let pod = get(&["-n", &self.stage.namespace, "pod", &format!("{member}-0")]);
            return pod["status"]["phase"] == "Running";
        }
        self.height(member) > Some(2)
    }

    /// Lets the pods of launchers go: nobody will be there who does.
    pub(super) fn unlatch(&self) {
        let kubectl = |args: &[&str]| drop(kubectl(&[&["-n", &self.stage.namespace], args].concat()));
        kubectl(&["delete", "statefulset", "a", "b", "--wait=false"]);
        let remove = r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#;
        for pod in ["a-0", "b-0"] {
            kubectl(&["patch", "pod", pod, "--type=json", "-p", remove]);
        }
    }
}

/// The image of the chain's own nodes.
fn image(namespace: &str) -> String {
    let path = "jsonpath={.spec.template.spec.containers[0].image}";
    kubectl(&["-n", namespace, "get", "statefulset", "val", "-o", path]).expect("a chain")
}
