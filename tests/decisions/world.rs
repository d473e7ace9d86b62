//! A toy cluster: one pod, one journal entry, one ledger, and an audit of what was accepted.

use mainstay::{
    api::{NetworkLedgerSpec, Phase},
    plan::{
        Approval, Guard, PodFacts, PodPresent, Rotation, Spending, Step,
        ledger::{self, Ask, Claim},
    },
    policy::{FailoverStep, JobStep, Policy},
    remedy::{Entry, Kind, Observation, Order, Outcome},
    signal::Server,
};

use super::{
    common::{HOUR, US, policy, remediation},
    story::{After, Consent, Elsewhere, Story, What},
};

pub const TARGET: &str = "pod-1";
pub const REMEDIATION: &str = "nrem-1";
pub const SLOT: &str = "gaia-0";
const BORN: i64 = 1_800_000_000_000;
const GRACE: i64 = 2_000;

#[derive(Clone, Debug)]
pub struct Pod {
    pub uid: String,
    pub version: u64,
    pub going_since: Option<i64>,
    pub born: i64,
}

#[derive(Clone, Debug)]
pub struct Journal {
    pub phase: Phase,
    pub reason: String,
    pub deadline: Option<i64>,
    pub acted_at: Option<i64>,
    pub finalizer: bool,
    pub version: u64,
}

/// A removal that the API server accepted.
#[derive(Clone, Debug)]
pub struct Removal {
    pub uid: String,
    pub journal: Phase,
    pub seated: bool,
    /// Whether it landed when its sender had been told "unknown".
    pub late: bool,
}

#[derive(Clone, Debug)]
pub struct World {
    pub story: Story,
    pub now: i64,
    pub pod: Pod,
    /// Every version of the entry, the last is the truth: a cache may show any.
    pub journal: Vec<Journal>,
    pub ledger: NetworkLedgerSpec,
    pub stopped: bool,
    pub recovered: bool,
    pub simulated: bool,
    /// Whether the policy is another than when this was written down.
    pub changed: bool,
    /// What was done to the target: pods removed, jobs created, or orders given.
    pub removals: Vec<Removal>,
    pub pages: u32,
    /// Requests whose sender was told nothing, and which land later.
    pub in_flight: Vec<(String, u64)>,
    pub units: usize,
    /// Whether two processes work on the entry.
    pub shared: bool,
    pub policy: Policy,
}

impl World {
    pub fn new(story: Story) -> Self {
        let entry = Journal {
            phase: Phase::Pending,
            reason: String::new(),
            deadline: None,
            acted_at: None,
            finalizer: true,
            version: 1,
        };
        let mut policy = policy("policy-1", 1, &[(3, HOUR)]);
        policy.ladder.job = Some(JobStep {
            cron_job: "resync".into(),
            within: 60_000,
            attempts: 1,
            cooldown: HOUR,
            backoff_factor: 1,
            backoff_max: HOUR,
        });
        policy.ladder.failover =
            Some(FailoverStep { group: "hub".into(), within: 60_000, attempts: 1, cooldown: HOUR });
        Self {
            story,
            now: BORN,
            pod: Pod { uid: TARGET.into(), version: 10, going_since: None, born: BORN - 3_600_000 },
            journal: vec![entry],
            ledger: NetworkLedgerSpec::default(),
            stopped: false,
            recovered: false,
            simulated: story.simulated,
            changed: false,
            removals: Vec::new(),
            pages: 0,
            in_flight: Vec::new(),
            units: 0,
            shared: false,
            policy,
        }
    }

    pub fn order(&self) -> Order {
        let (within, clear) = (60_000, 5_000);
        let kind = match self.story.what {
            What::Restart => Kind::Restart { within, clear },
            What::Job => Kind::Job { within, clear },
            What::Failover => Kind::Failover { within },
            What::Page => Kind::Page,
        };
        Order { uid: TARGET.into(), kind, created_at: BORN }
    }

    pub fn step(&self) -> Step {
        match self.story.what {
            What::Restart => Step::Restart,
            What::Job => Step::Job,
            What::Failover => Step::Failover,
            What::Page => Step::Page,
        }
    }

