//! Two operators that nobody leads. Each reads the record, asks `failover::step`, and writes what it says with the version
//! that it read; it keeps nothing but for how long it has known of `Revoking`.

use std::sync::Arc;

use mainstay::failover::{
    Activation, Effect, Epoch, Event, Phase, Pod, Proof, Record, Share,
    orders::{Fate, Order, fate},
    step,
};

use super::{
    api::Put,
    cluster::Cluster,
    dice::Dice,
    events::Who,
    members::{Client, Process, Signer},
    oracle::Cause,
    setting::Flaw,
};

/// Steps that are taken at one look.
const STEPS: u8 = 8;
/// While something is under way (milliseconds).
const SOON: u64 = 300;
/// While the holder signs.
const TICK: u64 = 1_000;
/// A holder that does not sign for so long, though it could, is ill.
const SILENT: u64 = 30_000;
/// A node that is further behind is not fit (milliseconds).
const BEHIND: u64 = 10_000;

#[derive(Clone, Debug)]
pub struct Operator {
    pub client: Client,
    /// Since when it knows of `Revoking`, by its own clock.
    pub since: Option<(Epoch, u64)>,
    steps: u8,
}

/// A person's order that the place changes hands, or that something else is true.
#[derive(Clone, Debug)]
pub struct Switch {
    pub order: Order,
    pub to: Option<usize>,
}

impl Operator {
    pub fn new(dice: &mut Dice) -> Self {
        Self { client: Client::new(dice), since: None, steps: 0 }
    }
}

impl Cluster {
    pub fn operator_sees(&mut self, which: usize, record: &Record, version: u64) {
        let now = self.clock(Who::Operator(which));
        let epoch = record.tenure.epoch;
        let operator = &mut self.operators[which];
        operator.since = match record.phase {
            Phase::Revoking { .. } => operator.since.filter(|(of, _)| *of == epoch).or(Some((epoch, now))),
            Phase::Active(_) | Phase::Fenced(_) => None,
        };
        let waited = operator.since.map_or(0, |(_, since)| now - since);
        let believed = self.believes(record, waited);
        let cause = believed.as_ref().and_then(|(_, cause)| *cause);
        let mistake = self.setting.flaw.mistake();
        let head = mainstay::failover::Height(self.chain.head);
        let next = believed.map(|(event, _)| mistake.steps(record, event, head)).filter(|next| next != record);
        let operator = &mut self.operators[which];
        match next {
            Some(next) if operator.steps < STEPS => {
                operator.steps += 1;
                self.ask(Who::Operator(which), Some(Put { version, next, blind: false, cause }));
            }
            _ => {
                operator.steps = 0;
                let pause = if matches!(record.phase, Phase::Active(_)) { TICK } else { SOON };
                self.rest(Who::Operator(which), pause);
            }
        }
    }

    /// What an operator finds out about what is due, true or not; and why the place is to change hands, if it is.
    fn believes(&mut self, record: &Record, waited: u64) -> Option<(Event, Option<Cause>)> {
        if let Some(Switch { order, .. }) = &self.switch {
            match fate(Some(record), order) {
                Fate::Take(event) => return Some((event, Some(Cause::Ordered))),
                Fate::Done(_) | Fate::Refused(_) | Fate::Begin(_) => self.switch = None,
                Fate::Wait => {}
            }
        }
        let (_, effects) = step(record, Event::Resumed);
        match effects.last()? {
            Effect::Follow => self.follows(record).map(|(event, cause)| (event, Some(cause))),
            Effect::Prove(holder) => Some((self.proves(record, &holder.pod.clone(), waited), None)),
            Effect::Choose => self.chooses(record).map(|event| (event, None)),
            Effect::Page(_) => None,
        }
    }

    fn follows(&mut self, record: &Record) -> Option<(Event, Cause)> {
        let epoch = record.tenure.epoch;
        let holder = record.holder()?;
        let lies = self.setting.lies;
        if !self.calm && self.dice.one_in(lies) {
            // What was decided about the epoch before comes late.
            let back = u64::from(self.dice.one_in(3));
            return Some((Event::Wanted { epoch: Epoch(epoch.0.saturating_sub(back)) }, Cause::FalseAlarm));
        }
        let gone = self.members.iter().all(|member| member.pod.uid != holder.pod.uid);
        let cause = if gone { Some(Cause::PodGone) } else { self.is_silent(record) };
        cause.map(|cause| (Event::Wanted { epoch }, cause))
    }

