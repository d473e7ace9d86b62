//! A Service leads to the holder's pod, and to no other at any time. What stands behind it is a node with its RPC in the place of
//! a remote signer: nothing is signed here, and what refuses a second signature is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use super::super::{
    frozen::{Frozen, pause},
    group::Group,
    shape::Shape,
};
use crate::{
    rig::{apply, cluster, get, now, pid_component, wait},
    stage::SOON,
    traffic::{Client, moniker},
};

/// The pods that a Service leads to, over time: when (milliseconds since the epoch), and the uids.
type Led = Vec<(i64, BTreeSet<String>)>;

/// A watch of a Service's endpoints.
struct Endpoints {
    led: Arc<Mutex<Led>>,
    kubectl: Child,
}

// === impl Endpoints ===

impl Endpoints {
    fn watch(namespace: &str) -> Self {
        let kubeconfig = cluster(&["kubeconfig"]).expect("a cluster");
        let mut command = Command::new(cluster(&["tool", "kubectl"]).expect("kubectl").trim());
        command.env("KUBECONFIG", kubeconfig.trim()).stdin(Stdio::null()).stdout(Stdio::piped());
        command.args(["-n", namespace, "get", "endpointslices", "-l", "kubernetes.io/service-name=signer"]);
        let mut kubectl = command.args(["-o", "json", "-w", "--output-watch-events"]).spawn().expect("kubectl");
        let events = kubectl.stdout.take().expect("its output");
        let led = Arc::new(Mutex::new(Vec::new()));
        let mine = Arc::clone(&led);
        thread::spawn(move || {
            let mut slices = BTreeMap::new();
            for event in serde_json::Deserializer::from_reader(events).into_iter::<Value>().flatten() {
                let name = event["object"]["metadata"]["name"].to_string();
                if event["type"] == "DELETED" {
                    slices.remove(&name);
                } else {
                    slices.insert(name, pods(&event["object"]));
                }
                mine.lock().expect("a lock").push((now(), slices.values().flatten().cloned().collect()));
            }
        });
        Self { led, kubectl }
    }

    fn led(&self) -> Led {
        self.led.lock().expect("a lock").clone()
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        drop(self.kubectl.kill());
        drop(self.kubectl.wait());
    }
}

/// The uids of the pods in a slice that take connections.
fn pods(slice: &Value) -> BTreeSet<String> {
    let endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
    let takes = endpoints.into_iter().filter(|endpoint| endpoint["conditions"]["ready"] != false);
    takes.map(|endpoint| endpoint["targetRef"]["uid"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A group whose Service leads to `a`, and where that is.
fn served(name: &str, said: &'static str) -> (Group, SocketAddr) {
    let group = Group::shaped(name, said, &[], Shape::Served, |_, namespace| {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "signer", "namespace": namespace},
            "spec": {
                "selector": {"mainstay.dev/signing": "true"}, "publishNotReadyAddresses": true,
                "ports": [{"name": "rpc", "port": 26657, "targetPort": "rpc"}],
            },
        });
        apply(&service.to_string()).expect("a Service");
    });
    let address = get(&["-n", &group.stage.namespace, "service", "signer"])["spec"]["clusterIP"].clone();
    let address = format!("{}:26657", address.as_str().unwrap_or_default()).parse().expect("an address");
    assert!(moniker(address).is_err(), "it leads nowhere before somebody holds the place");
    group.init();
    wait("a to be reached", SOON, || (moniker(address).ok()? == "a-0").then_some(())).expect("an endpoint");
    (group, address)
}

/// Waits until a member is reached, and says when the former one was last.
fn moved(group: &Group, client: &Client, from: &str, to: &str, since: i64) {
    let (from, to) = (format!("{from}-0"), format!("{to}-0"));
    let first = wait(&format!("{to} to be reached"), SOON, || client.answered(&to, since).1).expect("an answer");
    pause(3);
    let (last, _) = client.answered(&from, 0);
    let last = last.expect("it was reached before");
    let between = client.seen().into_iter().filter(|(at, who)| *at > last && *at < first && who.is_err()).count();
    println!(
        "{}: the last connection to {from} came {} ms after the order, the first one to {to} {} ms after it; {between} \
         between them came to nothing",
        group.said,
        last - since,
        first - since,
    );
    assert!(last < first, "{from} was reached again after {to}");
}

#[test]
#[ignore = "needs the local cluster of two nodes: make e2e-failover-full"]
fn a_service_leads_to_the_holder_and_never_to_two() {
    let (group, address) = served("served", "endpoint");
    let (endpoints, client) = (Endpoints::watch(&group.stage.namespace), Client::of(address));
    pause(3);

    let begun = now();
    group.order(&["failover", "val", "--to", "b"]).expect("a switch");
    moved(&group, &client, "a", "b", begun);

    // Its machine is frozen. The endpoint is the API server's, and moves all the same.
    let machine = Frozen::process(group.pid("b", "node"));
    let kubelet = Frozen::process(pid_component("kubelet-2"));
    let begun = now();
    group.order(&["failover", "val", "--to", "a"]).expect("a switch");
    moved(&group, &client, "b", "a", begun);
    machine.thaw();
    kubelet.thaw();

    // The twin of a pod is another pod, and gets its label in an epoch of its own.
    let epoch = group.epoch();
    let begun = now();
    group.stage.kubectl(&["delete", "pod", "a-0", "--force", "--grace-period=0"]);
    wait("another epoch", SOON, || (group.epoch() > epoch).then_some(())).expect("an epoch");
    let uid = wait("its holder", SOON, || Some(group.record()?.holder()?.pod.uid.clone())).expect("a holder");
    wait("its pod to be the only one", SOON, || {
        (endpoints.led().last()?.1 == BTreeSet::from([uid.clone()])).then_some(())
    })
    .expect("an endpoint");
    wait("an answer", SOON, || client.answered("a-0", begun).1).expect("an answer");

    let led = endpoints.led();
    let most = led.iter().map(|(_, pods)| pods.len()).max().unwrap_or_default();
    assert_eq!(most, 1, "{led:#?}");
    drop(client);
    let writes = group.is_lawful(0);
    println!("endpoint: {} states of it, none with two pods; {writes} writes of the record", led.len());
}
