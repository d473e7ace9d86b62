//! A toy cluster: one record, two members with a volume each, and gates that come and go.

use std::sync::Arc;

use mainstay::failover::{
    Activation, Boot, Epoch, HandOver, Height, Phase, Pod, Record, Tenure,
    gate::{Disk, Gate, Key, Limits, Part},
};

/// The names of the two.
pub const MEMBERS: [&str; 2] = ["a", "b"];

/// What may happen, and how often.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The highest height that anybody is asked to sign.
    pub heights: u64,
    /// How many steps there are at each.
    pub steps: usize,
    /// The last epoch.
    pub epochs: u64,
    /// How many processes start. None ever dies: one that is dead does nothing more, and so does one that is paused for
    /// ever. So every process is an orphan of the next one in its pod.
    pub boots: u8,
    /// How many requests of gates are on their way at once; with none, each arrives when it is sent.
    pub writes: usize,
    /// Whether requests of operators take their time too. They have no other state, so that it makes no difference.
    pub slow_operators: bool,
    /// Whether the chain may need us.
    pub shares: bool,
    /// How many pods are deleted by force; their processes run on.
    pub twins: u8,
    /// Whether what a gate made durable is there when the next one starts; else it is always lost.
    pub disks: bool,
    /// How many volumes are lost, or rolled back to what was kept of them.
    pub losses: u8,
    /// How many processes are told to stop in good order.
    pub stops: u8,
    /// How many foreign signatures are seen, also where there are none.
    pub foreign: u8,
    /// Whether the chain may punish the key.
    pub slashes: bool,
    /// How many times the record, or a process, is restored from a backup.
    pub restores: Restores,
    /// Whether a person may adopt the identity after a pod that has stopped for good, while it is waited for.
    pub buries: bool,
    /// How far ahead of the chain a gate owns heights.
    pub window: u64,
    /// Whether gates remember the record that knew most. Nothing but restored records needs it, and it costs states.
    pub memory: bool,
}

/// What is restored from a backup, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restores {
    /// Nothing.
    Never,
    /// The record, at any time.
    Record,
    /// The record, while every process that runs has seen the newest one and keeps its disk.
    RecordThatAllKnow,
    /// The record, and a person adopts the identity before anybody looks.
    RecordThenAdopted,
    /// A running process, with its memory.
    Process,
}

impl Scope {
    /// Two members, two epochs, and a process of each, of which one may be started anew.
    pub const SMALL: Self = Self {
        heights: 2,
        steps: 1,
        epochs: 2,
        boots: 2,
        writes: 0,
        slow_operators: false,
        shares: false,
        twins: 0,
        disks: false,
        losses: 0,
        stops: 0,
        foreign: 0,
        slashes: false,
        restores: Restores::Never,
        buries: false,
        window: 1,
        memory: false,
    };

    /// The bounds of the gates.
    pub const fn limits(&self) -> Limits {
        // A node in an attacker's hands: its chain is wherever it says.
        Limits { window: self.window, jump: 100, reach: Height(u64::MAX) }
    }
}

/// A gate that runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Which member's volume it writes to.
    pub member: usize,
    pub gate: Gate,
}

/// A request that is on its way. Nobody waits for it: an answer is as good as a read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// Which process sent it; none if an operator did.
    pub by: Option<Boot>,
    pub next: Record,
    /// Whether it is taken whatever the record says by now. Only mistakes are.
    pub blind: bool,
}

/// A signature that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    pub key: Key,
    pub content: u8,
}

/// What went wrong.
#[expect(clippy::struct_excessive_bools, reason = "each is a promise of its own that was broken")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wrongs {
    /// One height, round and step has two contents.
    pub doubled: bool,
    /// One height has signatures of two processes.
    pub shared: bool,
    /// A write made the record know less.
    pub backwards: bool,
    /// An epoch began with a key that was shut, and no person adopted it.
    pub reopened: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub record: Record,
    pub writes: Vec<Write>,
    pub processes: Vec<Process>,
    pub pods: [Arc<Pod>; 2],
    pub disks: [Disk; 2],
    /// What was kept of a volume, and can come back.
    pub kept: Option<(usize, Disk)>,
    pub kept_record: Option<Record>,
    pub kept_process: Option<Process>,
    /// The first signature at each height and step.
    pub signed: Vec<Option<Signature>>,
    pub wrongs: Wrongs,
    pub next_boot: u8,
    pub twins: u8,
    pub losses: u8,
    pub stops: u8,
    pub foreign: u8,
    pub restored: bool,
}