    /// Whether the holder has not signed for long, though the chain is where it could; and why.
    fn is_silent(&mut self, record: &Record) -> Option<Cause> {
        let claimed = record.holder().and_then(|holder| holder.boot);
        let of = |process: &&Process| match &process.signer {
            Signer::Gate(gate) => Some(gate.me.boot) == claimed,
            Signer::Launcher(launcher) => Some(launcher.me.boot) == claimed,
        };
        let process = self.processes.iter().find(of).filter(|process| process.client.alive);
        let head = self.chain.head;
        let waits = process.and_then(Process::hold).is_some_and(|hold| hold.start.0 > head);
        let cause = match process {
            None => Cause::Dead,
            Some(process) if process.client.paused => Cause::StandsStill,
            Some(process) if process.client.cut => Cause::CutOff,
            Some(process) if process.is_latched() => Cause::Shut,
            Some(process) if process.lag > BEHIND => Cause::Behind,
            Some(_) => Cause::Silent,
        };
        let last = self.oracle.last.filter(|(_, tenure, _)| *tenure == record.tenure).map(|(at, ..)| at);
        if self.silence.is_none_or(|(tenure, _)| tenure != record.tenure) || waits {
            self.silence = Some((record.tenure, self.now));
        }
        let since = last.max(self.silence.map(|(_, since)| since)).unwrap_or(self.now);
        (self.now - since > SILENT).then_some(cause)
    }

    fn proves(&mut self, record: &Record, pod: &Arc<Pod>, waited: u64) -> Event {
        let mut proof = None;
        if let mainstay::failover::HandOver::Launcher(..) = record.hand_over {
            self.deletes(pod);
            proof = self.has_ended(pod).then(|| Proof::KubeletConfirmed(pod.clone()));
        }
        let unknown = !self.calm && !self.setting.once && self.dice.one_in(10);
        let share = if unknown { Share::Unknown } else { self.setting.share };
        let waited = if self.setting.flaw == Flaw::NeverWaits { u64::MAX } else { waited };
        Event::Found { proof, share, waited }
    }

    /// What the kubelet says, if it says anything: an orphan has ended, as far as it knows.
    fn has_ended(&self, pod: &Pod) -> bool {
        let member = self.members.iter().find(|member| member.pod.member == pod.member).expect("a member");
        let gone = member.pod.uid != pod.uid;
        if gone && self.setting.flaw == Flaw::TakesForceDeleteForProof {
            return true;
        }
        if self.setting.flaw == Flaw::TakesSilenceForProof && member.still {
            return true;
        }
        let speaks = !member.still && member.off_until <= self.now;
        let ended = self.processes.iter().filter(|process| process.pod.uid == pod.uid);
        let mut ended = ended.map(|process| !process.client.alive || process.orphan);
        speaks && self.deleting.contains(&pod.uid) && ended.all(|ended| ended)
    }

    fn chooses(&mut self, record: &Record) -> Option<Event> {
        let to = self.switch.as_ref().and_then(|switch| switch.to);
        let lies = self.setting.lies;
        let member = if !self.calm && lies > 0 && self.dice.one_in(lies.min(4)) {
            self.dice.index(self.members.len())
        } else {
            let fit = |member: &usize| {
                self.members[*member].newest.is_some_and(|newest| {
                    let process = &self.processes[newest];
                    let reached = process.client.alive && !process.client.paused && !process.client.cut;
                    reached && !process.stopping && process.lag <= BEHIND && !process.is_latched()
                })
            };
            let from = usize::try_from(record.tenure.epoch.0).expect("few");
            // Another one than the last, if there is one.
            let all = (0..self.members.len()).map(|index| (index + from + 1) % self.members.len());
            let fit: Vec<_> = all.filter(fit).collect();
            let wanted = to.filter(|to| fit.contains(to));
            wanted.or_else(|| fit.first().copied())?
        };
        self.made += 1;
        Some(Event::Offered {
            pod: self.members[member].pod.clone(),
            activation: Activation(self.made.into()),
            hand_over: self.setting.hand_over(),
        })
    }

    /// It starts anew, and knows nothing.
    pub fn operator_starts(&mut self, which: usize) {
        let operator = &mut self.operators[which];
        if operator.client.alive {
            return;
        }
        let turn = operator.client.turn + 1;
        *operator = Operator::new(&mut self.dice);
        operator.client.turn = turn;
        self.rest(Who::Operator(which), SOON);
    }

    pub fn operator_ends(&mut self, which: usize) {
        let client = &mut self.operators[which].client;
        client.alive = false;
        client.held.clear();
        // An answer to what it had asked finds nobody.
        client.turn += 1;
    }
}
