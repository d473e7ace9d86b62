//! Where both sides of a gate meet: the node's requests, which are answered at once from what is known, and the record,
//! which is followed beside. One at a time; what is decided is durable before it is acted on.

use std::{collections::VecDeque, io, process, sync::Arc};

use tokio::{sync::Notify, time::Instant};
use tracing::{error, info, warn};

use crate::failover::{
    self, Epoch, Height, Tenure,
    gate::{self, Act, Answer, Ask, Content, Event, Gate, Hold, Hrs, Limits, Me, Refusal, Sight, decide, reach},
};

use super::{
    arbiter::{Arbiter, ProposalRequest, Ruling, VoteRequest},
    commit::Precommit,
    counts::Counts,
    diary::{Diary, Line},
    encoding::to_hex,
    first::{First, Look},
    privval::{self, BlockId, Place, Timestamp, canonical::Signed},
    store::{Found, Kept, Medium, Store},
    words,
};

/// A height that is so many windows above the ceiling is nonsense, unless the node's chain is there. It is no more than what
/// the API server lets a gate raise its ceiling by at once.
const JUMP: u64 = 50;
/// So many of its own precommits are remembered, to tell them from others'.
const REMEMBERED: usize = 1000;
/// How often it is told that the node asks for what no chain is at (milliseconds).
const TELL: u64 = 60_000;

/// Where both sides meet.
#[derive(Debug)]
pub struct Desk<M> {
    gate: Gate,
    limits: Limits,
    store: Store<M>,
    diary: Diary,
    /// The height that the node asked for last, unless that was nonsense.
    asked: Height,
    /// The head of the node's chain, if it was ever told.
    head: Option<Sight>,
    /// What only this process can have signed: of its hold, and of the one that it lost last.
    own: Option<Hold>,
    /// Where this process began to sign in the hold that it has.
    begun: Sight,
    /// When it was said last that the node asks for what no chain is at.
    told: Option<u64>,
    /// What its clock counts from.
    clock: Instant,
    /// What this process signed itself.
    made: VecDeque<Precommit>,
    counts: Counts,
    /// The time of this machine, for the diary (milliseconds since the epoch).
    now: fn() -> i64,
    /// What is done when nothing durable can be said any more. A process that goes on might sign twice.
    die: fn(&io::Error) -> !,
    /// Whether the record should be looked at before its time.
    hurry: Arc<Notify>,
    /// What the first signature waits for, where somebody looks at the chain.
    first: Option<First>,
    /// Whether the chain should be looked at before its time.
    wanted: Arc<Notify>,
}

/// What a request was about.
struct Asked<'a> {
    place: Place,
    block: &'a BlockId<'a>,
    time: Timestamp,
    sign_bytes: &'a [u8],
}

// === impl Desk ===

impl<M: Medium> Desk<M> {
    /// A process that has just started, with what was kept of the ones before.
    pub fn open(me: Me, medium: M, diary: Diary, counts: Counts, now: fn() -> i64) -> io::Result<Self> {
        let (store, found) = Store::open(medium)?;
        match found {
            Found::Nothing => info!("no state was kept here before"),
            Found::Kept => {}
            Found::Lost => warn!(
                "the kept state cannot be read: it counts as lost, and the rest of the window that it was about is \
                 waited for"
            ),
        }
        let gate = Gate::new(me, store.kept().disk.clone());
        // Nothing is signed before a record was seen, so that no window is needed before.
        let limits = Limits { window: 0, jump: 0, reach: Height(0) };
        let begun = Sight { height: Height(0), at: 0 };
        let desk = Self {
            gate,
            limits,
            store,
            diary,
            asked: Height(0),
            head: None,
            own: None,
            begun,
            told: None,
            clock: Instant::now(),
            made: VecDeque::new(),
            counts,
            now,
            die,
            hurry: Arc::default(),
            first: None,
            wanted: Arc::default(),
        };
        desk.show();
        Ok(desk)
    }

    /// The same, with another end for a process whose disk fails: tests go on.
    #[must_use]
    pub fn dying(mut self, die: fn(&io::Error) -> !) -> Self {
        self.die = die;
        self
    }

    /// From now on somebody looks at the node's chain: the first signature of a hold waits for that.
    pub fn watched(&mut self) {
        self.first = Some(First::default());
    }

    /// What to wait for beside the clock before the record is looked at again.
    #[must_use]
    pub fn hurry(&self) -> Arc<Notify> {
        Arc::clone(&self.hurry)
    }

