//! The API server of gates that hold a place by time, in memory.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use mainstay::{
    api::SigningIdentitySpec,
    failover::{Activation, Epoch, Event, HandOver, Height, Held, Pod, Record, Timing, step},
    gate::registry::{self, Registry, Seen},
};

const TIMING: Timing = Timing { hold: 3_000, drift: 0, margin: 0 };

/// The API server, and what is handed over.
pub struct Records(Mutex<(u64, Record)>, pub AtomicBool, Held);

impl Records {
    pub fn offered_to(held: Held, uid: &str) -> Self {
        let adopted = Record::adopted(Epoch(0), Activation(0), Height(10));
        let this = Self(Mutex::new((1, adopted)), AtomicBool::new(false), held);
        this.offer(uid);
        this
    }

    pub fn offer(&self, uid: &str) {
        self.offer_to("a", uid);
    }

    pub fn offer_to(&self, member: &str, uid: &str) {
        let pod = Arc::new(Pod { member: member.into(), uid: uid.into(), node: "n".into() });
        let hand_over = HandOver::Launcher(self.2, TIMING);
        self.step(Event::Offered { pod, activation: Activation(1), hand_over });
    }

    pub fn step(&self, event: Event) {
        let mut kept = self.0.lock().unwrap();
        *kept = (kept.0 + 1, step(&kept.1, event).0);
    }

    pub fn record(&self) -> Record {
        self.0.lock().unwrap().1.clone()
    }

    pub fn revoke(&self) {
        let epoch = self.record().tenure.epoch;
        self.step(Event::Wanted { epoch });
    }

    fn seen(&self) -> Seen {
        let (version, record) = self.0.lock().unwrap().clone();
        let spec =
            SigningIdentitySpec { network: "n".into(), namespace: "s".into(), group: "g".into(), window: 20 };
        Seen { version: version.to_string(), spec, record: Some(record) }
    }
}

impl Registry for Records {
    async fn read(&self) -> Result<Seen, registry::Trouble> {
        if self.1.load(Ordering::Relaxed) {
            return Err(registry::Trouble::Failed("it is away".into()));
        }
        Ok(self.seen())
    }

    async fn write(&self, seen: &Seen, record: &Record) -> Result<Seen, registry::Trouble> {
        let mut kept = self.0.lock().unwrap();
        if kept.0.to_string() != seen.version {
            return Err(registry::Trouble::Conflict);
        }
        *kept = (kept.0 + 1, record.clone());
        drop(kept);
        Ok(self.seen())
    }
}