    pub fn claim(&self) -> Claim<'_> {
        Claim {
            remediation: REMEDIATION,
            policy: &self.policy.id.uid,
            slot: SLOT,
            attempt: 1,
            step: self.step(),
            acted_at: None,
        }
    }

    pub fn entry(&self) -> &Journal {
        self.journal.last().expect("an entry")
    }

    pub fn seated(&self) -> bool {
        self.ledger.seats.iter().any(|seat| seat.remediation.uid == REMEDIATION)
    }

    pub fn spent(&self) -> bool {
        self.ledger.actions.iter().any(|action| action.remediation == REMEDIATION && !action.simulated)
    }

    /// Time goes on, and others do what they do.
    pub fn tick(&mut self) {
        self.now += 200;
        if self.units == self.story.at {
            match self.story.elsewhere {
                Elsewhere::Nothing => {}
                Elsewhere::Stop => self.stopped = true,
                Elsewhere::PersonDeletes => self.go(),
                Elsewhere::Recovers => self.recovered = true,
                Elsewhere::ModeFlips => self.simulated = !self.simulated,
                Elsewhere::PolicyChanges => self.changed = true,
            }
        }
        self.units += 1;
        self.settle();
    }

    pub fn settle(&mut self) {
        if self.pod.going_since.is_some_and(|since| self.now >= since + GRACE) {
            let uid = format!("{}'", self.pod.uid);
            self.pod = Pod { uid, version: self.pod.version + 1, going_since: None, born: self.now };
        }
    }

    fn go(&mut self) {
        self.pod.going_since.get_or_insert(self.now);
        self.pod.version += 1;
    }

    pub fn look(&self) -> (PodFacts, Option<(Guard, String)>, bool) {
        let pod = PodFacts::Present(PodPresent {
            uid: self.pod.uid.clone(),
            resource_version: self.pod.version.to_string(),
            terminating: self.pod.going_since.is_some(),
            ignored: false,
            controlled: true,
            protected: false,
            host_network: false,
            crash_loop: false,
            grace: 2,
            age: HOUR,
            rotation: Rotation::default(),
        });
        (pod, self.guard().map(|guard| (guard, guard.name().to_owned())), self.simulated)
    }

    /// The guards, as far as this world has any; what the remediation took itself is no reason against it.
    fn guard(&self) -> Option<Guard> {
        let before = ledger::release(&self.ledger, &self.claim(), false, false);
        let record = ledger::record(&before, &self.policy.id.uid, SLOT, self.simulated);
        let now = Server(self.now);
        let ladder = &self.policy.ladder;
        let step = match self.story.what {
            What::Job => Step::Job,
            What::Failover => Step::Failover,
            _ => Step::Restart,
        };
        let tries = ledger::Tries::of(step, ladder, &record);
        let (used_up, rests_until) = tries.map_or((true, None), |tries| (tries.used_up(), tries.rests_until()));
        // Once its order is carried out, the target holds the place no more.
        let handed_over = self.story.what == What::Failover && !self.removals.is_empty();
        let page = self.story.what == What::Page;
        let moved = self.pod.uid != TARGET || self.pod.going_since.is_some();
        let limits = [
            (self.stopped && !page, Guard::EmergencyStop),
            (moved && !page, Guard::Moved),
            (self.recovered, Guard::Evidence),
            (handed_over, Guard::Failover),
        ];
        let spending = Spending {
            ledger: &before,
            policy: &self.policy,
            of_network: &[],
            slot: SLOT,
            simulated: self.simulated,
        };
        let of_restarts = [
            (used_up, Guard::Exhausted),
            (rests_until.is_some_and(|end| end > now), Guard::Cooldown),
            (spending.used_up(now).is_some(), Guard::Budget),
            (ledger::seat_refused(&before, &self.policy, 1, SLOT).is_some(), Guard::MaxConcurrent),
        ];
        let of_restarts = of_restarts.iter().filter(|_| !page);
        limits.iter().chain(of_restarts).find(|(holds, _)| *holds).map(|(_, guard)| *guard)
    }

    pub fn take(&mut self, simulated: bool, uid: &str) -> Result<(), (Guard, String)> {
        let ask = Ask {
            installation: US,
            policy: &self.policy,
            network_max: 1,
            network_budget: &[],
            remediation: remediation(uid),
            slot: SLOT,
            attempt: 1,
            step: self.step(),
            services: Vec::new(),
            simulated,
            long_health: None,
            deadline: Server(self.now + 120_000),
            now: Server(self.now),
        };
        let taken = ledger::take(&self.ledger, &ask).map_err(|refused| (refused.guard, refused.why))?;
        self.ledger = taken;
        Ok(())
    }

    pub fn release(&mut self, acted: bool, exhausted: bool) {
        self.ledger = ledger::release(&self.ledger, &self.claim(), acted, exhausted);
    }

    /// Writes the journal if it still is what the writer read.
    pub fn write(&mut self, entry: &Entry, read: u64) -> Result<u64, String> {
        let known = self.entry();
        if known.version != read {
            return Err("the entry has changed".into());
        }
        let next = Journal {
            phase: entry.phase,
            reason: entry.reason.clone(),
            deadline: entry.deadline,
            acted_at: entry.acted_at,
            finalizer: known.finalizer,
            version: read + 1,
        };
        self.journal.push(next);
        Ok(read + 1)
    }

    pub fn let_go(&mut self) {
        let mut next = self.entry().clone();
        next.finalizer = false;
        next.version += 1;
        self.journal.push(next);
    }

    /// What people have said.
    pub fn approval(&self) -> Approval {
        let so_far = || Approval::Wanted("0 of 1".into());
        match self.story.consent {
            Consent::NotAsked => Approval::NotNeeded,
            _ if self.changed => Approval::Void("the policy was changed".into()),
            Consent::At(unit) if self.units >= unit => Approval::Given,
            Consent::At(_) | Consent::Never => so_far(),
        }
    }

    /// Takes the step: a job is created once, and an order is given once, whatever becomes of the pod.
    pub fn act(&mut self, uid: &str, version: u64, late: bool) -> Outcome {
        if !matches!(self.story.what, What::Job | What::Failover) {
            return self.evict(uid, version, late);
        }
        if self.removals.is_empty() {
            let (journal, seated) = (self.entry().phase, self.seated());
            self.removals.push(Removal { uid: TARGET.into(), journal, seated, late });
        }
        Outcome::Done
    }

    /// Evicts the pod that has the name, if it is the one that was looked at.
    fn evict(&mut self, uid: &str, version: u64, late: bool) -> Outcome {
        if self.pod.uid != uid || self.pod.version != version {
            return Outcome::Moved("another pod or version".into());
        }
        if self.story.blocked {
            return Outcome::Blocked("a disruption budget".into());
        }
        let removal =
            Removal { uid: self.pod.uid.clone(), journal: self.entry().phase, seated: self.seated(), late };
        self.removals.push(removal);
        self.go();
        Outcome::Done
    }

    pub fn page(&mut self) -> Outcome {
        if self.story.deaf {
            return Outcome::Refused("no sink took it".into());
        }
        self.pages += 1;
        Outcome::Done
    }

    pub fn observe(&mut self) -> Observation {
        // Nothing to see yet: whoever watches comes back in five seconds.
        self.now += 5_000;
        self.settle();
        if self.story.what == What::Job {
            return match self.story.after {
                _ if self.removals.is_empty() => Observation::NotYet("head stands".into()),
                After::Heals => Observation::Healthy { pod: SLOT.into(), lasted: 60_000 },
                After::StaysSick => Observation::Failed("the job gave up".into()),
                After::TakesLong => Observation::NotYet("the job is running".into()),
                After::CannotBeTold => Observation::Unknown("no readings".into()),
            };
        }
        if self.story.what == What::Failover {
            return match self.story.after {
                _ if self.removals.is_empty() => Observation::NotYet("there is no order".into()),
                After::Heals => Observation::Healthy { pod: "b".into(), lasted: 0 },
                After::StaysSick => Observation::Failed("nobody can go on".into()),
                After::TakesLong => Observation::NotYet("blocked: nothing proves that it has stopped".into()),
                After::CannotBeTold => Observation::Unknown("no answer".into()),
            };
        }
        if self.pod.uid == TARGET {
            return Observation::NotYet("the same pod is still there".into());
        }
        match self.story.after {
            After::Heals => {
                let lasted = u64::try_from(self.now - self.pod.born).expect("time goes on");
                Observation::Healthy { pod: SLOT.into(), lasted }
            }
            After::StaysSick | After::TakesLong => Observation::NotYet("head stands".into()),
            After::CannotBeTold => Observation::Unknown("no readings".into()),
        }
    }
}
