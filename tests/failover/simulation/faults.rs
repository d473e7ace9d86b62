//! What breaks, and what is ordered.

use mainstay::failover::{
    Activation, Epoch, Height, Phase, above_head,
    orders::{Fate, Order, Wish, fate},
    step,
};

use super::{
    cluster::Cluster,
    events::{Event, Who},
    operators::Switch,
    setting::Flaw,
};

/// The longest that anything lasts (milliseconds).
const LONG: u64 = 180_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed, and started anew.
    Crash,
    /// A process stands still; of a launcher, its whole machine.
    Pause,
    /// The container runtime forgets a process, which lives on, and starts another in its pod.
    Orphan,
    /// A pod is deleted by force: its processes live on beside those of its twin.
    ForceDelete,
    /// A process reaches the API server no more.
    Cut,
    /// The machine is off.
    PowerOff,
    /// The machine is off, and the pod on it is deleted by force.
    Gone,
    OperatorCrash,
    OperatorPause,
    OperatorCut,
    VolumeKept,
    VolumeLost,
    VolumeRolledBack,
    ApiDown,
    /// The API server's data are restored from a backup.
    Restore,
    /// A person orders that another member goes on.
    Switch,
    /// A process is stopped in good order, and started anew.
    Stop,
    /// A pod is stopped in good order, and another one is made.
    Replace,
    /// A node falls behind, or catches up.
    Lag,
    /// A gate is shown a signature that does not exist.
    Foreign,
}

impl Fault {
    pub const OF_GATES: &[Self] = &[
        Self::Crash,
        Self::Pause,
        Self::Orphan,
        Self::ForceDelete,
        Self::Cut,
        Self::PowerOff,
        Self::OperatorCrash,
        Self::OperatorPause,
        Self::OperatorCut,
        Self::VolumeKept,
        Self::VolumeLost,
        Self::VolumeRolledBack,
        Self::ApiDown,
        Self::Restore,
        Self::Switch,
        Self::Switch,
        Self::Stop,
        Self::Replace,
        Self::Lag,
        Self::Foreign,
    ];
    /// What makes a restored record dangerous.
    pub const OF_RECORDS: &[Self] = &[
        Self::Switch,
        Self::Switch,
        Self::VolumeLost,
        Self::Crash,
        Self::Lag,
        Self::Cut,
        Self::Pause,
        Self::Restore,
    ];
    pub const OF_LAUNCHERS: &[Self] = &[
        Self::Crash,
        Self::Pause,
        Self::Orphan,
        Self::ForceDelete,
        Self::Cut,
        Self::PowerOff,
        Self::OperatorCrash,
        Self::OperatorPause,
        Self::OperatorCut,
        Self::ApiDown,
        Self::Switch,
        Self::Stop,
    ];
}

impl Cluster {
    pub fn fault(&mut self) {
        if self.calm {
            return;
        }
        if !self.setting.once {
            let gap = self.setting.gap;
            let next = 1 + self.dice.below(gap * 2);
            self.push(next, Event::Fault);
        }
        let fault = self.setting.faults[self.dice.index(self.setting.faults.len())];
        let alive: Vec<_> =
            (0..self.processes.len()).filter(|which| self.processes[*which].client.alive).collect();
        // Those that hold the place are the more interesting ones.
        let holders: Vec<_> = alive.iter().copied().filter(|which| self.is_holder(*which)).collect();
        let once = self.setting.once;
        let from = if !holders.is_empty() && (once || self.dice.one_in(2)) { holders } else { alive };
        if from.is_empty() {
            return;
        }
        let which = from[self.dice.index(from.len())];
        let any = self.dice.index(self.members.len());
        let member = if once { self.processes[which].member } else { any };
        let operator = self.dice.index(2);
        self.tell(|_| format!("{fault:?} of process {which}, member {member}, operator {operator}"));
        match fault {
            Fault::Crash => self.crashes(which),
            Fault::Pause => self.pauses(which),
            Fault::Orphan => self.orphaned(which),
            Fault::ForceDelete => self.force_deleted(member),
            Fault::Cut => self.cut(Who::Process(which)),
            Fault::PowerOff => self.power_off(member),
            Fault::Gone => {
                self.power_off(member);
                self.force_deleted(member);
            }
            Fault::OperatorCrash => {
                self.operator_ends(operator);
                let after = self.lasts(30_000);
                self.push(after, Event::OperatorStarts(operator));
            }
            Fault::OperatorPause => self.pause(Who::Operator(operator)),
            Fault::OperatorCut => self.cut(Who::Operator(operator)),
            Fault::VolumeKept => self.members[member].kept = Some(self.members[member].volume.clone()),
            Fault::VolumeLost => self.members[member].volume = mainstay::failover::gate::Disk::default(),
            Fault::VolumeRolledBack => {
                if let Some(kept) = self.members[member].kept.clone() {
                    self.members[member].volume = kept;
                }
            }
            Fault::ApiDown => self.api.down_until = self.now + self.dice.time(LONG),
            Fault::Restore => self.restore(),
            Fault::Switch => self.switches(),
            Fault::Stop => {
                self.stops(which);
                let after = 6_000 + self.dice.time(20_000);
                self.push(after, Event::Starts(self.processes[which].member));
            }
            Fault::Replace => self.replace(member),
            Fault::Lag => {
                let behind = self.lasts(LONG);
                self.processes[which].lag = if !once && self.dice.one_in(3) { 0 } else { behind };
            }
            Fault::Foreign if once || self.dice.one_in(4) => self.foreign(which),
            Fault::Foreign => {}
        }
    }

