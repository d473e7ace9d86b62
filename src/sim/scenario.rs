//! Telemetry that is made up: a toy chain and toy nodes that break in a known way, and that a restart may mend.

use super::{GRACE, Pod, Stage};
use crate::{
    plan::Step,
    signal::{Mono, Poll, Signal, Unknown, Value},
};

/// The wall clock at the beginning: a Monday, midnight UTC.
const BEGINS_AT: i64 = 1_767_571_200_000;
/// What breaks, breaks then (milliseconds): after warm-up and a while of health.
const BREAKS_AT: u64 = 600_000;
/// A node that comes back catches up so many times as fast as the chain goes on.
const CATCHES_UP: u64 = 10;
const MINUTE: u64 = 60_000;
/// A job that brings new data takes this long.
const JOB: u64 = 5 * MINUTE;

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// One node does not answer any more. A restart mends it.
    Hung,
    /// One node answers, and its head stands. A restart mends it.
    Stuck,
    /// One node's head stands again soon after each restart. A job mends it.
    Wedged,
    /// One node falls behind and catches up by itself.
    Behind,
    /// Half of the nodes stop answering at once.
    Half,
    /// All nodes stop answering at once.
    All,
    /// For ten minutes nothing can be seen, and all is well.
    Cut,
    /// For ten minutes the chain makes no block.
    Halt,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    Hung,
    Stuck,
    CatchesUp,
}

#[derive(Clone, Debug)]
struct Node {
    pod: Pod,
    condition: Condition,
    head: u64,
    /// When its pod is gone and the next one is there.
    made_anew_at: Option<u64>,
    /// When it breaks again after a restart.
    wedges_at: Option<u64>,
    /// Its data are new: it does not break again.
    resynced: bool,
}

/// A toy chain and its nodes.
#[derive(Clone, Debug)]
pub struct Scenario {
    fault: Fault,
    nodes: Vec<Node>,
    block_time: u64,
    until: u64,
    now: u64,
    height: u64,
}

impl Fault {
    /// Every fault, and what it is called.
    pub const ALL: [(&'static str, Self); 8] = [
        ("hung", Self::Hung),
        ("stuck", Self::Stuck),
        ("wedged", Self::Wedged),
        ("behind", Self::Behind),
        ("half", Self::Half),
        ("all", Self::All),
        ("cut", Self::Cut),
        ("halt", Self::Halt),
    ];
}

impl Scenario {
    /// So many targets on a chain with this time between blocks (milliseconds), watched for so long (milliseconds).
    #[must_use]
    pub fn new(fault: Fault, targets: u32, block_time: u64, until: u64) -> Self {
        let height = 1_000;
        let node = |index| Node {
            pod: Pod::new(&format!("node-{index}"), BEGINS_AT),
            condition: Condition::Well,
            head: height,
            made_anew_at: None,
            wedges_at: None,
            resynced: false,
        };
        Self {
            fault,
            nodes: (0..targets).map(node).collect(),
            block_time: block_time.max(1),
            until,
            now: 0,
            height,
        }
    }

    fn breaks(&mut self) {
        let count = self.nodes.len();
        let (which, condition) = match self.fault {
            Fault::Hung => (1, Condition::Hung),
            Fault::Stuck | Fault::Wedged => (1, Condition::Stuck),
            Fault::Behind => (1, Condition::CatchesUp),
            Fault::Half => (count.div_ceil(2), Condition::Hung),
            Fault::All => (count, Condition::Hung),
            Fault::Cut | Fault::Halt => return,
        };
        for node in self.nodes.iter_mut().take(which) {
            node.condition = condition;
            if condition == Condition::CatchesUp {
                node.head = node.head.saturating_sub(10 * MINUTE * CATCHES_UP / self.block_time);
            }
        }
    }

    /// Whether this is the time in which a passing fault lasts.
    fn lasts(&self, fault: Fault) -> bool {
        self.fault == fault && (BREAKS_AT..BREAKS_AT + 10 * MINUTE).contains(&self.now)
    }

