//! Carries remediations through their life: performs what `remedy::step` asks for, and feeds the outcome back.

use std::sync::Arc;

use crate::{
    api::{NodeRemediation, Phase, PolicyRef, RemediationRef},
    effect::{self, journal, ledger as ledgers},
    plan::{Guard, GuardResult, Hours, PodFacts, Step, all, ledger},
    remedy::{self, Effect, End, Event, Kind, Observation, Order, SeatOutcome},
    signal::{Mono, Server},
    world::{PolicySnapshot, Round},
};

use super::{
    context::Context,
    entry::{kind_of, step_of},
    report, rotation,
    watch::Key,
};

mod act;

/// Between two looks at a target that is being verified, and after an effect that failed (milliseconds).
const LOOK_AGAIN: u64 = 1_000;
const RETRY: u64 = 2_000;

/// Carries one remediation as far as it goes now. Returns when it wants to go on (milliseconds).
pub async fn reconcile(ctx: Arc<Context>, key: Key) -> Option<u64> {
    let cached = ctx.stores.remediations.get(&key.namespace, &key.name)?;
    if !ctx.leads() {
        return None;
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
            looked_at: Mono(0),
            announced_at: Mono(0),
        })
    }

    async fn run(&mut self) -> Option<u64> {
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
                Performed::Event(event) => event,
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

    /// Reads the world live and asks the guards.
    async fn look(&mut self) -> Event {
        self.looked_at = self.ctx.clock.mono();
        let (ctx, spec) = (self.ctx, &self.object.spec);
        let record = match ledgers::get(&ctx.clients.actuator, &spec.network).await {
            // What this remediation took itself is no reason against it.
            Ok(record) => ledger::release(&record, &self.claim(), false, false),
            Err(error) => return Event::Failed(error.to_string()),
        };
        let live = effect::read_live(
            &ctx.clients.actuator,
            &self.key.namespace,
            &spec.target.pod,
            &ctx.stop,
            ctx.now().server,
            self.step().is_a_rotation(),
            &|pod| ctx.is_protected(pod),
        )
        .await;
        let live = match live {
            Ok(live) => live,
            Err(error) => return Event::Failed(error.to_string()),
        };
        let now = ctx.now();
        let looked =
            |pod: PodFacts, refused, simulated| Event::Looked { pod, refused, simulated, now: now.server.0 };
        let pod = live.pod.clone();
        if let PodFacts::Present(pod) = &pod {
            self.services = pod.rotation.services();
        }
        let Some(snapshot) = self.snapshot() else {
            return looked(
                pod,
                Some((Guard::Conflict, "the policy or its network is gone or invalid".into())),
                false,
            );
        };
        let Some(target) = snapshot.targets.iter().find(|target| target.facts.uid == spec.target.uid) else {
            return looked(pod, Some((Guard::Moved, "the pod is no target of the policy any more".into())), false);
        };
        let mut target = target.clone();
        target.facts.by_hand = spec.requested_by != "mainstay";
        let hours = Hours::of(&snapshot.policy, now);
        let round = Round::new(&snapshot, &ctx.installation, record, hours, ctx.own_facts(), now);
        let facts = round.facts(&target, &live);
        let results = all(&facts, self.step());
        looked(pod, first_held(results), facts.simulated())
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
        let within = match self.order.kind {
            Kind::Restart { within, .. } | Kind::Reroute { within } | Kind::Rejoin { within } => within,
            Kind::Page => 0,
        };
        let ask = ledger::Ask {
            installation: &ctx.installation,
            policy,
            network_max: snapshot.network.max_concurrent,
            network_budget: &snapshot.network.budget,
            remediation: self.reference(),
            slot: &spec.target.slot,
            attempt: spec.attempt,
            step: self.step(),
            services: self.services.clone(),
            simulated,
            long_health,
            // One more `within` of grace: a seat is reclaimed only after a live look at its remediation anyway.
            deadline: now.plus(2 * within),
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
        let now = self.ctx.now();
        let status = report::journal_status(&self.object, entry, now.server);
        match journal::write_status(&self.ctx.clients.actuator, &self.object, status).await {
            Ok(written) => {
                self.object = written;
                if entry.phase == Phase::Acting {
                    self.announced_at = self.ctx.clock.mono();
                }
                report::transition(self.ctx, &self.object, entry, now).await;
                Event::Written
            }
            Err(error) => Event::Failed(error.to_string()),
        }
    }

    async fn observe(&self, deadline: i64) -> Performed {
        let now = self.ctx.now();
        let spec = &self.object.spec;
        let observation = if self.step().is_a_rotation() {
            rotation::observe(self.ctx, &self.key.namespace, &spec.target, self.step()).await
        } else {
            self.ctx.world().observe(&self.policy_key(), &spec.target.slot, &spec.target.uid, now.mono)
        };
        let conclusive = match (&observation, self.order.kind) {
            (Observation::Healthy { lasted, .. }, Kind::Restart { clear, .. }) => *lasted >= clear,
            (Observation::Healthy { .. }, Kind::Page | Kind::Reroute { .. } | Kind::Rejoin { .. }) => true,
            (Observation::NotYet(_) | Observation::Unknown(_), _) => false,
        };
        // Nobody will ever tell whether it helped: policy and journal are going, as with their namespace.
        if self.object.metadata.deletion_timestamp.is_some() && self.snapshot().is_none() {
            let observation = Observation::Unknown("its policy is gone and its journal is being deleted".into());
            return Performed::Event(Event::Observed { observation, now: now.server.0.max(deadline) });
        }
        if conclusive || now.server >= Server(deadline) {
            Performed::Event(Event::Observed { observation, now: now.server.0 })
        } else {
            Performed::Later(LOOK_AGAIN)
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
            attempt: spec.attempt,
            step: self.step(),
            acted_at: self.object.status.as_ref().and_then(|status| status.acted_at).map(Server),
        }
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
    Event(Event),
    Later(u64),
    Over,
}

impl From<Event> for Performed {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

fn first_held(results: Vec<GuardResult>) -> Option<(Guard, String)> {
    results.into_iter().find_map(|result| Some((result.guard, result.held?.why)))
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