    /// How long something lasts. What breaks alone does so for good.
    fn lasts(&mut self, most: u64) -> u64 {
        if self.setting.once { LONG } else { self.dice.time(most) }
    }

    fn is_holder(&self, which: usize) -> bool {
        let uid = &self.processes[which].pod.uid;
        self.api.record.holder().is_some_and(|holder| holder.pod.uid == *uid)
    }

    fn crashes(&mut self, which: usize) {
        self.ends(which);
        let after = 200 + self.lasts(60_000);
        self.push(after, Event::Starts(self.processes[which].member));
    }

    fn pauses(&mut self, which: usize) {
        let member = self.processes[which].member;
        if self.setting.launcher.is_none() {
            self.pause(Who::Process(which));
            return;
        }
        // Time does not cover a machine that stands still, nor the kubelet an orphan: never both, that is assumed.
        let here: Vec<_> = self.living_of(member);
        if here.iter().any(|which| self.processes[*which].orphan) {
            return;
        }
        self.members[member].still = true;
        let until = self.lasts(LONG);
        for which in here {
            self.client(Who::Process(which)).paused = true;
            self.push(until, Event::Thaws(Who::Process(which)));
        }
    }

    pub fn living_of(&self, member: usize) -> Vec<usize> {
        let living =
            |which: &usize| self.processes[*which].client.alive && self.processes[*which].member == member;
        (0..self.processes.len()).filter(living).collect()
    }

    fn pause(&mut self, who: Who) {
        self.client(who).paused = true;
        let until = self.lasts(LONG);
        self.push(until, Event::Thaws(who));
    }

    pub fn thaws(&mut self, who: Who) {
        if !std::mem::replace(&mut self.client(who).paused, false) {
            return;
        }
        self.tell(|_| format!("{who:?} goes on"));
        if let Who::Process(which) = who {
            self.members[self.processes[which].member].still = false;
        }
        self.release(who);
    }

    fn cut(&mut self, who: Who) {
        self.client(who).cut = true;
        let until = self.lasts(LONG);
        self.push(until, Event::Joined(who));
    }

    fn orphaned(&mut self, which: usize) {
        let member = self.processes[which].member;
        let launches = self.setting.launcher.is_some();
        if launches && self.members[member].still || self.processes.iter().filter(|other| other.orphan).count() > 3
        {
            return;
        }
        self.processes[which].orphan = true;
        let after = 200 + self.dice.time(20_000);
        self.push(after, Event::Starts(member));
        if self.dice.one_in(2) {
            let end = self.lasts(LONG);
            self.push(end, Event::Ends(which));
        }
    }

    fn force_deleted(&mut self, member: usize) {
        if self.living_of(member).len() > 3 {
            return;
        }
        let pod = self.pod(member);
        self.members[member].pod = pod;
        let after = 200 + self.dice.time(20_000);
        self.push(after, Event::Starts(member));
    }

    fn power_off(&mut self, member: usize) {
        for which in self.living_of(member) {
            self.ends(which);
        }
        let lasts = self.lasts(LONG);
        self.members[member].off_until = self.now + lasts;
        self.members[member].still = false;
        self.push(lasts + 1, Event::Starts(member));
    }

