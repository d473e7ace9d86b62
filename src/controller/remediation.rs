//! Carries remediations through their life: performs what `remedy::step` asks for, and feeds the outcome back.

use std::sync::Arc;

use crate::{
    api::{NodeRemediation, Phase, PolicyRef, RemediationRef},
    effect::{self, JobState, OrderState, journal, ledger as ledgers},
    plan::{Step, Switch, ledger},
    remedy::{self, Effect, End, Event, Kind, Observation, Order, SeatOutcome},
    signal::{Mono, Server},
    world::PolicySnapshot,
};

use super::{
    context::Context,
    entry::{kind_of, step_of},
    report, rotation,
    watch::Key,
};

mod act;
mod look;

/// Between two looks at a target that is being verified, and after an effect that failed (milliseconds).
const LOOK_AGAIN: u64 = 1_000;
/// A job or an order takes longer, and each look at it is a read (milliseconds).
const READ_AGAIN: u64 = 5_000;
/// A network that belongs to another installation is looked at again after this (milliseconds).
const TICK: u64 = 30_000;
const RETRY: u64 = 2_000;

/// Carries one remediation as far as it goes now. Returns when it wants to go on (milliseconds).
pub async fn reconcile(ctx: Arc<Context>, key: Key) -> Option<u64> {
    let cached = ctx.stores.remediations.get(&key.namespace, &key.name)?;
    if !ctx.leads() {
        return None;
    }
    if ctx.is_foreign(&cached.spec.network) {
        return Some(TICK);
    }
    let object = match cached.phase() {
        phase if phase.is_final() && !journal::is_held(&cached) => return None,
        // Watched for minutes, and nothing is done before the next write, which is a compare-and-swap.
        Phase::Verifying => NodeRemediation::clone(&cached),
        // Nothing is done on the word of a cache: only the object itself says where it stands.
        _ => match journal::get(&ctx.clients.actuator, &key.namespace, &key.name).await {
            Ok(Some(live)) => live,
            Ok(None) => return None,
            Err(error) => {
                tracing::warn!(remediation = key.name, %error, "could not read a remediation");
                report::reconcile_error(&ctx.metrics, "remediation", "read");
                return Some(RETRY);
            }
        },
    };
    let mut life = Life::new(&ctx, object)?;
    life.run().await
}

/// One remediation on its way.
struct Life<'a> {
    ctx: &'a Context,
    object: NodeRemediation,
    order: Order,
    key: Key,
    /// Its own uid.
    uid: String,
    /// The Services that the last look found to be changed by it.
    services: Vec<String>,
    /// By what the last look found the pod to take part.
    switch: Switch,
    /// When the last look was.
    looked_at: Mono,
    /// When this process last announced the act in the journal.
    announced_at: Mono,
}

