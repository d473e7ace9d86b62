//! The chart as Helm renders it: with `$HELM`, or the `helm` of the PATH.

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::{Value, json};

/// The namespace that the tests install into.
pub const NAMESPACE: &str = "mainstay-system";

/// What `helm template` makes of the chart, or what it says against it.
pub fn template(release: &str, namespace: &str, values: &Value) -> Result<Vec<Value>, String> {
    let helm = env::var("HELM").unwrap_or_else(|_| "helm".into());
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/mainstay");
    let mut child = Command::new(&helm)
        .args(["template", release, chart, "--namespace", namespace, "--kube-version", "1.36.0", "--values", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("failed to start {helm}: {error}; name it in HELM"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(values.to_string().as_bytes()).expect("helm reads its values");
    drop(stdin);
    let output = child.wait_with_output().expect("helm ends");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(documents(&String::from_utf8(output.stdout).expect("helm writes UTF-8")))
}

/// The manifests of a release named `mainstay` with these values.
pub fn manifests(values: &Value) -> Vec<Value> {
    template("mainstay", NAMESPACE, values).unwrap_or_else(|error| panic!("{values}: {error}"))
}

/// The values profiles that every test of a rule goes through.
pub fn profiles() -> [(&'static str, Value); 3] {
    [
        ("default", json!({})),
        ("namespaced", json!({"namespaces": ["cosmos", "osmosis"]})),
        ("everything", everything()),
    ]
}

/// Every value away from its default.
fn everything() -> Value {
    json!({
        "namespaces": ["cosmos", NAMESPACE],
        "replicas": 3,
        "image": {"digest": format!("sha256:{}", "0".repeat(64))},
        "imagePullSecrets": [{"name": "registry"}],
        "config": {
            "concurrency": 4,
            "sinks": {
                "oncall": {"webhook": {
                    "url": "https://pager.example.org/hook",
                    "authorizationFile": "/etc/mainstay-credentials/oncall",
                }},
                "team": {"alertmanager": {"url": "http://alertmanager.monitoring:9093"}},
            },
            "heartbeat": {"every": "30s", "sinks": ["oncall"]},
        },
        "extraVolumes": [{"name": "credentials", "secret": {"secretName": "mainstay-credentials"}}],
        "extraVolumeMounts": [
            {"name": "credentials", "mountPath": "/etc/mainstay-credentials", "readOnly": true},
        ],
        "extraEnv": [{"name": "RUST_LOG", "value": "debug"}],
        "podLabels": {"team": "nodes", "app.kubernetes.io/component": "stolen"},
        "podAnnotations": {"example.org/note": "x"},
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "networkPolicy": {"egressPorts": [443, 26657], "extraEgress": [{"ports": [{"protocol": "TCP", "port": 9093}]}]},
        "serviceMonitor": {"enabled": true, "labels": {"release": "prometheus"}},
        "flowSchema": {"enabled": true},
        "rotation": {"readinessGate": true},
        "failover": {"enabled": true},
    })
}

/// The documents of a YAML stream, as the API server sees them.
pub fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).expect("valid YAML"))
        .filter(|document| !document.is_null())
        .collect()
}
