//! Members, and the processes that come and go in their pods.

use std::sync::Arc;

use mainstay::failover::{
    Boot, Height, Held, Pod,
    gate::{Disk, Gate, Hold, Launcher, Me},
};

use super::{
    cluster::Cluster,
    dice::Dice,
    events::{Event, Who},
};

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
    /// A launcher.
    Launcher(Launcher),
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
        self.client.alive && matches!(&self.signer, Signer::Launcher(launcher) if launcher.runs)
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

impl Cluster {
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
            Some(_) => Signer::Launcher(Launcher::new(me, Held::Command)),
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