impl<'a> Life<'a> {
    fn new(ctx: &'a Context, object: NodeRemediation) -> Option<Self> {
        let uid = object.metadata.uid.clone()?;
        let key = Key { namespace: object.metadata.namespace.clone()?, name: object.metadata.name.clone()? };
        let kind = kind_of(&object.spec.action);
        let created_at = object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_millisecond());
        let order = Order { uid: object.spec.target.uid.clone(), kind, created_at };
        Some(Self {
            ctx,
            object,
            order,
            key,
            uid,
            services: Vec::new(),
            switch: Switch::default(),
            looked_at: Mono(0),
            announced_at: Mono(0),
        })
    }

    async fn run(&mut self) -> Option<u64> {
        if !self.phase().is_final()
            && let Err(error) = self.hold().await
        {
            tracing::warn!(remediation = self.key.name, %error, "could not hold a remediation");
            return Some(RETRY);
        }
        let status = self.object.status.clone().unwrap_or_default();
        let final_and_free = status.phase.is_final() && !journal::is_held(&self.object);
        if final_and_free {
            return None;
        }
        let end = End::of(status.phase, &status.reason, status.acted_at);
        let (mut state, mut effect) = remedy::resume(status.phase, status.deadline, &end);
        loop {
            if !self.ctx.leads() {
                return None;
            }
            let event = match self.perform(&effect).await {
                Performed::Event(event) => *event,
                Performed::Later(millis) => return Some(millis),
                Performed::Over => return None,
            };
            if let Event::Failed(why) = &event {
                tracing::warn!(remediation = self.key.name, ?effect, why, "an effect could not be performed");
                report::reconcile_error(&self.ctx.metrics, "remediation", "effect");
            }
            (state, effect) = remedy::step(&self.order, &state, event);
        }
    }

    async fn perform(&mut self, effect: &Effect) -> Performed {
        match effect {
            Effect::Look => self.look().await.into(),
            Effect::TakeSeat { simulated } => self.take_seat(*simulated).await.into(),
            Effect::Write(entry) => self.write(entry).await.into(),
            Effect::Act { resource_version } => self.act(resource_version).await.into(),
            Effect::Observe { deadline } => self.observe(*deadline).await,
            Effect::Release { acted, exhausted } => self.release(*acted, *exhausted).await.into(),
            Effect::LetGo => self.let_go().await.into(),
            Effect::Later(millis) => Performed::Later(*millis),
            Effect::Nothing => Performed::Over,
        }
    }

    async fn take_seat(&self, simulated: bool) -> Event {
        let (ctx, spec) = (self.ctx, &self.object.spec);
        let Some(snapshot) = self.snapshot() else {
            return Event::Failed("the policy or its network is gone".into());
        };
        let policy = &snapshot.policy;
        let now = ctx.now();
        let target = snapshot.targets.iter().find(|target| target.facts.slot == spec.target.slot);
        let long_health = target.and_then(|target| target.facts.long_health(policy, now));
        let now = now.server;
        let ask = ledger::Ask {
            installation: &ctx.installation,
            policy,
            network_max: snapshot.network.max_concurrent,
            network_budget: &snapshot.network.budget,
            remediation: self.reference(),
            slot: &spec.target.slot,
            attempt: self.attempt(),
            step: self.step(),
            services: self.services.clone(),
            simulated,
            long_health,
            // One more `within` of grace: a seat is reclaimed only after a live look at its remediation anyway.
            deadline: now.plus(2 * self.order.kind.within()),
            now,
        };
        match ledgers::swap(&ctx.clients.actuator, &spec.network, |record| ledger::take(record, &ask)).await {
            Ok(_) => Event::Seated(SeatOutcome::Taken),
            Err(ledgers::SwapError::Refused(refused)) => {
                Event::Seated(SeatOutcome::Refused(refused.guard, refused.why))
            }
            Err(error) => Event::Failed(error.to_string()),
        }
    }

    /// Writes the journal by compare-and-swap; only then is the transition told to anybody.
    async fn write(&mut self, entry: &remedy::Entry) -> Event {
        let (now, before) = (self.ctx.now(), self.phase());
        let status = report::journal_status(&self.object, entry, now.server);
        match journal::write_status(&self.ctx.clients.actuator, &self.object, status).await {
            Ok(written) => {
                self.object = written;
                if entry.phase == Phase::Acting {
                    self.announced_at = self.ctx.clock.mono();
                }
                report::transition(self.ctx, &self.object, before, entry, now).await;
                Event::Written
            }
            Err(error) => Event::Failed(error.to_string()),
        }
    }

    async fn observe(&self, deadline: i64) -> Performed {
        let now = self.ctx.now();
        let spec = &self.object.spec;
        let healed = |stays| {
            let (slot, uid) = (&spec.target.slot, &spec.target.uid);
            self.ctx.world().observe(&self.policy_key(), slot, uid, stays, now.mono)
        };
        let observation = match self.order.kind {
            Kind::Reroute { .. } | Kind::Rejoin { .. } => {
                rotation::observe(self.ctx, &self.key.namespace, &spec.target, self.step()).await
            }
            // The job may have made the pod anew, or not: whichever fills its place must be well.
            Kind::Job { .. } => self.still_running().await.unwrap_or_else(|| healed(true)),
            Kind::Failover { .. } => self.ordered().await,
            Kind::Restart { .. } | Kind::Page => healed(false),
        };
        let conclusive = match (&observation, self.order.kind) {
            (Observation::Healthy { lasted, .. }, Kind::Restart { clear, .. } | Kind::Job { clear, .. }) => {
                *lasted >= clear
            }
            (
                Observation::Healthy { .. },
                Kind::Page | Kind::Reroute { .. } | Kind::Rejoin { .. } | Kind::Failover { .. },
            )
            | (Observation::Failed(_), _) => true,
            (Observation::NotYet(_) | Observation::Unknown(_), _) => false,
        };
        // Nobody will ever tell whether it helped: policy and journal are going, as with their namespace.
        if self.object.metadata.deletion_timestamp.is_some() && self.snapshot().is_none() {
            let observation = Observation::Unknown("its policy is gone and its journal is being deleted".into());
            return Event::Observed { observation, now: now.server.0.max(deadline) }.into();
        }
        if conclusive || now.server >= Server(deadline) {
            Event::Observed { observation, now: now.server.0 }.into()
        } else {
            Performed::Later(if matches!(self.step(), Step::Job | Step::Failover) {
                READ_AGAIN
            } else {
                LOOK_AGAIN
            })
        }
    }

    /// What is to be said of its job, until that is over and the target speaks for itself.
    async fn still_running(&self) -> Option<Observation> {
        let (actuator, key) = (&self.ctx.clients.actuator, &self.key);
        match effect::read_job(actuator, &key.namespace, &key.name, &self.uid).await {
            Ok(JobState::Running) => Some(Observation::NotYet(format!("Job {} is running", key.name))),
            Ok(JobState::Failed(why)) => Some(Observation::Failed(why)),
            // What was cleared away has ended.
            Ok(JobState::Complete | JobState::Absent) => None,
            Err(error) => Some(Observation::Unknown(error.to_string())),
        }
    }

    /// What became of its order.
    async fn ordered(&self) -> Observation {
        let Some(given) = self.given() else { return Observation::Unknown("it orders nothing".into()) };
        match effect::read_order(&self.ctx.clients.actuator, &given).await {
            Ok(OrderState::Done(member)) => Observation::Healthy { pod: member, lasted: 0 },
            Ok(OrderState::Refused(why)) => Observation::Failed(why),
            Ok(OrderState::Open(why)) => Observation::NotYet(why),
            Ok(OrderState::Absent) => Observation::NotYet(format!("there is no SigningOrder {}", self.key.name)),
            Err(error) => Observation::Unknown(error.to_string()),
        }
    }

    async fn release(&self, acted: bool, exhausted: bool) -> Event {
        let network = &self.object.spec.network;
        let release = |record: &_| {
            Ok::<_, std::convert::Infallible>(ledger::release(record, &self.claim(), acted, exhausted))
        };
        match ledgers::swap(&self.ctx.clients.actuator, network, release).await {
            Ok(_) => Event::Released,
            Err(error) => Event::Failed(error.to_string()),
        }
    }

    async fn let_go(&self) -> Event {
        let (actuator, key) = (&self.ctx.clients.actuator, &self.key);
        match journal::let_go(actuator, &self.object).await {
            Ok(()) => {}
            // The cache may not know yet that it was let go a moment ago.
            Err(effect::Failed { outcome: effect::Outcome::Moved(why), .. }) => {
                match journal::get(actuator, &key.namespace, &key.name).await {
                    Ok(Some(live)) if journal::is_held(&live) => return Event::Failed(why),
                    Ok(_) => {}
                    Err(error) => return Event::Failed(error.to_string()),
                }
            }
            Err(error) => return Event::Failed(error.to_string()),
        }
        // Whatever comes next for this policy waits for this end.
        self.ctx.queues.policies.push(self.policy_key(), self.ctx.clock.mono());
        Event::LetGo
    }

    /// What it took, or will take, in the ledger.
    fn claim(&self) -> ledger::Claim<'_> {
        let spec = &self.object.spec;
        ledger::Claim {
            remediation: &self.uid,
            policy: &spec.policy.uid,
            slot: &spec.target.slot,
            attempt: self.attempt(),
            step: self.step(),
            acted_at: self.object.status.as_ref().and_then(|status| status.acted_at).map(Server),
        }
    }

    /// Its number in the ledger. A person's request has none: a slot's numbers are part of names that exist.
    fn attempt(&self) -> i32 {
        if self.object.spec.by_hand() { 0 } else { self.object.spec.attempt }
    }

    fn phase(&self) -> Phase {
        self.object.phase()
    }

    fn step(&self) -> Step {
        step_of(&self.object.spec.action)
    }

    fn policy_key(&self) -> Key {
        Key { namespace: self.key.namespace.clone(), name: self.object.spec.policy.name.clone() }
    }

    fn snapshot(&self) -> Option<PolicySnapshot> {
        let now = self.ctx.now();
        let snapshot = self.ctx.snapshot(&self.policy_key(), now)?;
        (snapshot.policy.id.uid == self.object.spec.policy.uid).then_some(snapshot)
    }

    fn reference(&self) -> RemediationRef {
        RemediationRef {
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            uid: self.uid.clone(),
        }
    }
}

/// What performing an effect led to.
enum Performed {
    Event(Box<Event>),
    Later(u64),
    Over,
}

impl From<Event> for Performed {
    fn from(event: Event) -> Self {
        Self::Event(Box::new(event))
    }
}

/// Where a remediation stands.
pub trait Standing {
    /// Its phase.
    fn phase(&self) -> Phase;
    /// Whether it is on behalf of this policy.
    fn serves(&self, policy: &PolicyRef) -> bool;
}

impl Standing for NodeRemediation {
    fn phase(&self) -> Phase {
        self.status.as_ref().map(|status| status.phase).unwrap_or_default()
    }

    fn serves(&self, policy: &PolicyRef) -> bool {
        self.spec.policy.uid == policy.uid
    }
}

/// The policy whose remediation this is, if it runs here.
#[must_use]
pub fn policy_of(object: &NodeRemediation) -> Option<Key> {
    Some(Key { namespace: object.metadata.namespace.clone()?, name: object.spec.policy.name.clone() })
}
