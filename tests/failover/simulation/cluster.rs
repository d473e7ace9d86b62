//! A toy cluster in time: what is in it, and what happens next.

use std::{
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
};

use mainstay::failover::{Pod, Record, Tenure, gate::Disk};

use super::{
    api::{Api, Reply},
    chain::Chain,
    dice::Dice,
    ending::Deadline,
    events::{Due, Event, Who},
    members::{Client, Member, Process, Signer},
    operators::{Operator, Switch},
    oracle::Oracle,
    setting::{FAULTS_END, Setting},
};

/// A run.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub now: u64,
    pub dice: Dice,
    pub setting: Setting,
    pub api: Api,
    pub chain: Chain,
    pub members: Vec<Member>,
    pub processes: Vec<Process>,
    pub operators: [Operator; 2],
    pub switch: Option<Switch>,
    /// Since when a holder could have signed.
    pub silence: Option<(Tenure, u64)>,
    /// Pods that are being deleted in an orderly way: their evidence stays.
    pub deleting: BTreeSet<String>,
    pub oracle: Oracle,
    /// Faults have stopped: by when somebody has to sign.
    pub calm: bool,
    pub deadline: Option<Deadline>,
    pub restored: bool,
    /// How many times a person adopted it, or released a pod.
    pub helped: u64,
    pub made: u64,
    pub story: Option<Vec<String>>,
    queue: BinaryHeap<Due>,
    order: u64,
}

impl Cluster {
    pub fn new(mut dice: Dice, setting: Setting, story: bool) -> Self {
        let members = setting.members;
        let operators = [Operator::new(&mut dice), Operator::new(&mut dice)];
        let mut cluster = Self {
            now: 0,
            dice,
            setting,
            api: Api::new(),
            chain: Chain::default(),
            members: Vec::new(),
            processes: Vec::new(),
            operators,
            switch: None,
            silence: None,
            deleting: BTreeSet::new(),
            oracle: Oracle::default(),
            calm: false,
            deadline: None,
            restored: false,
            helped: 0,
            made: 0,
            story: story.then(Vec::new),
            queue: BinaryHeap::new(),
            order: 0,
        };
        for member in 0..members {
            let pod = cluster.pod(member);
            let volume = Disk::default();
            cluster.members.push(Member { pod, newest: None, volume, kept: None, off_until: 0, still: false });
            cluster.push(0, Event::Starts(member));
        }
        cluster.push(0, Event::Looks(Who::Operator(0), 0));
        cluster.push(100, Event::Looks(Who::Operator(1), 0));
        cluster.push(0, Event::Round);
        let first = cluster.dice.within(20_000, 40_000);
        cluster.push(first, Event::Fault);
        cluster.push(FAULTS_END, Event::Calm);
        cluster
    }

    /// A pod of a member that was never there before.
    pub fn pod(&mut self, member: usize) -> Arc<Pod> {
        self.made += 1;
        let name = ["a", "b", "c"][member];
        Arc::new(Pod { member: name.into(), uid: format!("{name}{}", self.made), node: name.into() })
    }

    pub fn push(&mut self, after: u64, event: Event) {
        self.order += 1;
        self.queue.push(Due { at: self.now + after, order: self.order, event });
    }

