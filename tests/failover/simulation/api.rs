//! The API server: one record, written with the version that was read; requests and answers that are lost, late or doubled.

use mainstay::failover::{Activation, Epoch, Height, Record};

use super::{
    cluster::Cluster,
    events::{Event, Who},
    oracle::Cause,
    setting::Flaw,
};

/// How long a client waits for an answer (milliseconds).
const DEADLINE: u64 = 5_000;

/// A write.
#[derive(Clone, Debug)]
pub struct Put {
    pub version: u64,
    pub next: Record,
    /// Whether it is taken whatever the record says by now. Only mistakes are.
    pub blind: bool,
    /// Why the place is to change hands, if it is.
    pub cause: Option<Cause>,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Request {
    pub who: Who,
    pub turn: u32,
    pub put: Option<Put>,
    /// When it was sent: by the clock of who sent it, and truly.
    pub sent: u64,
    pub at: u64,
}

/// An answer; no record if somebody else wrote first.
#[derive(Clone, Debug)]
pub struct Reply {
    pub record: Option<Record>,
    pub version: u64,
    pub sent: u64,
}

#[derive(Clone, Debug)]
pub struct Api {
    pub record: Record,
    pub version: u64,
    pub down_until: u64,
    /// What was kept in a backup.
    pub kept: Option<Record>,
    /// What a cache may still have.
    before: Option<(Record, u64)>,
}

impl Api {
    /// A person has adopted the identity.
    pub fn new() -> Self {
        let record = Record::adopted(Epoch(0), Activation(0), Height(super::chain::BEGIN));
        Self { record, version: 1, down_until: 0, kept: None, before: None }
    }
}

impl Cluster {
    fn latency(&mut self) -> u64 {
        let late = self.setting.late;
        if !self.calm && self.dice.one_in(late) {
            return self.dice.time(60_000);
        }
        1 + self.dice.below(self.setting.latency)
    }

    fn is_lost(&mut self, who: Who) -> bool {
        let loss = self.setting.loss;
        self.client(who).cut || !self.calm && self.dice.one_in(loss)
    }

    /// Sends a request; without a write it is a read.
    pub fn ask(&mut self, who: Who, put: Option<Put>) {
        let sent = self.clock(who);
        let client = self.client(who);
        client.turn += 1;
        client.hurried = true;
        let turn = client.turn;
        if self.is_lost(who) {
            self.push(DEADLINE, Event::TimesOut(who, turn));
            return;
        }
        let request = Box::new(Request { who, turn, put, sent, at: self.now });
        let delay = self.latency();
        let twice = self.setting.twice;
        if !self.calm && request.put.is_some() && self.dice.one_in(twice) {
            let again = self.dice.time(30_000);
            self.push(delay + again, Event::Arrives(request.clone()));
        }
        if delay > DEADLINE {
            self.push(DEADLINE, Event::TimesOut(who, turn));
        }
        self.push(delay, Event::Arrives(request));
    }

    pub fn arrives(&mut self, request: Request) {
        let Request { who, turn, put, sent, at } = request;
        let left = (at + DEADLINE).saturating_sub(self.now).max(1);
        if self.api.down_until > self.now {
            self.push(left, Event::TimesOut(who, turn));
            return;
        }
        let reads = put.is_none();
        let taken = match put {
            Some(put) if put.version != self.api.version && !put.blind => false,
            Some(put) => {
                self.write(who, put);
                true
            }
            None => true,
        };
        let cached = reads && self.setting.flaw == Flaw::ReadsFromACache && self.dice.one_in(20);
        let (record, version) = match self.api.before.clone().filter(|_| cached) {
            Some((record, version)) => (Some(record), version),
            None => (taken.then(|| self.api.record.clone()), self.api.version),
        };
        let reply = Box::new(Reply { record, version, sent });
        let delay = self.latency();
        if self.is_lost(who) || delay > left {
            self.push(left, Event::TimesOut(who, turn));
        } else {
            self.push(delay, Event::Replies(who, turn, reply));
        }
    }

    fn write(&mut self, who: Who, put: Put) {
        let Put { next, blind, cause, .. } = put;
        self.tell(|_| format!("{who:?} writes {}", shown(&next)));
        if !blind {
            self.oracle.written(self.now, self.chain.head, &self.api.record, &next, cause);
        }
        if let (Some(Cause::Ordered), Some(switch)) = (cause, &mut self.switch) {
            switch.order.accepted = true;
        }
        let before = std::mem::replace(&mut self.api.record, next);
        self.api.before = Some((before, self.api.version));
        self.api.version += 1;
        if !self.calm && self.dice.one_in(6) {
            self.api.kept = Some(self.api.record.clone());
        }
    }
}

/// A record in one line.
pub fn shown(record: &Record) -> String {
    let Record { tenure, phase, floor, ceiling, claims, lowered, sealed, .. } = record;
    format!(
        "epoch {} {phase:?}, {}..={}, claims {claims}, lowered {lowered}, sealed {sealed:?}",
        tenure.epoch.0, floor.0, ceiling.0
    )
}
