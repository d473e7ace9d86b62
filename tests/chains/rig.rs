//! The operator's eyes and judgement without a cluster: the world, its sources and its networks, driven by the test.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use mainstay::{
    api::{Network, NetworkLedgerSpec, NodeHealthPolicy},
    judge::{Verdict, VerdictKind},
    plan::{Decision, Hours, OwnFacts, PodFacts, Step, propose},
    policy::{validate, validate_network},
    signal::{Mono, Now, Poll, Reading, Server, Signal},
    telemetry::{AnySource, Client, Clock, Source, SystemClock, Target, address::Reach},
    world::{Key, PodView, Round, TargetKey, World},
};
use serde_json::{Value, json};

const NAMESPACE: &str = "chains";

/// What is watched.
pub struct Rig {
    pub world: World,
    pub clock: SystemClock,
    sources: Vec<(TargetKey, String, AnySource)>,
    references: Vec<(String, AnySource)>,
    /// The last poll of each target.
    pub polls: BTreeMap<String, Poll>,
    /// Every step that was proposed.
    pub proposed: Vec<(String, Step)>,
}

impl Rig {
    /// One network and one policy, over targets with these names whose RPC listens at these ports of loopback.
    pub fn new(network: &Value, policy: &Value, targets: &[(&str, &[(&str, u16)])]) -> Self {
        let mut object = json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "Network",
            "metadata": {"name": "net", "uid": "net"}, "spec": network,
        });
        object["spec"]["allowedNamespaces"] = json!([NAMESPACE]);
        let network: Network = serde_json::from_value(object).unwrap();
        let network = validate_network(&network).unwrap();
        let mut object = json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
            "metadata": {"name": "nodes", "namespace": NAMESPACE, "uid": "policy", "generation": 1},
            "spec": policy,
        });
        object["spec"]["network"] = json!("net");
        object["spec"]["mode"] = json!("Enforce");
        object["spec"]["selector"] = json!({"matchLabels": {"app": "node"}});
        let object: NodeHealthPolicy = serde_json::from_value(object).unwrap();
        let policy = validate(&object, network.family).unwrap();

        let clock = SystemClock::start();
        let client = Client::new(Reach::Anywhere, &[]).unwrap();
        let pods: Vec<Arc<PodView>> = targets.iter().map(|(name, ports)| Arc::new(pod(name, ports))).collect();
        let mut world = World::default();
        let wanted = world.sync(vec![network.clone()], vec![policy.clone()], &pods, Mono(0), clock.mono());
        let sources = wanted.into_iter().map(|wanted| {
            let target = Target {
                ip: IpAddr::from([127, 0, 0, 1]),
                ports: &wanted.ports,
                chain_id: &network.chain_id,
                family: network.family,
                references: &network.references,
            };
            let source = AnySource::at(target, &wanted.source, &client).unwrap();
            (wanted.target, wanted.source.name, source)
        });
        let references = network.references.iter().map(|reference| {
            let timeout = Duration::from_secs(2);
            let source = AnySource::of_reference(network.family, &network.chain_id, reference, &client, timeout);
            (reference.name.clone(), source.unwrap())
        });
        let (sources, references) = (sources.collect(), references.collect());
        let (polls, proposed) = (BTreeMap::new(), Vec::new());
        Self { world, clock, sources, references, polls, proposed }
    }

    /// Asks everybody once, judges, and notes what would be done.
    pub async fn round(&mut self) {
        let asks = self.world.asks().into_iter().next().map_or_else(|| Arc::from([]), |(_, asks)| asks);
        for (name, source) in &mut self.references {
            let poll = source.poll(&self.clock, &asks).await;
            self.world.file_reference("net", name, &poll, self.clock.mono());
        }
        for (target, name, source) in &mut self.sources {
            let poll = source.poll(&self.clock, &asks).await;
            self.world.file(target, name, &poll, self.clock.mono());
            self.polls.insert(format!("{}/{name}", target.uid), poll);
        }
        self.world.tick(self.clock.mono());
        for name in self.names() {
            if let Decision::Proposed(proposal) = self.decide(&name) {
                self.proposed.push((name, proposal.step));
            }
        }
    }

    /// Rounds for so long, one in a second.
    pub async fn rounds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.round().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Rounds until something holds.
    pub async fn until(&mut self, what: &str, seconds: u64, is: impl Fn(&Self) -> bool) {
        for _ in 0..seconds {
            self.round().await;
            if is(self) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let verdicts: Vec<_> = self.names().iter().map(|name| (name.clone(), self.verdict(name))).collect();
        panic!("waited {seconds} s for {what}: {verdicts:#?}");
    }

    pub fn names(&self) -> Vec<String> {
        self.world.pods_of(&key()).into_iter().map(|(name, _)| name).collect()
    }

    fn now(&self) -> Now {
        // The pods started long ago by the API server's clock, which here is the machine's.
        Now { mono: self.clock.mono(), wall: self.clock.wall(), server: Server(self.clock.wall().0) }
    }

    pub fn verdict(&self, target: &str) -> Verdict {
        let snapshot = self.world.snapshot(&key(), self.clock.mono(), self.now().server).unwrap();
        snapshot.targets.into_iter().find(|known| known.facts.pod == target).unwrap().facts.verdict
    }

    pub fn kind(&self, target: &str) -> VerdictKind {
        self.verdict(target).kind
    }

    /// What the newest poll of a source told.
    pub fn told(&self, target: &str, source: &str, signal: Signal) -> Result<u64, String> {
        let poll = self.polls.get(&format!("{target}/{source}")).ok_or("never asked")?;
        let value = poll.values.iter().find(|(known, _)| *known == signal).map(|(_, value)| value);
        let value = value.ok_or("not told")?.as_ref().map_err(ToString::to_string)?;
        // Millionths where it is not whole.
        value.micros().and_then(|micros| u64::try_from(micros).ok()).ok_or_else(|| value.to_string())
    }

    /// What would be done about a target now, with nothing else in the way.
    pub fn decide(&self, target: &str) -> Decision {
        let now = self.now();
        let snapshot = self.world.snapshot(&key(), now.mono, now.server).unwrap();
        let of = snapshot.targets.iter().find(|known| known.facts.pod == target).unwrap();
        let mut live = of.live.clone();
        if let PodFacts::Present(pod) = &mut live.pod {
            pod.age = 3_600_000;
        }
        let own = OwnFacts { cache_age: 0, schema_current: true, approvals_guarded: true };
        let round =
            Round::new(&snapshot, "chains/mainstay", NetworkLedgerSpec::default(), Hours::default(), own, now);
        propose(&round.facts(of, &live))
    }

    /// Which guard holds a target, and why.
    pub fn held(&self, target: &str) -> String {
        match self.decide(target) {
            Decision::Refused(refusal) => format!("{}: {}", refusal.guard.name(), refusal.held.why),
            Decision::Nothing => "nothing to do".into(),
            Decision::Proposed(proposal) => format!("proposed {}", proposal.step.name()),
        }
    }

    pub fn restarts(&self) -> usize {
        self.proposed.iter().filter(|(_, step)| *step == Step::Restart).count()
    }

    /// The network as it is shown.
    pub fn network(&self) -> mainstay::world::NetworkSnapshot {
        self.world.network("net", self.clock.mono()).unwrap()
    }

    /// A signal of a target, derived ones included, as the judge reads it.
    pub fn read(&self, target: &str, signal: Signal) -> Reading {
        self.world.read(&TargetKey { policy: key(), uid: target.into() }, signal, self.clock.mono())
    }
}

fn key() -> Key {
    Key { namespace: NAMESPACE.into(), name: "nodes".into() }
}

fn pod(name: &str, ports: &[(&str, u16)]) -> PodView {
    let ports: Vec<_> =
        ports.iter().map(|(name, port)| json!({"name": name, "containerPort": port, "protocol": "TCP"})).collect();
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": name, "resourceVersion": "1",
            "labels": {"app": "node"},
            "ownerReferences": [{"kind": "StatefulSet", "name": "node", "uid": "set", "controller": true}],
        },
        "spec": {"containers": [{"name": "node", "ports": ports}], "terminationGracePeriodSeconds": 30},
        "status": {
            "phase": "Running", "podIP": "127.0.0.1", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }))
    .unwrap()
}