    fn switches(&mut self) {
        let record = &self.api.record;
        if self.switch.is_some() || !matches!(record.phase, Phase::Active(_)) {
            return;
        }
        let epoch = record.tenure.epoch;
        let to = Some(self.dice.index(self.members.len())).filter(|_| self.dice.one_in(2));
        let name = to.map(|to| self.members[to].pod.member.clone());
        self.order(Wish::Switch(name), epoch, to);
    }

    pub fn order(&mut self, wish: Wish, epoch: Epoch, to: Option<usize>) {
        self.made += 1;
        self.tell(|_| format!("{wish:?} is ordered of epoch {}", epoch.0));
        let order = Order { wish, epoch, activation: Activation(self.made.into()), accepted: false };
        self.switch = Some(Switch { order, to });
    }

    /// The pod is stopped in good order, and a new one is made.
    fn replace(&mut self, member: usize) {
        for which in self.living_of(member) {
            if !self.processes[which].orphan {
                self.stops(which);
            }
        }
        let after = 6_000 + self.dice.time(20_000);
        self.push(after, Event::Replaced(member));
    }

    pub fn replaced(&mut self, member: usize) {
        // The kubelet of a machine that is off, or stands still, confirms nothing.
        let of = &self.members[member];
        let uid = of.pod.uid.clone();
        let here = self.living_of(member);
        let lives =
            here.iter().any(|which| !self.processes[*which].orphan && self.processes[*which].pod.uid == uid);
        if of.still || of.off_until > self.now || lives {
            self.push(2_000, Event::Replaced(member));
            return;
        }
        self.members[member].pod = self.pod(member);
        self.push(500, Event::Starts(member));
    }

    /// A pod is deleted, as it should be: its processes are stopped, and it is gone once the kubelet has seen that.
    pub fn deletes(&mut self, pod: &mainstay::failover::Pod) {
        let member = self.members.iter().position(|member| member.pod.uid == pod.uid);
        let Some(member) = member.filter(|_| self.deleting.insert(pod.uid.clone())) else { return };
        for which in self.living_of(member) {
            if self.processes[which].pod.uid == pod.uid && !self.processes[which].orphan {
                self.stops(which);
            }
        }
        // The object stays until its evidence was read.
        self.push(15_000, Event::Replaced(member));
    }

    /// The data come back as they were. Nobody reads them before a person has adopted the identity, with a floor above all
    /// that a gate out of reach can have been confirmed, and an epoch above all that anybody remembers.
    fn restore(&mut self) {
        if self.restored || self.api.kept.is_none() {
            return;
        }
        self.restored = true;
        let lasts = 1_000 + self.dice.time(60_000);
        self.api.down_until = self.now + lasts;
        self.push(lasts, Event::Restored);
    }

    pub fn restored(&mut self) {
        let Some(kept) = self.api.kept.take() else { return };
        self.api.record = kept;
        // Versions go on where they were: the runbook of etcd bumps them.
        self.api.version += 1_000;
        self.tell(|of| format!("restored: {}", super::api::shown(&of.api.record)));
        self.switch = None;
        if self.setting.flaw != Flaw::NobodyAdopts {
            self.adopt();
        }
    }

    /// A person adopts the identity, above all that anybody can own.
    pub fn adopt(&mut self) {
        let known =
            self.processes.iter().filter(|process| process.client.alive).filter_map(|process| process.disk());
        let known = known.chain(self.members.iter().map(|member| &member.volume));
        let known = known.filter_map(|disk| disk.known).map(|known| known.epoch);
        let epoch = known.max().unwrap_or_default().max(self.api.record.tenure.epoch);
        let head = Height(self.chain.head);
        let floor = if self.setting.flaw == Flaw::AdoptsAtTheHead {
            head
        } else {
            above_head(head, self.setting.window, Some(&self.api.record))
        };
        self.made += 1;
        let activation = Activation(self.made.into());
        let order = Order { wish: Wish::Adopt(floor), epoch, activation, accepted: false };
        if let Fate::Take(event) = fate(Some(&self.api.record), &order) {
            self.helped += 1;
            self.api.record = step(&self.api.record, event).0;
            self.api.version += 1;
            self.oracle.adopted();
            self.tell(|of| format!("adopted: {}", super::api::shown(&of.api.record)));
        }
    }
}
