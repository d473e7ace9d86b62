//! The processes of members: gates round what production decides, and launchers.

use mainstay::failover::{
    Holder, Phase, Record,
    gate::{self, Act, Ask},
};

use super::{
    api::Put,
    cluster::Cluster,
    events::{After, Event, Who},
    members::Signer,
    setting::Flaw,
};

/// Writes in a row after one reading.
const WRITES: u8 = 4;
/// How soon a gate looks that was asked in vain (milliseconds).
const HURRY: u64 = 50;
/// How long a process that is to stop tries to give back what it holds.
const FAREWELL: u64 = 5_000;

impl Cluster {
    fn gate(&mut self, which: usize) -> &mut gate::Gate {
        match &mut self.processes[which].signer {
            Signer::Gate(gate) => gate,
            Signer::Launcher(..) => unreachable!("launchers have no gate"),
        }
    }

    pub fn gate_sees(&mut self, which: usize, record: &Record, version: u64) {
        let (limits, mistake) = (self.setting.limits(), self.setting.flaw.mistake());
        let asked = self.processes[which].asked;
        if std::mem::take(&mut self.processes[which].fresh) {
            mistake.starts(self.gate(which), record);
        }
        let seen = mistake.sees(self.gate(which), record, asked, &limits);
        *self.gate(which) = seen.gate;
        let persists = seen.acts.contains(&Act::Persist);
        let mut after = After::Rest;
        for act in seen.acts {
            match act {
                Act::Page(latch) => self.page(which, latch),
                Act::Put(next) if self.processes[which].writes < WRITES => {
                    after = After::Put(Box::new(Put { version, next, blind: seen.blind, cause: None }));
                }
                Act::Persist | Act::Put(_) => {}
            }
        }
        if persists { self.keep(which, after) } else { self.after(which, after) }
    }

    fn page(&mut self, which: usize, latch: gate::Latch) {
        self.tell(|_| format!("process {which} is latched: {latch:?}"));
        if latch == gate::Latch::Restored && !self.restored {
            self.oracle.wrong.push(format!("{} ms: latched, and nothing was restored", self.now));
        }
    }

    /// Makes the state durable, and goes on when it is.
    fn keep(&mut self, which: usize, after: After) {
        let disk = self.gate(which).disk.clone();
        let process = &mut self.processes[which];
        process.pending = Some(disk);
        process.client.busy = true;
        let takes = 1 + self.dice.below(self.setting.fsync);
        self.push(takes, Event::Durable(which, after));
    }

    pub fn durable(&mut self, which: usize, after: After) {
        let process = &mut self.processes[which];
        process.client.busy = false;
        let (member, disk) = (process.member, process.pending.take());
        self.members[member].volume = disk.expect("what it made durable");
        self.after(which, after);
        self.release(Who::Process(which));
    }

    fn after(&mut self, which: usize, after: After) {
        let who = Who::Process(which);
        match after {
            After::Put(put) => {
                self.processes[which].writes += 1;
                self.ask(who, Some(*put));
            }
            After::Rest if self.processes[which].stopping => self.ends(which),
            After::Rest => self.rest(who, self.setting.every),
            After::Sign(ask) => self.signs(which, &ask),
        }
    }

    /// A signature leaves.
    fn signs(&mut self, which: usize, ask: &Ask) {
        let key = self.gate(which).disk.last.as_ref().map(|last| last.key).expect("what it signed");
        self.tell(|_| format!("process {which} signs {:?} in epoch {}", ask.at, key.tenure.epoch.0));
        self.oracle.signature(self.now, self.chain.head, key, ask);
    }

    /// The node wants a signature.
    pub fn asks(&mut self, which: usize, ask: &Ask) {
        let limits = self.setting.limits();
        let mistake = self.setting.flaw.mistake();
        let gate = self.gate(which);
        let (next, signs) = mistake.decides(gate, ask, &limits);
        let jump = gate.hold().is_some_and(|hold| ask.at.height > hold.ceiling.plus(limits.jump));
        *gate = next;
        let process = &mut self.processes[which];
        if !jump {
            process.asked = ask.at.height;
        }
        if signs {
            self.keep(which, After::Sign(Box::new(*ask)));
        } else if !process.client.hurried {
            process.client.hurried = true;
            let turn = process.client.turn;
            self.push(HURRY, Event::Looks(Who::Process(which), turn));
        }
    }