    /// What to wait for beside the clock before the chain is looked at again.
    #[must_use]
    pub fn wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.wanted)
    }

    /// What a look at the chain came to.
    pub const fn looked(&mut self, look: Look) {
        if let Some(first) = &mut self.first {
            first.looked(look);
        }
    }

    /// Whether all was read of this hold that the chain had when it began.
    #[must_use]
    pub fn is_read(&self, tenure: Tenure) -> bool {
        self.first.is_none_or(|first| first.is_read(tenure))
    }

    /// Whether a signature has to wait until the chain was looked at.
    fn waits(&mut self) -> bool {
        let (now, hold) = (self.ticks(), self.gate.hold());
        let (Some(first), Some(hold)) = (&mut self.first, hold) else { return false };
        let waits = first.waits(hold.tenure, now);
        if waits {
            self.wanted.notify_one();
        }
        waits
    }

    /// What it knows.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The record was seen; `window` is the identity's. What is returned is to be written with the version that was seen.
    pub fn seen(&mut self, record: failover::Record, window: u64) -> Option<failover::Record> {
        (self.limits.window, self.limits.jump) = (window, window.saturating_mul(JUMP));
        if self.gate.hold().is_none() {
            self.begun = Sight { height: record.ceiling, at: self.ticks() };
        }
        self.look_around();
        let (tenure, adopted, floor) = (record.tenure, record.adopted, record.floor);
        let put = self.take(&Event::Seen { record, asked: self.sought() });
        self.give_up(tenure.epoch, adopted, floor);
        put
    }

    /// What was its own ends where a later epoch begins, and a person who has adopted the identity since has looked.
    fn give_up(&mut self, epoch: Epoch, adopted: Epoch, floor: Height) {
        self.own = match self.own {
            Some(own) if adopted > own.tenure.epoch => None,
            Some(own) if epoch > own.tenure.epoch => Some(Hold { ceiling: own.ceiling.min(floor), ..own }),
            own => own,
        };
    }

    /// Milliseconds of a clock that never goes back.
    fn ticks(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How far the chain can be by now.
    fn look_around(&mut self) {
        self.limits.reach = reach(self.head, self.begun, &self.limits, self.ticks());
    }

    /// The height that the window is to reach. To one that is far above it leads more than one step.
    fn sought(&self) -> Height {
        match self.gate.hold() {
            Some(hold) if self.is_there(self.asked) => self.asked.min(hold.ceiling.plus(self.limits.jump)),
            _ => self.asked,
        }
    }

    /// Whether the chain can be so far.
    fn is_there(&self, height: Height) -> bool {
        height <= self.limits.reach
    }

    /// The head of the node's chain. One that has no block yet tells nothing.
    pub fn head(&mut self, head: Height) {
        if head > Height(0) {
            self.head = Some(Sight { height: head, at: self.ticks() });
        }
    }

    /// The process is to stop: what it holds is given back with the next look at the record.
    pub fn stop(&mut self) {
        self.take(&Event::Stop);
    }

    /// Whether there is nothing left to give back.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.gate.hold().is_none()
    }

    /// What only this process can have signed, also after it has lost the place: a seal ends what it may sign, and a stranger may
    /// have signed before.
    #[must_use]
    pub fn own(&self) -> Option<Hold> {
        match self.gate.hold() {
            Some(hold) if self.gate.is_silent(hold.tenure) => {
                Some(Hold { ceiling: self.gate.signed_at_most(&hold), ..hold })
            }
            Some(hold) => Some(hold),
            None => self.own,
        }
    }

    /// The chain has this signature of the key. Where only this process could have made it and did not, somebody else has the
    /// key.
    pub fn found(&mut self, precommit: &Precommit) {
        let Some(hold) = self.own() else { return };
        let owned = hold.start < Height(precommit.height) && Height(precommit.height) <= hold.ceiling;
        // What was forgotten was its own, for all that it knows.
        let forgotten = self.made.len() == REMEMBERED
            && self.made.front().is_some_and(|oldest| precommit.height <= oldest.height);
        if owned && !forgotten && !self.made.contains(precommit) {
            error!(?precommit, "this signature was made by somebody else");
            self.take(&Event::ForeignSignature);
            self.hurry.notify_one();
        }
    }

    fn take(&mut self, event: &Event) -> Option<failover::Record> {
        let (next, acts) = gate::step(&self.gate, event, &self.limits);
        if next.part != self.gate.part {
            words::part(&next.part);
            if next.hold().is_some_and(|hold| !self.is_read(hold.tenure)) {
                self.wanted.notify_one();
            }
        }
        self.own = self.own();
        self.gate = next;
        let mut put = None;
        for act in acts {
            match act {
                Act::Persist => self.keep(self.store.kept().sign_bytes.clone()),
                Act::Put(record) => put = Some(record),
                Act::Page(latch) => words::latched(latch),
            }
        }
        self.show();
        put
    }

    /// Makes the state durable, or ends the process.
    fn keep(&mut self, sign_bytes: Vec<u8>) {
        if let Err(error) = self.store.keep(Kept { disk: self.gate.disk.clone(), sign_bytes }) {
            (self.die)(&error);
        }
    }

    fn rule(&mut self, asked: &Asked<'_>) -> Ruling {
        let Ok(signed) = Signed::read(asked.sign_bytes) else {
            return Ruling::Refuse("these are no sign-bytes".into());
        };
        let at = Hrs {
            height: Height(asked.place.height),
            round: asked.place.round,
            step: words::step(asked.place.step),
        };
        let content = Content { what: signed.content(), when: asked.time.in_nanos() };
        self.look_around();
        let (next, answer) = decide(&self.gate, &gate::Request::Sign(Ask { at, content }), &self.limits);
        let there = answer != Answer::Refuse(Refusal::Jump) || self.is_there(at.height);
        if there {
            self.asked = at.height;
        } else {
            self.tell_far(at.height);
        }
        let answer = if answer == Answer::Sign && self.waits() { Answer::Refuse(Refusal::Unread) } else { answer };
        match answer {
            Answer::Sign => {
                self.gate = next;
                self.keep(asked.sign_bytes.to_vec());
                let line = self.line(asked, at, content);
                if let Err(error) = self.diary.add(&line) {
                    (self.die)(&error);
                }
                self.remember(asked);
                self.counts.signed(at.step);
                self.show();
                Ruling::Sign
            }
            Answer::Repeat => Ruling::SignAgain(self.store.kept().sign_bytes.clone()),
            Answer::Refuse(why) => {
                self.counts.refused(why);
                if matches!(why, Refusal::AboveWindow | Refusal::NotHolder) || why == Refusal::Jump && there {
                    self.hurry.notify_one();
                }
                Ruling::Refuse(words::refusal(why).into())
            }
            Answer::PubKey | Answer::Pong => Ruling::Refuse("this was no question for a signature".into()),
        }
    }

    /// Says that the node asks for what no chain is at. A node that does so without end fills no log.
    fn tell_far(&mut self, height: Height) {
        let now = self.ticks();
        if self.told.is_none_or(|told| now.saturating_sub(told) >= TELL) {
            self.told = Some(now);
            words::far(height, self.head.map(|head| head.height), self.limits.reach);
        }
    }

    fn remember(&mut self, asked: &Asked<'_>) {
        let Place { height, round, step } = asked.place;
        if step == privval::Step::Precommit {
            if self.made.len() == REMEMBERED {
                self.made.pop_front();
            }
            self.made.push_back(Precommit { height, round, block: asked.block.hash.try_into().ok() });
        }
    }

    fn line(&self, asked: &Asked<'_>, at: Hrs, content: Content) -> Line {
        let tenure = self.gate.hold().map(|hold| hold.tenure).unwrap_or_default();
        Line {
            at: (self.now)(),
            member: self.gate.me.pod.member.clone(),
            pod_uid: self.gate.me.pod.uid.clone(),
            boot: format!("{:032x}", self.gate.me.boot.0),
            epoch: tenure.epoch.0,
            activation: format!("{:032x}", tenure.activation.0),
            height: at.height.0,
            round: at.round,
            kind: words::kind(at.step).into(),
            block: (!asked.block.is_nil()).then(|| to_hex(asked.block.hash)),
            timestamp: content.when,
        }
    }

    fn show(&self) {
        let hold = self.gate.hold();
        let left = hold.map_or(0, |hold| hold.ceiling.0.saturating_sub(self.asked.0.max(hold.start.0)));
        let epoch = self.gate.disk.known.map_or(0, |known| known.epoch.0);
        self.counts.stand(hold.is_some(), epoch, left, self.gate.disk.latched.is_some());
    }
}

impl<M: Medium> Arbiter for Arc<std::sync::Mutex<Desk<M>>> {
    fn vote(&mut self, request: &VoteRequest<'_>) -> Ruling {
        let VoteRequest { place, vote, sign_bytes } = *request;
        lock(self).rule(&Asked { place, block: &vote.block, time: vote.time, sign_bytes })
    }

    fn proposal(&mut self, request: &ProposalRequest<'_>) -> Ruling {
        let ProposalRequest { place, proposal, sign_bytes } = *request;
        lock(self).rule(&Asked { place, block: &proposal.block, time: proposal.time, sign_bytes })
    }
}

/// The desk. A panic while it was held leaves it in the middle of something: that process is over.
pub fn lock<M>(desk: &std::sync::Mutex<Desk<M>>) -> std::sync::MutexGuard<'_, Desk<M>> {
    desk.lock().unwrap_or_else(|_| process::abort())
}

fn die(error: &io::Error) -> ! {
    error!(%error, "what was decided cannot be made durable: nothing more is signed, and the process ends");
    process::exit(1)
}
