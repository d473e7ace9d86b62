//! The example's group at a real API server, with members of which none has a machine.

use std::{
    collections::BTreeMap,
    process::Output,
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay::{
    api::SigningIdentityStatus,
    failover::{Height, Phase, Pod, Record},
};
use serde_json::{Value, json};

use crate::{
    stage::{JSON, KEY, MERGE, NAMESPACE, Stage, collection, create, get, send},
    validator::{Chain, Node, Running, address},
};

/// Generous: the machine may be busy.
pub const SOON: Duration = Duration::from_secs(120);
pub const GROUP: &str = "/apis/mainstay.dev/v1alpha1/namespaces/validator/failovergroups/val";
/// The operator's.
pub const NAMESPACE_OF: &str = "/api/v1/namespaces/mainstay-system";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/mainstay-system/leases/mainstay";
const POLICY: &str = "/apis/mainstay.dev/v1alpha1/namespaces/validator/nodehealthpolicies/val";

pub struct Group {
    pub stage: Stage,
    pub chain: Arc<Chain>,
    pub node: Node,
    gates: BTreeMap<String, Running>,
}

impl Group {
    /// Both members run, and no operator does.
    pub async fn new() -> Self {
        let stage = Stage::new().await;
        stage.grant().await;
        // Nobody can be asked how the nodes are: what no policy knows does not matter.
        send(&stage.server.client, "DELETE", POLICY, JSON, &json!({})).await.unwrap();
        let chain = Chain::begin();
        let node = Node::start(&chain).await;
        let mut this = Self { stage, chain, node, gates: BTreeMap::new() };
        for member in ["a", "b"] {
            this.start(member).await;
        }
        this
    }

    /// A pod of a member that runs, with its gate.
    pub async fn start(&mut self, member: &str) -> Pod {
        let port = self.node.port;
        let declare = |pod: &mut Value| {
            let ports = pod["spec"]["containers"][0]["ports"].as_array_mut().unwrap();
            ports.iter_mut().find(|of| of["name"] == "rpc").unwrap()["containerPort"] = json!(port);
        };
        let pod = self.stage.start_with(member, declare).await;
        let ip = address().to_string();
        let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}});
        self.patch(&format!("/api/v1/namespaces/{NAMESPACE}/pods/val-{member}-0/status"), &status).await;
        // Each process draws its own.
        let boot = u128::from_str_radix(&pod.uid.replace('-', ""), 16).unwrap();
        let gate = self.chain.gate(&self.stage, &pod, boot).await;
        self.gates.insert(member.into(), gate);
        pod
    }

    /// Its gate says nothing more.
    pub fn kill(&mut self, member: &str) {
        drop(self.gates.remove(member).unwrap());
    }

    /// Its pod is gone from the API, whatever runs on its machine.
    pub async fn delete_by_force(&self, member: &str) {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/val-{member}-0");
        let now = json!({"gracePeriodSeconds": 0});
        send(&self.stage.server.client, "DELETE", &path, JSON, &now).await.unwrap();
    }

    pub async fn patch(&self, path: &str, change: &Value) {
        send(&self.stage.server.client, "PATCH", path, MERGE, change).await.unwrap();
    }

    /// Whoever leads does not know it yet, and whoever comes leads at once: for a while, both do.
    pub async fn free_the_lease(&self) {
        self.patch(LEASE, &json!({"spec": null})).await;
    }

    pub async fn record(&self) -> Option<Record> {
        let status = self.stage.identity().await["status"].clone();
        let status: Option<SigningIdentityStatus> = serde_json::from_value(status).unwrap();
        status.map(|status| Record::try_from(&status).unwrap())
    }

    pub async fn until<T>(&self, what: &str, wanted: impl Fn(&Record) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let record = self.record().await;
            if let Some(found) = record.as_ref().and_then(&wanted) {
                return found;
            }
            assert!(begun.elapsed() < SOON, "no {what}: {record:?}\n{}", self.stage.server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a member signs in an epoch; the record then, and the height of its first signature.
    pub async fn signs(&self, member: &str, epoch: u64) -> (Record, u64) {
        let what = format!("{member} in epoch {epoch}");
        let holds = |record: &Record| {
            let held = matches!(&record.phase, Phase::Active(holder) if holder.boot.is_some());
            let here = record.tenure.epoch.0 == epoch && record.ceiling > record.floor;
            (held && here).then(|| record.clone())
        };
        let record = self.until(&what, holds).await;
        let begun = Instant::now();
        loop {
            if let Some(first) = self.chain.signatures().into_iter().find(|of| of.epoch == epoch) {
                assert_eq!(first.member, member);
                assert!(Height(first.height) > record.floor, "{first:?} {record:?}");
                return (record, first.height);
            }
            assert!(begun.elapsed() < SOON, "no signature of {what}\n{}", self.stage.server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn get(&self) -> Value {
        get(&self.stage.server.client, GROUP).await.unwrap()
    }

    /// Waits until a condition of the group has this status and reason; its message.
    pub async fn says(&self, condition: &str, wanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let group = self.get().await;
            let all = group["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let found = all.iter().find(|of| of["type"] == condition).cloned().unwrap_or_default();
            let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
            if format!("{} {}", text("status"), text("reason")) == wanted {
                return text("message");
            }
            let log = self.stage.server.log();
            assert!(begun.elapsed() < SOON, "{condition} is {found} and not {wanted}\n{log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// One of the commands, as an administrator gives it.
    pub async fn order<T: AsRef<str>>(&self, arguments: &[T]) -> Output {
        let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        let mut command = self.stage.server.mainstay(&arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// It is carried out; what the command says.
    pub async fn ordered<T: AsRef<str>>(&self, arguments: &[T]) -> String {
        let output = self.order(arguments).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said} {why}\n{}", self.stage.server.log());
        said
    }

    pub async fn refused<T: AsRef<str>>(&self, arguments: &[T], words: &str) {
        let output = self.order(arguments).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains(words), "{words}: {said}\n{}", self.stage.server.log());
    }

    /// What became of every order.
    pub async fn outcomes(&self) -> Vec<String> {
        let path = format!("/apis/mainstay.dev/v1alpha1/namespaces/{NAMESPACE}/signingorders");
        let list = get(&self.stage.server.client, &path).await.unwrap();
        let items = list["items"].as_array().unwrap();
        items.iter().map(|of| of["status"]["outcome"].as_str().unwrap_or("open").to_owned()).collect()
    }

    /// Orders a switch about this epoch; where the order is.
    pub async fn switch(&self, epoch: u64, to: Option<&str>) -> String {
        let mut order = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SigningOrder",
            "metadata": {"generateName": "val-", "namespace": NAMESPACE},
            "spec": {"identity": KEY, "epoch": epoch, "by": "admin", "failover": {}}});
        if let Some(to) = to {
            order["spec"]["failover"]["to"] = json!(to);
        }
        let order = create(&self.stage.server.client, &order).await;
        format!("{}/{}", collection(&order), order["metadata"]["name"].as_str().unwrap())
    }

    /// Waits for what becomes of an order, and why.
    pub async fn answer(&self, path: &str) -> (String, String) {
        let begun = Instant::now();
        loop {
            let status = get(&self.stage.server.client, path).await.unwrap()["status"].clone();
            let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
            if ["Done", "Refused"].contains(&text("outcome").as_str()) {
                return (text("outcome"), text("reason"));
            }
            assert!(begun.elapsed() < SOON, "{status}\n{}", self.stage.server.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