    /// The process is told to stop in good order.
    pub fn stops(&mut self, which: usize) {
        let limits = self.setting.limits();
        if let Signer::Gate(gate) = &mut self.processes[which].signer {
            **gate = gate::step(gate, &gate::Event::Stop, &limits).0;
        }
        self.tell(|_| format!("process {which} is to stop"));
        let process = &mut self.processes[which];
        process.stopping = true;
        // A look that is under way is the last one, if it comes to an end.
        if !std::mem::replace(&mut process.client.hurried, true) {
            let turn = process.client.turn;
            self.push(HURRY, Event::Looks(Who::Process(which), turn));
        }
        self.push(FAREWELL, Event::Ends(which));
    }

    /// It is shown a signature that it did not make, and there is none.
    pub fn foreign(&mut self, which: usize) {
        let limits = self.setting.limits();
        if matches!(self.processes[which].signer, Signer::Launcher(..)) || self.processes[which].client.busy {
            return;
        }
        let gate = self.gate(which);
        let (next, acts) = gate::step(gate, &gate::Event::ForeignSignature, &limits);
        *gate = next;
        if acts.contains(&Act::Persist) {
            self.tell(|_| format!("process {which} is shown a foreign signature"));
            let disk = self.gate(which).disk.clone();
            self.members[self.processes[which].member].volume = disk;
        }
    }

    /// A launcher sees the record, by a reading or in the answer to its claim.
    pub fn launcher_sees(&mut self, which: usize, record: &Record, version: u64, sent: u64) {
        let who = Who::Process(which);
        let now = self.clock(who);
        let flaw = self.setting.flaw;
        let sent = if flaw == Flaw::CountsFromTheReply { now } else { sent };
        let Signer::Launcher(launcher) = &self.processes[which].signer else { return };
        let ran = launcher.runs;
        let mut shown = record.clone();
        if let Phase::Active(holder) = &mut shown.phase
            && flaw == Flaw::HolderByMember
            && holder.pod.member == launcher.me.pod.member
        {
            *holder = Holder { pod: launcher.me.pod.clone(), boot: Some(launcher.me.boot) };
        }
        let (mut next, wish) = launcher.seen(&shown, sent);
        // It is killed at once, and that is known when the record is seen again.
        let runs = next.may_run(now) && !self.processes[which].stopping;
        next.runs = runs;
        let left = next.until.map_or(0, |until| until.saturating_sub(now));
        self.processes[which].signer = Signer::Launcher(next);
        if runs {
            let rate = self.processes[which].client.rate;
            self.push(left * 1_000 / rate + 1, Event::Expires(which));
        }
        if runs && !ran {
            self.tell(|_| format!("the command of process {which} starts in epoch {}", record.tenure.epoch.0));
            let other = (0..self.processes.len()).find(|other| *other != which && self.processes[*other].runs());
            if let Some(other) = other {
                self.oracle.conflicts += 1;
                self.oracle.wrong.push(format!("{} ms: commands of {other} and {which} both run", self.now));
            }
        }
        if runs {
            let head = self.chain.head;
            self.oracle.signs(self.now, head, record.tenure, mainstay::failover::Height(head + 1));
        }
        match wish {
            Some(next) if self.processes[which].writes == 0 && !self.processes[which].stopping => {
                self.processes[which].writes = 1;
                self.ask(who, Some(Put { version, next, blind: false, cause: None }));
            }
            _ if self.processes[which].stopping => self.ends(which),
            _ => self.rest(who, self.setting.every),
        }
    }

    /// A command is killed when its hold has ended.
    pub fn expires(&mut self, which: usize) {
        let now = self.clock(Who::Process(which));
        if let Signer::Launcher(launcher) = &mut self.processes[which].signer
            && launcher.runs
            && !launcher.may_run(now)
        {
            launcher.runs = false;
            self.tell(|_| format!("the command of process {which} is killed"));
        }
    }
}