    pub fn tell(&mut self, words: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = format!("{:>7} ms, head {}: {}", self.now, self.chain.head, words(self));
            self.story.iter_mut().for_each(|story| story.push(line.clone()));
        }
    }

    pub fn client(&mut self, who: Who) -> &mut Client {
        match who {
            Who::Process(which) => &mut self.processes[which].client,
            Who::Operator(which) => &mut self.operators[which].client,
        }
    }

    /// What its monotonic clock shows.
    pub fn clock(&self, who: Who) -> u64 {
        let rate = match who {
            Who::Process(which) => self.processes[which].client.rate,
            Who::Operator(which) => self.operators[which].client.rate,
        };
        self.now * rate / 1_000
    }

    /// The next thing happens. Whether there was one.
    pub fn step(&mut self) -> bool {
        let Some(Due { at, event, .. }) = self.queue.pop() else { return false };
        self.now = at;
        let Some(who) = event.of() else {
            self.happens(event);
            return true;
        };
        let durable = matches!(event, Event::Durable(..));
        let client = self.client(who);
        if !client.alive {
            self.inherited(event);
        } else if client.paused || client.busy && !durable {
            client.held.push(event);
        } else {
            self.happens(event);
        }
        true
    }

    /// The node of a process that is dead asks the next one.
    pub fn inherited(&mut self, event: Event) {
        if let Event::Asks(which, ask) = event
            && let Some(heir) = self.processes[which].heir
        {
            self.push(0, Event::Asks(heir, ask));
        }
    }

    /// What had to wait happens now, in its order; but nobody knows whether an answer or a deadline was first.
    pub fn release(&mut self, who: Who) {
        let mut held = std::mem::take(&mut self.client(who).held);
        if self.dice.one_in(2) {
            held.sort_by_key(|event| matches!(event, Event::TimesOut(..)));
        }
        // A node that was asked to wait for minutes asked long ago, and may ask before anything else is seen.
        if self.dice.one_in(2) {
            held.sort_by_key(|event| !matches!(event, Event::Asks(..)));
        }
        for event in held {
            self.push(0, event);
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Round => self.round(),
            Event::RoundEnds => self.round_ends(),
            Event::Asks(which, ask) => self.asks(which, &ask),
            Event::Durable(which, after) => self.durable(which, after),
            Event::Looks(who, turn) => self.looks(who, turn),
            Event::Arrives(request) => self.arrives(*request),
            Event::Replies(who, turn, reply) => self.replies(who, turn, *reply),
            Event::TimesOut(who, turn) => self.times_out(who, turn),
            Event::Expires(which) => self.expires(which),
            Event::Thaws(who) => self.thaws(who),
            Event::Joined(who) => self.client(who).cut = false,
            Event::Starts(member) => self.starts(member),
            // What stands still is not killed either.
            Event::Ends(which) if self.processes[which].client.paused => self.push(1_000, event),
            Event::Ends(which) => self.ends(which),
            Event::Replaced(member) => self.replaced(member),
            Event::OperatorStarts(which) => self.operator_starts(which),
            Event::Fault => self.fault(),
            Event::Restored => self.restored(),
            Event::Calm => self.calms(),
            Event::Helps => self.helps(),
        }
    }

    fn looks(&mut self, who: Who, turn: u32) {
        if self.client(who).turn != turn {
            return;
        }
        if let Who::Process(which) = who {
            self.processes[which].writes = 0;
        }
        self.ask(who, None);
    }

    /// Looks again after a while.
    pub fn rest(&mut self, who: Who, pause: u64) {
        let client = self.client(who);
        client.turn += 1;
        client.hurried = false;
        let turn = client.turn;
        self.push(pause, Event::Looks(who, turn));
    }

    fn times_out(&mut self, who: Who, turn: u32) {
        if self.client(who).turn == turn {
            let pause = match who {
                Who::Process(_) => self.setting.every,
                Who::Operator(_) => 2_000,
            };
            self.rest(who, pause);
        }
    }

    fn replies(&mut self, who: Who, turn: u32, reply: Reply) {
        if self.client(who).turn != turn {
            return;
        }
        let Some(record) = reply.record else {
            // Somebody else wrote first.
            self.ask(who, None);
            return;
        };
        match who {
            Who::Process(which) => self.sees(which, &record, reply.version, reply.sent),
            Who::Operator(which) => self.operator_sees(which, &record, reply.version),
        }
    }

    fn sees(&mut self, which: usize, record: &Record, version: u64, sent: u64) {
        match self.processes[which].signer {
            Signer::Gate(_) => self.gate_sees(which, record, version),
            Signer::Launcher(..) => self.launcher_sees(which, record, version, sent),
        }
    }
}
