//! A control plane with the chart's policies about signers in force, and the example of a validator with a standby in it.

use std::{fs, path::Path, time::Duration};

use kube::Client;
use mainstay::{
    effect::signing::{read_identity, write_record},
    failover::{self, Height, Pod, Record, gate},
    gate::registry::{Identity, Registry, Trouble},
};
use serde_json::{Value, json};

use crate::{
    apiserver::ApiServer,
    online::definitions_are_taken_and_a_second_time_changes_nothing,
    render::{documents, manifests},
};

pub const NAMESPACE: &str = "validator";
pub const KEY: &str = "demo-1.d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
pub const MERGE: &str = "application/merge-patch+json";
pub const JSON: &str = "application/json";

/// The control plane, with a namespace of which the owner is the example.
pub struct Stage {
    pub server: ApiServer,
}

/// A gate as it is in a pod, without the socket and the key.
pub struct Member {
    pub gate: gate::Gate,
    identity: Identity,
}

pub async fn send(client: &Client, method: &str, path: &str, format: &str, body: &Value) -> Result<Value, String> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", format);
    let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
    client.request::<Value>(request).await.map_err(|error| error.to_string())
}

pub async fn get(client: &Client, path: &str) -> Result<Value, String> {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    client.request(request).await.map_err(|error| error.to_string())
}

/// Where objects of its kind are created.
pub fn collection(object: &Value) -> String {
    let (version, kind) =
        (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap().to_lowercase());
    let api = if version.contains('/') { "/apis" } else { "/api" };
    let plural = kind.strip_suffix('y').map_or(format!("{kind}s"), |stem| format!("{stem}ies"));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{api}/{version}/namespaces/{namespace}/{plural}"),
        None => format!("{api}/{version}/{plural}"),
    }
}

/// As strict as kubectl, and nothing of it stays.
pub async fn try_to(client: &Client, object: &Value) -> Result<Value, String> {
    let path = format!("{}?dryRun=All&fieldValidation=Strict", collection(object));
    send(client, "POST", &path, JSON, object).await
}

pub async fn create(client: &Client, object: &Value) -> Value {
    let path = format!("{}?fieldValidation=Strict", collection(object));
    send(client, "POST", &path, JSON, object).await.unwrap_or_else(|error| panic!("{object}: {error}"))
}

/// The manifests of the example, in the order in which its README applies them.
pub fn example() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/validator-failover");
    let files = ["cluster", "group", "members"].map(|name| folder.join(name).with_extension("yaml"));
    files.iter().flat_map(|file| documents(&fs::read_to_string(file).unwrap())).collect()
}

/// The set of a member in the example.
pub fn set(member: &str) -> Value {
    let name = format!("val-{member}");
    let mut sets = example().into_iter().filter(|object| object["kind"] == "StatefulSet");
    sets.find(|set| set["metadata"]["name"] == name).unwrap()
}

