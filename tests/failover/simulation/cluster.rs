//! A toy cluster in time: what is in it, and what happens next.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
};

use mainstay::failover::{
    Boot, Height, Pod, Record, Tenure,
    gate::{Ask, Disk, Gate, Hold, Launcher, Me},
};

use super::{
    api::{Api, Put, Reply, Request},
    chain::Chain,
    dice::Dice,
    ending::Deadline,
    operators::{Operator, Switch},
    oracle::Oracle,
    setting::{FAULTS_END, Flaw, Setting},
};

/// A process that talks to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Process(usize),
    Operator(usize),
}

/// What a process does once something is durable.
#[derive(Clone, Debug)]
pub enum After {
    Rest,
    Put(Box<Put>),
    Sign(Box<Ask>),
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    Round,
    RoundEnds,
    Asks(usize, Box<Ask>),
    Durable(usize, After),
    /// The turn tells whether it is still wanted.
    Looks(Who, u32),
    Arrives(Box<Request>),
    Replies(Who, u32, Box<Reply>),
    TimesOut(Who, u32),
    /// A hold may have ended.
    Expires(usize),
    Thaws(Who),
    Joined(Who),
    Starts(usize),
    Ends(usize),
    /// A pod that is being deleted is no more, and another one is made.
    Replaced(usize),
    OperatorStarts(usize),
    Fault,
    Restored,
    Calm,
    /// A person looks.
    Helps,
}

impl Event {
    /// Who has to be awake for it.
    const fn of(&self) -> Option<Who> {
        match self {
            Self::Looks(who, _) | Self::Replies(who, ..) | Self::TimesOut(who, _) => Some(*who),
            Self::Asks(which, _) | Self::Durable(which, _) | Self::Expires(which) => Some(Who::Process(*which)),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Due {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// What is due first is greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The side of a process that waits for answers.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Client {
    pub alive: bool,
    pub paused: bool,
    /// Cut off from the API server.
    pub cut: bool,
    /// Waits for its disk.
    pub busy: bool,
    /// Has been asked to look before its time.
    pub hurried: bool,
    /// Counts its requests: an answer to an earlier one comes too late.
    pub turn: u32,
    /// How fast its clock is, in thousandths.
    pub rate: u64,
    /// What has to wait.
    pub held: Vec<Event>,
}

impl Client {
    pub fn new(dice: &mut Dice) -> Self {
        Self {
            alive: true,
            paused: false,
            cut: false,
            busy: false,
            hurried: false,
            turn: 0,
            rate: dice.within(900, 1_100),
            held: Vec::new(),
        }
    }
}

#[derive(Clone, Debug)]
pub enum Signer {
    Gate(Box<Gate>),
    /// A launcher, and whether its command runs.
    Launcher(Launcher, bool),
}

#[derive(Clone, Debug)]
pub struct Process {
    pub client: Client,
    pub member: usize,
    pub pod: Arc<Pod>,
    pub signer: Signer,
    /// It has seen nothing yet.
    pub fresh: bool,
    /// What its node asked for last.
    pub asked: Height,
    /// How far its node is behind (milliseconds).
    pub lag: u64,
    /// The one that came after it in its pod: the node talks to that one.
    pub heir: Option<usize>,
    /// The container runtime has forgotten it.
    pub orphan: bool,
    pub stopping: bool,
    /// Writes since its last look.
    pub writes: u8,
    /// What it is making durable.
    pub pending: Option<Disk>,
}

impl Process {
    pub fn hold(&self) -> Option<Hold> {
        match &self.signer {
            Signer::Gate(gate) => gate.hold(),
            Signer::Launcher(..) => None,
        }
    }

    pub fn disk(&self) -> Option<&Disk> {
        match &self.signer {
            Signer::Gate(gate) => Some(&gate.disk),
            Signer::Launcher(..) => None,
        }
    }

    pub fn is_latched(&self) -> bool {
        self.disk().is_some_and(|disk| disk.latched.is_some())
    }

    pub const fn runs(&self) -> bool {
        self.client.alive && matches!(self.signer, Signer::Launcher(_, true))
    }
}

#[derive(Clone, Debug)]
pub struct Member {
    pub pod: Arc<Pod>,
    /// The process that the kubelet knows of.
    pub newest: Option<usize>,
    /// What is on its state volume, and what was kept of it.
    pub volume: Disk,
    pub kept: Option<Disk>,
    /// The machine is off until then.
    pub off_until: u64,
    /// The whole machine stands still.
    pub still: bool,
}

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
    pub fn new(seed: u64, flaw: Flaw, story: bool) -> Self {
        let mut dice = Dice(seed ^ 0x5157_3a11);
        let setting = Setting::draw(&mut dice, flaw);
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
        cluster.push(20_000, Event::Fault);
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
    fn inherited(&mut self, event: Event) {
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

    /// A process starts in the pod of a member, with what is on its volume.
    pub fn starts(&mut self, member: usize) {
        let of = &self.members[member];
        let pod = of.pod.clone();
        let runs = of.newest.is_some_and(|newest| {
            let process = &self.processes[newest];
            process.client.alive && !process.orphan && process.pod.uid == pod.uid
        });
        if runs || of.off_until > self.now || self.deleting.contains(&pod.uid) {
            return;
        }
        let client = Client::new(&mut self.dice);
        self.made += 1;
        let me = Me { pod: pod.clone(), boot: Boot(self.made.into()) };
        let signer = match self.setting.launcher {
            None => Signer::Gate(Box::new(Gate::new(me, self.members[member].volume.clone()))),
            Some(_) => Signer::Launcher(Launcher::new(me), false),
        };
        let which = self.processes.len();
        if let Some(newest) = self.members[member].newest
            && self.processes[newest].pod.uid == pod.uid
        {
            self.processes[newest].heir = Some(which);
        }
        self.members[member].newest = Some(which);
        self.tell(|_| format!("process {which} starts in {}", pod.uid));
        self.processes.push(Process {
            client,
            member,
            pod,
            signer,
            fresh: true,
            asked: Height(0),
            lag: 0,
            heir: None,
            orphan: false,
            stopping: false,
            writes: 0,
            pending: None,
        });
        self.push(0, Event::Looks(Who::Process(which), 0));
        self.asks_again(which);
    }

    /// A process is no more. What it was making durable may be, or not.
    pub fn ends(&mut self, which: usize) {
        let process = &mut self.processes[which];
        if !process.client.alive {
            return;
        }
        process.client.alive = false;
        let held = std::mem::take(&mut process.client.held);
        if let Some(disk) = process.pending.take()
            && self.dice.one_in(2)
        {
            self.members[self.processes[which].member].volume = disk;
        }
        self.tell(|_| format!("process {which} ends"));
        for event in held {
            self.inherited(event);
        }
    }
}
