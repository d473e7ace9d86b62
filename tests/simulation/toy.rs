//! A toy chain and a toy cluster: nodes that hang, stick, catch up and break again, an API server that keeps an audit log,
//! and everything that may go wrong around them, all of it from one seed.

use std::{collections::BTreeMap, sync::Arc};

use mainstay::{
    api::{NetworkLedgerSpec, Phase},
    plan::{
        CronJobFacts, GroupFacts, Live, NodeFacts, PodFacts, PodPresent, Rotation, Said, Stop, Vantage,
        WorkloadFacts,
    },
    signal::{Mono, Now, Poll, Server, Signal, Testimony, Unknown, Value, Wall},
    world::{Owner, PodView},
};

use super::plan::{Plan, Span};
use crate::dice::Dice;

/// A step of time (milliseconds).
pub const TICK: u64 = 2_000;
/// Until then things break, and after that they may heal (milliseconds).
pub const FAULTS_END: u64 = 360_000;
pub const END: u64 = 1_200_000;
const BASE: i64 = 1_800_000_000_000;
/// How long a pod takes to end.
const GRACE: u64 = 6_000;

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Well,
    /// It does not answer.
    Hung,
    /// It answers, and its head stands.
    Stuck,
    /// It is behind and gets on.
    CatchesUp,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub slot: String,
    pub made: u32,
    pub condition: Condition,
    /// When that last changed.
    pub changed_at: u64,
    pub head: u64,
    pub started: u64,
    pub ends: Option<u64>,
    /// So many restarts change nothing.
    pub stubborn: u32,
    pub ignored: bool,
    pub machine: u64,
}

/// A remediation as the API server has it.
#[derive(Clone, Debug)]
pub struct Journal {
    pub slot: String,
    pub uid: String,
    pub attempt: i32,
    pub page: bool,
    pub created: u64,
    pub phase: Phase,
    pub reason: String,
    pub acted_at: Option<i64>,
    pub deadline: Option<i64>,
    pub held: bool,
    pub version: u64,
    pub ended: u64,
}

#[derive(Clone, Debug)]
pub struct Act {
    pub at: u64,
    pub slot: String,
    pub uid: String,
}

pub struct Toy {
    pub now: u64,
    pub dice: Dice,
    pub plan: Plan,
    pub height: u64,
    pub moved_at: u64,
    pub nodes: Vec<Node>,
    pub ledger: NetworkLedgerSpec,
    pub journals: BTreeMap<String, Journal>,
    pub acts: Vec<Act>,
    /// What the caches last heard of the pods, and when.
    pub cached: (Vec<Arc<PodView>>, u64),
}