/// A signer's set that is older than the policies, and would be refused by them.
pub fn older() -> Value {
    let mut older = set("a");
    older["metadata"] = json!({"name": "older", "namespace": "default"});
    older["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(5);
    older
}

// === impl Stage ===

impl Stage {
    pub async fn new() -> Self {
        let stage = Self { server: ApiServer::start().await };
        let admin = &stage.server.client;
        definitions_are_taken_and_a_second_time_changes_nothing(admin).await;
        create(admin, &older()).await;
        for object in manifests(&json!({"failover": {"enabled": true}})) {
            let kind = object["kind"].as_str().unwrap();
            let name = object["metadata"]["name"].as_str().unwrap().rsplit('-').next().unwrap();
            if kind.starts_with("ValidatingAdmission")
                && ["signing", "orders", "identities", "signers", "groups", "clients", "enforce"].contains(&name)
            {
                create(admin, &object).await;
            }
        }
        for object in example() {
            // The policies take effect by and by; what is created meanwhile is held to them all the same, below.
            create(admin, &object).await;
        }
        stage.in_force().await;
        stage
    }

    /// Waits until each of the four policies refuses something.
    async fn in_force(&self) {
        let admin = &self.server.client;
        let api = json!("mainstay.dev/v1alpha1");
        let spec = json!({"network": "demo", "namespace": NAMESPACE, "group": "val"});
        let identity =
            json!({"apiVersion": api, "kind": "SigningIdentity", "metadata": {"name": "x"}, "spec": spec});
        let order = json!({"apiVersion": api, "kind": "SigningOrder", "metadata": {"name": "x", "namespace": NAMESPACE},
            "spec": {"identity": KEY, "epoch": 0, "by": "nobody", "init": {"assertion": "x"}}});
        let mut shape = older();
        shape["metadata"]["name"] = json!("x");
        for object in [identity, order, shape] {
            let mut tries = 300;
            while try_to(admin, &object).await.is_ok() {
                tries -= 1;
                assert!(tries > 0, "not in force: {object}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let record = Record::adopted(failover::Epoch(0), failover::Activation(1), Height(0));
        let status = json!({"status": mainstay::api::SigningIdentityStatus::from(&record)});
        let path = format!("{}?dryRun=All", Self::record_path());
        while send(admin, "PATCH", &path, MERGE, &status).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Gives Mainstay's account the rights of the chart, and what else an operator finds there.
    pub async fn grant(&self) {
        let admin = &self.server.client;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mainstay-system"}});
        create(admin, &namespace).await;
        let wanted = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Lease"];
        for object in manifests(&json!({"failover": {"enabled": true}})) {
            let stop = object["kind"] == "ConfigMap" && object["metadata"]["name"] == "mainstay-stop";
            let hook = object["metadata"]["annotations"]["helm.sh/hook"].is_string();
            if stop || wanted.iter().any(|kind| object["kind"] == *kind) && !hook {
                create(admin, &object).await;
            }
        }
    }

    /// Where the record is.
    pub fn record_path() -> String {
        format!("/apis/mainstay.dev/v1alpha1/signingidentities/{KEY}/status")
    }

    /// The whole identity, as it is.
    pub async fn identity(&self) -> Value {
        get(&self.server.client, &Self::record_path()).await.unwrap()
    }

    /// The pod of a member, as its set's controller would make it.
    pub fn pod(member: &str, uid_of_set: &str) -> Value {
        let set = set(member);
        let (name, template) = (set["metadata"]["name"].as_str().unwrap(), &set["spec"]["template"]);
        let pod = format!("{name}-0");
        let mut object =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
        object["metadata"]["name"] = json!(pod);
        object["metadata"]["namespace"] = json!(NAMESPACE);
        object["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = json!("0");
        object["metadata"]["ownerReferences"] = json!([
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": uid_of_set, "controller": true},
        ]);
        object["spec"]["nodeName"] = json!(format!("node-of-{member}"));
        let volumes = object["spec"]["volumes"].as_array_mut().unwrap();
        for claim in set["spec"]["volumeClaimTemplates"].as_array().unwrap() {
            let claim = claim["metadata"]["name"].as_str().unwrap();
            volumes.push(json!({"name": claim, "persistentVolumeClaim": {"claimName": format!("{claim}-{pod}")}}));
        }
        object
    }

    /// Creates the pod of a member; what the record calls it.
    pub async fn start(&self, member: &str) -> Pod {
        self.start_with(member, |_| {}).await
    }

    /// The same with a change of the pod.
    pub async fn start_with(&self, member: &str, change: impl FnOnce(&mut Value)) -> Pod {
        let admin = &self.server.client;
        let mut of = set(member);
        let path = format!("{}/val-{member}", collection(&of));
        of = get(admin, &path).await.unwrap();
        let mut pod = Self::pod(member, of["metadata"]["uid"].as_str().unwrap());
        change(&mut pod);
        let pod = create(admin, &pod).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Pod { member: member.into(), uid: text(&pod["metadata"]["uid"]), node: text(&pod["spec"]["nodeName"]) }
    }

    /// A client with a token of an account, bound to a pod as the kubelet binds it.
    pub async fn account(&self, account: &str, pod: Option<(&str, &str)>) -> Client {
        let bound = pod.map(|(name, uid)| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}));
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": {"name": account, "namespace": NAMESPACE}, "spec": {"audiences": [], "boundObjectRef": bound}});
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token");
        let answer = send(&self.server.client, "POST", &path, JSON, &request).await.unwrap();
        self.server.client_of(answer["status"]["token"].as_str().unwrap())
    }

    /// What the gate in a pod may use.
    pub async fn client_of(&self, pod: &Pod) -> Client {
        let (account, name) = (format!("val-{}", pod.member), format!("val-{}-0", pod.member));
        self.account(&account, Some((&name, &pod.uid))).await
    }

    /// A process of the gate in a pod.
    pub async fn gate(&self, pod: &Pod, boot: u128) -> Member {
        let me = gate::Me { pod: pod.clone().into(), boot: failover::Boot(boot) };
        let identity = Identity::new(self.client_of(pod).await, KEY);
        Member { gate: gate::Gate::new(me, gate::Disk::default()), identity }
    }

    /// What the operator makes of the record, under its own name.
    pub async fn operator(&self, make: impl FnOnce(Option<Record>) -> Record) -> Record {
        let own = self.server.own_account();
        let read = read_identity(&own, KEY).await.unwrap().unwrap();
        let next = make(read.record.clone().unwrap());
        write_record(&own, &read, &next).await.unwrap().record.unwrap().unwrap()
    }

    /// One step of the operator.
    pub async fn step(&self, event: failover::Event) -> Record {
        self.operator(|record| failover::step(&record.unwrap(), event).0).await
    }
}

// === impl Member ===

impl Member {
    /// One look at the record, while the node asks for a height; what was written, and is there now.
    pub async fn turn(&mut self, asked: u64) -> Result<Record, Trouble> {
        let seen = self.identity.read().await?;
        let (record, window) = (seen.record.clone().unwrap(), seen.window());
        let wanted = self.see(record, asked, window).expect("something to write");
        let written = self.identity.write(&seen, &wanted).await?.record.unwrap();
        assert_eq!(written, wanted);
        self.see(written.clone(), 0, window);
        Ok(written)
    }

    fn see(&mut self, record: Record, asked: u64, window: u64) -> Option<Record> {
        let limits = gate::Limits { window, jump: window * 50, reach: Height(u64::MAX) };
        let (next, acts) = gate::step(&self.gate, &gate::Event::Seen { record, asked: Height(asked) }, &limits);
        self.gate = next;
        acts.into_iter().find_map(|act| match act {
            gate::Act::Put(record) => Some(record),
            gate::Act::Persist | gate::Act::Page(_) => None,
        })
    }

    pub fn hears(&mut self, event: &gate::Event) {
        self.gate =
            gate::step(&self.gate, event, &gate::Limits { window: 20, jump: 1_000, reach: Height(u64::MAX) }).0;
    }
}
