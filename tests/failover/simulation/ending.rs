//! Faults have stopped: somebody signs again before long, or what is in the way has a name.

use mainstay::failover::{Height, Missing, Phase, Share, orders::Wish};

use super::{
    cluster::Cluster,
    events::{Event, Who},
    members::Process,
};

/// After so long a person looks, and again (milliseconds).
const LOOK: u64 = 60_000;
/// So many times.
const HELPS: u8 = 3;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Signs,
    Blocked(Missing),
    /// The chain needs this key at a height that a process had begun to sign when it ended, and that nobody else may sign.
    HaltedInside,
    /// The chain needs this key at a height that is of an epoch before, though nobody has signed it: that was sealed by a process
    /// that had lost its state, or a person adopted the identity above the head.
    HaltedBelow,
    /// The key is shut, or every gate.
    Latched,
    /// And nobody knows why. That is an error of the protocol.
    NobodySigns,
}

#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// When faults stopped, and the head then.
    from: u64,
    begin: u64,
    /// The head by which somebody signs, and the time.
    head: u64,
    until: u64,
    helps: u8,
}

impl Cluster {
    /// Everything that can be mended is.
    pub fn calms(&mut self) {
        self.calm = true;
        self.tell(|_| "faults stop".into());
        self.api.down_until = self.api.down_until.min(self.now + 1_000);
        for which in 0..self.processes.len() {
            let who = Who::Process(which);
            self.client(who).cut = false;
            self.processes[which].lag = 0;
            self.thaws(who);
        }
        for which in 0..2 {
            let who = Who::Operator(which);
            self.client(who).cut = false;
            self.thaws(who);
            self.operator_starts(which);
        }
        for member in 0..self.members.len() {
            self.members[member].off_until = 0;
            self.push(500, Event::Starts(member));
            self.push(15_000, Event::Starts(member));
        }
        let (from, begin) = (self.now, self.chain.head);
        self.deadline = Some(Deadline { from, begin, head: 0, until: 0, helps: HELPS });
        self.postpone();
        self.push(LOOK, Event::Helps);
    }

    /// What was confirmed to anybody is waited for, twice if the place changes hands once more, and a minute or two.
    fn postpone(&mut self) {
        let moments = 120_000 / self.setting.block;
        let confirmed = self.api.record.bound().max(Height(self.chain.head + 1 + self.setting.window));
        if let Some(deadline) = &mut self.deadline {
            deadline.head = confirmed.0 + 2 * self.setting.window + moments;
            deadline.until = self.now + 300_000;
        }
    }

    /// A person helps where one is called: ends what is left of the pod that is waited for, and says so; or, where the key
    /// is shut for a signature that never was, adopts the identity.
    pub fn helps(&mut self) {
        let Some(Deadline { helps, .. }) = self.deadline.as_mut() else { return };
        if *helps == 0 {
            return;
        }
        *helps -= 1;
        self.push(LOOK, Event::Helps);
        let epoch = self.api.record.tenure.epoch;
        if let Phase::Revoking { holder, blocked: Some(blocked) } = self.api.record.phase.clone() {
            let uid = holder.pod.uid.clone();
            for which in 0..self.processes.len() {
                if self.processes[which].pod.uid == uid {
                    self.ends(which);
                }
            }
            self.helped += 1;
            let wish = match blocked {
                // The state of a pod that is no more tells what it signed last.
                Missing::ChainNeedsUs => Wish::AdoptAfter {
                    uid,
                    floor: self.oracle.last_of(self.api.record.tenure).max(self.api.record.floor),
                },
                Missing::Proof => Wish::Release(uid),
            };
            self.order(wish, epoch, None);
            self.postpone();
            if let Some(member) = self.members.iter().position(|member| member.pod.uid == holder.pod.uid) {
                self.push(500, Event::Replaced(member));
            }
        } else if let Some(uid) = self.waits_in_a_window() {
            // A gate that ends without a word says nothing: what its state tells is asked for when the epoch is blocked.
            for which in 0..self.processes.len() {
                if self.processes[which].pod.uid == uid {
                    self.ends(which);
                }
            }
            self.helped += 1;
            self.order(Wish::Switch(None), epoch, None);
            self.postpone();
        } else if self.is_shut() {
            self.adopt();
            self.postpone();
        }
    }

    /// The holder's pod, if the chain needs a height that its former process may have signed, by its window, and has not.
    fn waits_in_a_window(&self) -> Option<String> {
        let Phase::Active(holder) = &self.api.record.phase else { return None };
        let (head, tenure) = (self.chain.head, self.api.record.tenure);
        let needed = self.setting.share != Share::Small && self.oracle.last_of(tenure).0 <= head;
        let process = self.processes.iter().filter(|process| process.client.alive).filter_map(Process::hold);
        let above = process.into_iter().any(|hold| hold.tenure == tenure && hold.start.0 > head);
        let open = self.api.record.shut.is_none();
        (open && needed && above && self.is_within_its_epoch()).then(|| holder.pod.uid.clone())
    }

    /// Whether the next height is of the epoch of now. Else it is of one before, which was sealed above it by a process that could
    /// not know what another had signed; nobody signs it any more.
    pub fn is_within_its_epoch(&self) -> bool {
        self.api.record.floor.0 <= self.chain.head
    }

    fn is_shut(&self) -> bool {
        let newest = self.members.iter().filter_map(|member| member.newest);
        self.api.record.shut.is_some() || newest.into_iter().all(|which| self.processes[which].is_latched())
    }

    /// Whether the holder could sign the very next height but one.
    fn starts_just_above(&self) -> bool {
        let holding = self.processes.iter().filter(|process| process.client.alive).filter_map(Process::hold);
        let mut here = holding.filter(|hold| hold.tenure == self.api.record.tenure);
        here.any(|hold| hold.start.0 == self.chain.head + 1)
    }

    /// Whether the very next height was signed in this epoch, in a round that came to nothing.
    fn has_begun(&self) -> bool {
        self.oracle.last_of(self.api.record.tenure).0 > self.chain.head
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        let Deadline { from, begin, head, until, .. } = self.deadline?;
        let active = matches!(self.api.record.phase, Phase::Active(_));
        if active
            && let Some((at, tenure, height)) = self.oracle.last
            && (at > from && height.0 > begin && tenure == self.api.record.tenure)
        {
            return Some(End::Signs);
        }
        let by_time = self.setting.launcher.is_some() || self.setting.share != Share::Small;
        if by_time && self.now < until || !by_time && self.chain.head < head {
            return None;
        }
        Some(match self.api.record.phase {
            Phase::Revoking { blocked: Some(why), .. } => End::Blocked(why),
            _ if self.is_shut() => End::Latched,
            _ if self.setting.share != Share::Small && (self.starts_just_above() || self.has_begun()) => {
                End::HaltedInside
            }
            _ if self.setting.share != Share::Small => End::HaltedBelow,
            _ => End::NobodySigns,
        })
    }
}
