//! A validator with a standby, made of the fourth validator of a plain chain: as its owner would move it, by stopping it
//! for good, taking its state along, and adopting its key.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    conformance::{operator, strangers, written},
    oracle::{self, Line},
    view,
};
use crate::{
    kind::Kind,
    rig::{apply, get, run, state, wait},
    stage::{LATER, SOON, Stage},
};

/// The user of every pod.
const USER: &str = "65532:65532";
/// The validator whose key moves.
const FORMER: &str = "val-3";
/// Heights that a gate owns ahead.
pub const WINDOW: u64 = 20;

/// The members of one group.
pub struct Members {
    pub stage: Stage,
    pub identity: String,
    kind: Kind,
    /// Where the homes, the key and the signing states are.
    homes: PathBuf,
}

impl Members {
    /// A chain of four validators with a block every second, whose fourth is a group of `a` and `b`, adopted, and signed for
    /// by `a`.
    pub fn new(name: &str) -> Self {
        let kind = Kind::wanted();
        let chain = ["--kind", kind.program(), "--full-nodes", "1", "--block-time", "700"];
        let stage = Stage::with(name, &chain, &["--set", "failover.enabled=true"]);
        let homes = state().join("chains").join(&stage.namespace);
        stage.kubectl(&["scale", "statefulset", "val", "--replicas=3"]);
        stage.kubectl(&["wait", "--for=delete", &format!("pod/{FORMER}"), "--timeout=90s"]);
        let key = homes.join("key");
        fs::create_dir_all(&key).expect("a folder");
        fs::copy(homes.join(FORMER).join("config/priv_validator_key.json"), key.join("key.json")).expect("a key");
        sh(&format!("chmod 700 {0} && chmod 600 {0}/key.json && chown -R {USER} {0}", key.display()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.arg("identity").arg(key.join("key.json")).args(["--chain", &stage.namespace]);
        let identity = run(&mut command, None).expect("a name").trim().to_owned();
        let members = Self { stage, identity, kind, homes };
        members.objects();
        for member in ["a", "b"] {
            members.home(member);
            members.start(member);
        }
        wait("both members to follow the chain", LATER, || {
            ["a", "b"].iter().all(|member| members.fit(member)).then_some(())
        })
        .expect("two members");
        let former = members.homes.join(FORMER).join("data/priv_validator_state.json");
        let head = wait("a head", SOON, || view::head((&view::validator(&members.stage.namespace), 26657)));
        let (former, head) = (former.to_str().expect("a path"), head.expect("a head").to_string());
        let adopted = members.order(&["adopt", "--state", former, "--head", &head, "--assert", "scaled to 3"]);
        println!("{adopted}");
        members.signing("a", 0);
        members
    }

    /// A home for a member: the former validator's data. Its node makes keys of its own.
    fn home(&self, member: &str) {
        let (home, former) = (self.homes.join(format!("member-{member}")), self.homes.join(FORMER));
        let (home, former) = (home.display(), former.display());
        sh(&format!(
            "cp -a {former} {home} && cd {home} && rm config/node_key.json && \
             rm config/priv_validator_key.json data/priv_validator_state.json && \
             sed -i 's|^priv_validator_laddr = .*|priv_validator_laddr = \"unix:///gate/privval.sock\"|; \
             s|^moniker = .*|moniker = \"{member}\"|' config/config.toml && mkdir -p {home}/../state-{member} && \
             chmod 700 {home}/../state-{member} && chown -R {USER} {home} {home}/../state-{member}"
        ));
    }

    /// What administrators and the owner write.
    fn objects(&self) {
        let (namespace, identity) = (&self.stage.namespace, &self.identity);
        let mut items = vec![
            json!({
                "apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningIdentity", "metadata": {"name": identity},
                "spec": {"network": namespace, "namespace": namespace, "group": "gated", "window": WINDOW},
            }),
            json!({
                "apiVersion": "mainstay.dev/v1alpha1", "kind": "FailoverGroup",
                "metadata": {"name": "gated", "namespace": namespace},
                "spec": {
                    "network": namespace, "identity": identity, "handover": {"gate": {}}, "automatic": true,
                    "members": [
                        {"name": "a", "statefulSet": "member-a"}, {"name": "b", "statefulSet": "member-b"},
                    ],
                },
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": format!("gate-{namespace}")},
                "rules": [
                    {"apiGroups": ["mainstay.dev"], "resources": ["signingidentities"], "resourceNames": [identity],
                     "verbs": ["get"]},
                    {"apiGroups": ["mainstay.dev"], "resources": ["signingidentities/status"],
                     "resourceNames": [identity], "verbs": ["update"]},
                ],
            }),
        ];
        for member in ["a", "b"] {
            let account = format!("gate-{member}");
            items.push(json!({
                "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace},
            }));
            items.push(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": format!("{account}-{namespace}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                            "name": format!("gate-{namespace}")},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
            }));
        }
        apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).expect("objects");
        self.policy("Observe", "{page: {}}");
    }

    /// The policy of the members.
    pub fn policy(&self, mode: &str, ladder: &str) {
        // More than one failover an hour: what keeps the key from going to and fro is not the budget alone.
        let guard = "{warmUp: 1s, budget: [{actions: 5, per: 1h}]}";
        self.stage.policy_on("members", "Validator", mode, "{app: gated}", crate::stage::SILENT, ladder, guard);
    }

    /// Waits until so many more heights are signed.
    pub fn blocks(&self, more: u64) {
        let top = || self.lines().iter().map(|line| line.height).max().unwrap_or_default();
        let begun = top();
        wait(&format!("{more} heights"), SOON, || (top() >= begun + more).then_some(())).expect("signatures");
    }

    /// One member: its node, and the gate beside it.
    fn start(&self, member: &str) {
        let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        let folder =
            |name: &str, path: &Path| json!({"name": name, "hostPath": {"path": path, "type": "Directory"}});
        let at = |name: &str, path: &str| json!({"name": name, "mountPath": path});
        let closed = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]}});
        let set = get(&["-n", &self.stage.namespace, "statefulset", "val"]);
        let image = set["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        let gate = json!({
            "name": "gate", "image": "mainstay:dev", "imagePullPolicy": "Never", "restartPolicy": "Always",
            "args": ["gate", "--identity", self.identity, "--member", member, "--key", "/key/key.json",
                     "--state", "/state", "--every", "300"],
            "env": [field("POD_UID", "metadata.uid"), field("NODE_NAME", "spec.nodeName")],
            "volumeMounts": [at("socket", "/gate"), at("key", "/key"), at("state", "/state")],
            "securityContext": closed,
        });
        let start = [&[self.kind.program()], self.kind.start()].concat().join(" ");
        let start = format!("rm -f /gate/privval.sock; exec {start}");
        let node = json!({
            "name": "node", "image": image, "imagePullPolicy": "Never", "command": ["sh", "-c", start],
            "ports": [{"name": "rpc", "containerPort": 26657}, {"name": "p2p", "containerPort": 26656}],
            "readinessProbe": {"tcpSocket": {"port": "rpc"}, "periodSeconds": 2},
            "volumeMounts": [at("socket", "/gate"), at("home", "/home/node"), at("tmp", "/tmp")],
            "securityContext": closed,
        });
        let labels = json!({"app": "gated", "member": member, "mainstay.dev/signer": "gated"});
        let object = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": format!("member-{member}"), "namespace": self.stage.namespace},
            "spec": {
                "replicas": 1, "serviceName": "gated", "selector": {"matchLabels": {"app": "gated", "member": member}},
                "template": {"metadata": {"labels": labels}, "spec": {
                    "serviceAccountName": format!("gate-{member}"), "terminationGracePeriodSeconds": 120,
                    "enableServiceLinks": false,
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                                        "seccompProfile": {"type": "RuntimeDefault"}},
                    "initContainers": [gate], "containers": [node],
                    "volumes": [
                        {"name": "socket", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}},
                        folder("home", &self.homes.join(format!("member-{member}"))),
                        folder("state", &self.homes.join(format!("state-{member}"))),
                        folder("key", &self.homes.join("key")),
                    ],
                }},
            },
        });
        apply(&object.to_string()).expect("a member");
    }

    /// Whether the operator finds a member fit to go on.
    pub fn fit(&self, member: &str) -> bool {
        let status = get(&["-n", &self.stage.namespace, "fog", "gated"])["status"].clone();
        let members = status["members"].as_array().cloned().unwrap_or_default();
        members.iter().any(|one| one["name"] == member && one["fit"] == true && one["message"].is_null())
    }

    /// The record.
    pub fn record(&self) -> Value {
        get(&["signingidentity", &self.identity])["status"].clone()
    }

    /// `mainstay COMMAND gated …`, as the administrator; what it printed.
    pub fn order(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.env("KUBECONFIG", state().join("kubeconfig")).arg(args[0]).arg("gated").args(&args[1..]);
        run(command.args(["-n", &self.stage.namespace]), None).expect("an order")
    }

    /// Everything that was ever signed, by any member.
    pub fn lines(&self) -> Vec<Line> {
        ["a", "b"].iter().flat_map(|member| oracle::read(&self.homes.join(format!("state-{member}")))).collect()
    }

    /// Waits until a member has signed something after an instant (milliseconds since the epoch); its first line.
    pub fn signing(&self, member: &str, since: i64) -> Line {
        wait(&format!("{member} to sign"), SOON, || {
            let mut lines = self.lines().into_iter();
            lines.find(|line| line.member == member && line.at > since)
        })
        .unwrap_or_else(|why| panic!("{why}: {}\n{}", self.record(), self.logs()))
    }

    /// Waits until another process of the same member has signed after an instant; its first line.
    pub fn signing_by_another(&self, than: &Line, since: i64) -> Line {
        wait("the next process to sign", SOON, || {
            let mut lines = self.lines().into_iter();
            lines.find(|line| line.member == than.member && line.boot != than.boot && line.at > since)
        })
        .unwrap_or_else(|why| panic!("{why}: {}\n{}", self.record(), self.logs()))
    }

    /// What the gates say.
    pub fn logs(&self) -> String {
        let logs = ["a", "b"].map(|member| {
            let pod = format!("member-{member}-0");
            crate::rig::kubectl(&["-n", &self.stage.namespace, "logs", &pod, "-c", "gate", "--tail=15"])
        });
        logs.map(Result::unwrap_or_default).join("\n")
    }

    /// Holds everything that was signed, and everything that was written, against the rule.
    pub fn judge(&self) {
        let lines = self.lines();
        let writes = written(&self.identity);
        let crimes = oracle::judged(&lines, &writes);
        assert!(crimes.is_empty(), "{crimes:#?}");
        let strangers = strangers(&writes, &operator(&self.stage.system), WINDOW);
        assert!(strangers.is_empty(), "{strangers:#?}");
        println!(
            "{} signatures, no height signed by two, {} writes of the record: {:?}",
            lines.len(),
            writes.len(),
            oracle::ranges(&lines)
        );
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}\n{}", self.record(), self.logs());
        }
        let namespace = &self.stage.namespace;
        for set in ["member-a", "member-b"] {
            drop(crate::rig::kubectl(&["-n", namespace, "delete", "statefulset", set, "--wait=false"]));
        }
        for object in [format!("clusterrole/gate-{namespace}"), format!("signingidentity/{}", self.identity)] {
            drop(crate::rig::kubectl(&["delete", &object, "--wait=false"]));
        }
        for member in ["a", "b"] {
            let binding = format!("clusterrolebinding/gate-{member}-{namespace}");
            drop(crate::rig::kubectl(&["delete", &binding, "--wait=false"]));
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn sh(line: &str) {
    run(Command::new("sh").args(["-ec", line]), None).expect("a line of shell");
}
