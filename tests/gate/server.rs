//! An API server that loses answers and takes writes late, and an operator behind it that wants something else all the time.

use std::sync::{Arc, Mutex};

use crate::dice::Dice;

use mainstay::{
    api::{SigningIdentitySpec, SigningIdentityStatus},
    failover::{Activation, Epoch, Event, HandOver, Height, Phase, Pod, Record, Share, step},
    gate::registry::{Registry, Seen, Trouble},
};

/// A rule of the protocol that is left out, to see that somebody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// Every process has the same boot id.
    BootIds,
    /// The API server takes any write, whatever its writer had read.
    CompareAndSwap,
    /// Nothing is made durable before a signature leaves, nor ever.
    Durability,
}

/// The API server, and the operator behind it.
#[derive(Clone)]
pub struct Server(pub Arc<Mutex<Inside>>);

pub struct Inside {
    random: Dice,
    version: u64,
    status: SigningIdentityStatus,
    /// Writes whose answers were given up and which have not arrived.
    late: Vec<(u64, SigningIdentityStatus)>,
    /// Every pod there ever was.
    pub pods: Vec<Arc<Pod>>,
    pub without: Without,
    /// Whether all is well from now on.
    pub calm: bool,
}

impl Server {
    /// Nobody holds the place yet.
    pub fn new(random: Dice, without: Without) -> Self {
        let status = SigningIdentityStatus::from(&Record::adopted(Epoch(0), Activation(1), Height(100)));
        let (late, pods) = (Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inside { random, version: 1, status, late, pods, without, calm: false })))
    }
}

impl Inside {
    pub fn record(&self) -> Record {
        Record::try_from(&self.status).unwrap()
    }

    fn take(&mut self, event: Event) {
        let next = step(&self.record(), event).0;
        if next != self.record() {
            (self.version, self.status) = (self.version + 1, SigningIdentityStatus::from(&next));
        }
    }

    /// Another turn of the operator.
    pub fn operate(&mut self) {
        let record = self.record();
        let event = match &record.phase {
            Phase::Active(_) => Event::Wanted { epoch: record.tenure.epoch },
            Phase::Revoking { .. } => {
                let (waited, share) = (self.random.below(3) * 10_000, self.random.below(4));
                let share = if share == 0 && !self.calm { Share::Third } else { Share::Small };
                Event::Found { proof: None, share, waited }
            }
            Phase::Fenced(_) => {
                let pod = usize::try_from(self.random.below(self.pods.len() as u64)).unwrap();
                let pod = if self.calm { self.pods.last() } else { self.pods.get(pod) };
                let (pod, activation) = (Arc::clone(pod.unwrap()), Activation(self.random.roll().into()));
                Event::Offered { pod, activation, hand_over: HandOver::Gate }
            }
        };
        self.take(event);
    }

    /// What happens while a request is on its way.
    fn meanwhile(&mut self) {
        if self.calm {
            return;
        }
        if self.random.one_in(80) || !matches!(self.record().phase, Phase::Active(_)) && self.random.one_in(3) {
            self.operate();
        }
        if !self.late.is_empty() && self.random.one_in(3) {
            let at = usize::try_from(self.random.below(self.late.len() as u64)).unwrap();
            let (version, status) = self.late.swap_remove(at);
            self.write(version, status);
        }
    }

    fn write(&mut self, version: u64, status: SigningIdentityStatus) -> bool {
        let fits = version == self.version || self.without == Without::CompareAndSwap;
        if fits {
            (self.version, self.status) = (self.version + 1, status);
        }
        fits
    }

    fn seen(&self) -> Seen {
        let spec =
            SigningIdentitySpec { network: "n".into(), namespace: "ns".into(), group: "g".into(), window: 8 };
        Seen { version: self.version.to_string(), spec, record: Some(self.record()) }
    }
}

fn nobody<T>() -> Result<T, Trouble> {
    Err(Trouble::Failed("nobody answers".into()))
}

impl Registry for Server {
    async fn read(&self) -> Result<Seen, Trouble> {
        let mut inside = self.0.lock().unwrap();
        inside.meanwhile();
        if !inside.calm && inside.random.one_in(8) { nobody() } else { Ok(inside.seen()) }
    }

    async fn write(&self, seen: &Seen, record: &Record) -> Result<Seen, Trouble> {
        let mut inside = self.0.lock().unwrap();
        inside.meanwhile();
        let (version, status) = (seen.version.parse().unwrap(), SigningIdentityStatus::from(record));
        let fate = if inside.calm { 9 } else { inside.random.below(10) };
        match fate {
            0 => nobody(),
            1 => {
                inside.late.push((version, status));
                nobody()
            }
            2 => {
                inside.write(version, status);
                nobody()
            }
            _ if inside.write(version, status) => Ok(inside.seen()),
            _ => Err(Trouble::Conflict),
        }
    }
}