impl World {
    /// Nobody holds the place. A process that never held it is no different from one that has not started yet.
    pub fn new(scope: &Scope) -> Self {
        let pods = [0, 1].map(|member| Arc::new(pod(member, 0)));
        let fresh = Record::adopted(Epoch(0), Activation(0), Height(0));
        Self {
            record: fresh,
            writes: Vec::new(),
            processes: Vec::new(),
            pods,
            disks: [Disk::default(), Disk::default()],
            kept: None,
            kept_record: None,
            kept_process: None,
            signed: vec![None; usize::try_from(scope.heights).expect("few") * scope.steps],
            wrongs: Wrongs::default(),
            next_boot: 0,
            twins: 0,
            losses: 0,
            stops: 0,
            foreign: 0,
            restored: false,
        }
    }

    /// The highest height that anybody signed: what the best of telemetry shows.
    pub fn head(&self, scope: &Scope) -> Height {
        let highest = self.signed.iter().rposition(Option::is_some).map_or(0, |index| index / scope.steps + 1);
        Height(u64::try_from(highest).expect("few"))
    }

    /// The highest height that was signed in the tenure of the record: what the state of its pod tells.
    pub fn signed_last(&self, scope: &Scope) -> Height {
        let here =
            |signature: &Option<Signature>| signature.as_ref().is_some_and(|of| of.key.tenure == self.tenure());
        let highest = self.signed.iter().rposition(here).map_or(0, |index| index / scope.steps + 1);
        Height(u64::try_from(highest).expect("few"))
    }

    /// How many heights are signed by this epoch.
    pub fn signed_in(&self, epoch: u64) -> usize {
        self.signed.iter().flatten().filter(|signature| signature.key.tenure.epoch == Epoch(epoch)).count()
    }

    /// What does not matter any more is forgotten, so that states that differ in nothing else are one.
    pub fn forget(&mut self, scope: &Scope) {
        if scope.restores != Restores::Never {
            return;
        }
        for Process { gate, .. } in &mut self.processes {
            if !scope.memory {
                gate.disk.known = None;
            }
            // A tenure that is over does not come back, and whoever still believes in it, and has signed all that it owns,
            // can do nothing more.
            let over = match gate.part {
                Part::Idle => true,
                Part::Bidding { tenure, .. } | Part::Done(tenure) => tenure != self.record.tenure,
                Part::Holding(hold) => {
                    let rest = hold.ceiling > gate.signed_at_most(&hold) || scope.steps > 1;
                    hold.tenure != self.record.tenure && (gate.is_silent(hold.tenure) || !rest)
                }
            };
            if over {
                gate.part = Part::Idle;
            }
            // An entry of another tenure only ever makes a gate refuse more.
            let tenure = gate.hold().map(|hold| hold.tenure);
            gate.disk.silent = gate.disk.silent.filter(|key| scope.disks || Some(key.tenure) == tenure);
            gate.disk.last = gate.disk.last.take().filter(|last| scope.disks || Some(last.key.tenure) == tenure);
        }
    }

    /// Where a process may start and have a part: in the pod that the record names, be it a twin's or not.
    pub fn wanted(&self) -> Option<(usize, Arc<Pod>)> {
        let Phase::Active(holder) = &self.record.phase else { return None };
        let member = MEMBERS.iter().position(|name| *name == holder.pod.member)?;
        Some((member, holder.pod.clone()))
    }

    /// A number that no activation has had, also none that was forgotten.
    pub fn draw(&self, member: usize) -> Activation {
        let member = u128::try_from(member).expect("few");
        Activation(u128::from(self.record.tenure.epoch.0) * 4 + member * 2 + u128::from(self.restored) + 1)
    }

    /// The tenure of the record.
    pub fn tenure(&self) -> Tenure {
        self.record.tenure
    }

    /// How an epoch ends here.
    pub const fn hand_over() -> HandOver {
        HandOver::Gate
    }
}

/// A member's pod; each twin is another.
pub fn pod(member: usize, twin: u8) -> Pod {
    let name = MEMBERS[member];
    Pod { member: name.into(), uid: format!("{name}{twin}"), node: name.into() }
}