impl Toy {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let nodes = 3 + dice.below(4);
        let mut plan = Plan {
            two_leaders: dice.one_in(2),
            skew: if dice.one_in(4) { 3_600_000 } else { 0 },
            deaths: 20 + dice.below(200),
            losses: 10 + dice.below(100),
            ..Plan::default()
        };
        // Each fault in some of the runs, so that none hides the others.
        let spans: [(&mut Span, u64); 12] = [
            (&mut plan.cut, 60_000),
            (&mut plan.halt, 90_000),
            (&mut plan.liar, 120_000),
            (&mut plan.frozen, 60_000),
            (&mut plan.stop, 120_000),
            (&mut plan.pause, 120_000),
            (&mut plan.observe, 120_000),
            (&mut plan.rollout, 120_000),
            (&mut plan.cordon, 120_000),
            (&mut plan.closed, 120_000),
            (&mut plan.deaf, 150_000),
            (&mut plan.asleep, 90_000),
        ];
        for (span, longest) in spans {
            if dice.one_in(4) {
                *span = dice.span(longest);
            }
        }
        // Dice of its own: the other faults of a seed are the same with it and without.
        let mut blind = Dice(seed ^ 0xb11d);
        if blind.one_in(4) {
            plan.blind = (usize::try_from(blind.below(nodes)).unwrap(), blind.span(120_000));
        }
        let all_at_once = dice.one_in(6).then(|| dice.below(FAULTS_END));
        for _ in 0..=dice.below(4) {
            let condition =
                [Condition::Hung, Condition::Stuck, Condition::CatchesUp][usize::try_from(dice.below(3)).unwrap()];
            let stubborn = [0, 0, 1, 2][usize::try_from(dice.below(4)).unwrap()];
            let which = usize::try_from(dice.below(nodes)).unwrap();
            let at = dice.below(FAULTS_END);
            plan.breaks.push((at, which, condition, stubborn));
            // Some get well by themselves, just when somebody is about to help.
            if dice.one_in(3) {
                plan.breaks.push((at + 12_000 + dice.below(40_000), which, Condition::Well, 0));
            }
        }
        if let Some(at) = all_at_once {
            for which in 0..usize::try_from(nodes).unwrap() {
                plan.breaks.push((at, which, Condition::Hung, 0));
            }
        }
        let one_machine = dice.one_in(5).then(|| dice.below(FAULTS_END));
        let nodes: Vec<Node> = (0..nodes)
            .map(|index| Node {
                slot: format!("full-{index}"),
                made: 0,
                condition: Condition::Well,
                changed_at: 0,
                head: 1_000,
                started: 0,
                ends: None,
                stubborn: 0,
                ignored: dice.one_in(12),
                machine: index % 2,
            })
            .collect();
        if let Some(at) = one_machine {
            for which in (0..nodes.len()).filter(|which| nodes[*which].machine == 0) {
                plan.breaks.push((at, which, Condition::Hung, 0));
            }
        }
        let mut toy = Self {
            now: 0,
            dice,
            plan,
            height: 1_000,
            moved_at: 0,
            nodes,
            ledger: NetworkLedgerSpec::default(),
            journals: BTreeMap::new(),
            acts: Vec::new(),
            cached: (Vec::new(), 0),
        };
        toy.cached = (toy.pods(), 0);
        toy
    }

    /// All three clocks. Ours is off by what the plan says; the API server's is right.
    pub fn clocks(&self) -> Now {
        let server = BASE + i64::try_from(self.now).unwrap();
        Now { mono: self.mono(), wall: Wall(server + self.plan.skew), server: Server(server) }
    }

    pub fn mono(&self) -> Mono {
        Mono(100_000_000 + self.now)
    }

    /// Two seconds pass.
    pub fn tick(&mut self) {
        self.now += TICK;
        let now = self.now;
        if !self.plan.halt.has(now) {
            self.height += 1;
            self.moved_at = now;
        }
        let before: Vec<_> = self.nodes.iter().map(|node| node.condition).collect();
        for (at, which, condition, stubborn) in self.plan.breaks.clone() {
            let node = &mut self.nodes[which];
            // One that hangs does not get on by itself.
            let odd = condition == Condition::CatchesUp && node.condition != Condition::Well;
            if at / TICK == now / TICK && node.ends.is_none() && !odd {
                (node.condition, node.stubborn) = (condition, stubborn);
                if condition == Condition::CatchesUp {
                    node.head = node.head.saturating_sub(60);
                }
            }
        }
        for (node, before) in self.nodes.iter_mut().zip(before) {
            if node.ends.is_some_and(|end| end <= now) {
                node.ends = None;
                node.made += 1;
                node.started = now;
                if node.stubborn > 0 {
                    node.stubborn -= 1;
                } else {
                    node.condition = Condition::CatchesUp;
                }
            }
            match node.condition {
                Condition::Well => node.head = self.height,
                Condition::CatchesUp => {
                    node.head = (node.head + 4).min(self.height);
                    if node.head == self.height {
                        node.condition = Condition::Well;
                    }
                }
                Condition::Hung | Condition::Stuck => {}
            }
            if node.condition != before {
                node.changed_at = now;
            }
        }
        if !self.plan.deaf.has(now) {
            self.cached = (self.pods(), now);
        }
    }

    fn pods(&self) -> Vec<Arc<PodView>> {
        self.nodes.iter().map(|node| Arc::new(Self::pod(node))).collect()
    }

    fn pod(node: &Node) -> PodView {
        PodView {
            namespace: "cosmos".into(),
            name: node.slot.clone(),
            uid: uid(node),
            resource_version: node.made.to_string(),
            labels: [("app".to_owned(), "node".to_owned())].into(),
            ip: Some("10.0.0.1".into()),
            node: Some(format!("n{}", node.machine)),
            owner: Some(Owner { kind: "StatefulSet".into(), name: "full".into(), uid: "set".into() }),
            ports: vec![(Some("rpc".into()), 26657)],
            terminating: node.ends.is_some(),
            grace: GRACE / 1000,
            started: Some(Server(BASE + i64::try_from(node.started).unwrap())),
            ready: true,
            ignored: node.ignored,
            phase: "Running".into(),
            ..PodView::default()
        }
    }

    /// What a poll of a node tells; `None` of one whose pod is on its way out.
    pub fn poll(&self, node: &Node) -> Option<Poll> {
        node.ends.is_none().then(|| {
            let (which, blind) = self.plan.blind;
            let blind = blind.has(self.now) && self.nodes[which].slot == node.slot;
            let silent = self.plan.cut.has(self.now) || blind || node.condition == Condition::Hung;
            self.told(if silent { None } else { Some(node.head) }, node.condition == Condition::CatchesUp)
        })
    }

    pub fn reference(&self) -> Poll {
        let head = if self.plan.liar.has(self.now) {
            self.height + 1_000_000
        } else if self.plan.frozen.has(self.now) {
            1_000
        } else {
            self.height
        };
        self.told(if self.plan.cut.has(self.now) { None } else { Some(head) }, false)
    }

    fn told(&self, head: Option<u64>, syncing: bool) -> Poll {
        let silent = || Err(Unknown::NoAnswer);
        let values = vec![
            (Signal::Reachable, Ok(Value::Whole(u64::from(head.is_some())))),
            (Signal::Head, head.map_or_else(silent, |head| Ok(Value::Whole(head)))),
            (Signal::Syncing, head.map_or_else(silent, |_| Ok(Value::Whole(u64::from(syncing))))),
        ];
        Poll { asked_at: self.mono(), observed_at: self.mono(), values, ..Poll::default() }
    }

    pub fn node(&self, slot: &str) -> &Node {
        self.nodes.iter().find(|node| node.slot == slot).unwrap()
    }

    /// A live read.
    pub fn live(&self, slot: &str) -> Live {
        let node = self.node(slot);
        let pod = PodPresent {
            uid: uid(node),
            resource_version: node.made.to_string(),
            terminating: node.ends.is_some(),
            ignored: node.ignored,
            controlled: true,
            protected: false,
            host_network: false,
            crash_loop: false,
            grace: GRACE / 1000,
            age: self.now - node.started,
            rotation: Rotation::default(),
        };
        let rolls = self.plan.rollout.has(self.now);
        let cordoned = self.plan.cordon.has(self.now);
        let told = match node.condition {
            _ if self.plan.cut.has(self.now) => Testimony::Unknown { why: "x".into() },
            Condition::Hung => Testimony::Silent { age: 0 },
            Condition::Well | Condition::Stuck | Condition::CatchesUp => Testimony::Reaches { age: 0 },
        };
        Live {
            stop: if self.plan.stop.has(self.now) { Stop::Stopped("x".into()) } else { Stop::Go },
            pod: PodFacts::Present(pod),
            workload: if rolls { WorkloadFacts::RollingOut("x".into()) } else { WorkloadFacts::Settled },
            node: if cordoned { NodeFacts::Unfit("x".into()) } else { NodeFacts::Ready },
            cron_job: CronJobFacts::Unread,
            group: GroupFacts::Absent,
            vantage: Vantage::Asked(vec![Said { replica: "another".into(), told: Ok(told) }]),
        }
    }

    /// An eviction with preconditions. Whether it was accepted.
    pub fn evict(&mut self, slot: &str, of: &str) -> bool {
        let now = self.now;
        let Some(node) = self.nodes.iter_mut().find(|node| node.slot == slot && uid(node) == of) else {
            return false;
        };
        if node.ends.is_some() {
            return false;
        }
        node.ends = Some(now + GRACE);
        self.acts.push(Act { at: now, slot: slot.to_owned(), uid: of.to_owned() });
        true
    }
}

pub fn uid(node: &Node) -> String {
    format!("{}-{}", node.slot, node.made)
}