    fn told(&self, head: Option<u64>, syncing: bool) -> Poll {
        let head = head.filter(|_| !self.lasts(Fault::Cut));
        let silent = || Err(Unknown::NoAnswer);
        // Who answers at all tells the rest as a healthy node would, so that rules about it can be judged.
        let known = |value: u64| head.map_or_else(silent, |_| Ok(Value::Whole(value)));
        let reachable =
            if self.lasts(Fault::Cut) { silent() } else { Ok(Value::Whole(u64::from(head.is_some()))) };
        let values = vec![
            (Signal::Reachable, reachable),
            (Signal::Head, head.map_or_else(silent, |head| Ok(Value::Whole(head)))),
            (Signal::Syncing, known(u64::from(syncing))),
            (Signal::Peers, known(20)),
            (Signal::RpcLatency, head.map_or_else(silent, |_| Ok(Value::of_millis(20)))),
        ];
        let at = Mono(super::run::EPOCH + self.now);
        Poll { asked_at: at, observed_at: at, values, ..Poll::default() }
    }
}

impl Stage for Scenario {
    fn until(&self) -> u64 {
        self.until
    }

    fn begins_at(&self) -> i64 {
        BEGINS_AT
    }

    fn tick(&mut self, now: u64) {
        let before = self.now;
        self.now = now;
        let blocks = now / self.block_time - before / self.block_time;
        if !self.lasts(Fault::Halt) {
            self.height += blocks;
        }
        if before < BREAKS_AT && now >= BREAKS_AT {
            self.breaks();
        }
        let (height, fault) = (self.height, self.fault);
        let wall = BEGINS_AT.saturating_add_unsigned(now);
        for node in &mut self.nodes {
            if node.made_anew_at.is_some_and(|at| at <= now) {
                node.made_anew_at = None;
                let made = node.pod.made + 1;
                node.pod = Pod { made, started: wall, ..Pod::new(&node.pod.name, BEGINS_AT) };
                node.condition = Condition::CatchesUp;
                node.wedges_at = (fault == Fault::Wedged && !node.resynced).then_some(now + 2 * MINUTE);
            }
            if node.wedges_at.is_some_and(|at| at <= now) {
                node.wedges_at = None;
                node.condition = Condition::Stuck;
            }
            match node.condition {
                Condition::Well => node.head = height,
                Condition::CatchesUp => {
                    node.head = (node.head + blocks * CATCHES_UP).min(height);
                    if node.head == height {
                        node.condition = Condition::Well;
                    }
                }
                Condition::Hung | Condition::Stuck => {}
            }
        }
    }

    fn pods(&self) -> Vec<Pod> {
        self.nodes.iter().map(|node| node.pod.clone()).collect()
    }

    fn poll(&self, pod: &Pod) -> Option<Poll> {
        let node = self.nodes.iter().find(|node| node.pod == *pod).filter(|node| !node.pod.terminating)?;
        let head = Some(node.head).filter(|_| node.condition != Condition::Hung);
        Some(self.told(head, node.condition == Condition::CatchesUp))
    }

    fn references(&self) -> Vec<(String, Poll)> {
        vec![("reference".into(), self.told(Some(self.height), false))]
    }

    fn act(&mut self, pod: &str, step: Step) -> bool {
        let (now, wall) = (self.now, BEGINS_AT.saturating_add_unsigned(self.now));
        let Some(node) = self.nodes.iter_mut().find(|node| node.pod.name == pod) else { return false };
        match step {
            Step::Reroute => (node.pod.serves, node.pod.turned_at) = (false, Some(wall)),
            Step::Rejoin => (node.pod.serves, node.pod.turned_at) = (true, Some(wall)),
            Step::Restart | Step::Job if node.pod.terminating => return false,
            Step::Restart => {
                node.pod.terminating = true;
                node.made_anew_at = Some(now + GRACE + 5_000);
            }
            Step::Job => {
                node.pod.terminating = true;
                node.resynced = true;
                node.made_anew_at = Some(now + JOB);
            }
            Step::Failover | Step::Page => {}
        }
        true
    }
}
