//! Lets the place of a signer change hands: reads the record, asks `failover`, writes what it says with the version that was
//! read. No decision is made here, and nothing is held that another operator would need.

mod call;
mod choose;
mod held;
mod keys;
mod label;
mod launch;
mod left;
mod memory;
mod order;
mod outside;
mod page;
mod show;
mod strays;
mod wake;
mod way;
mod window;

use std::sync::{Arc, atomic::Ordering};

use crate::{
    api::{FailoverGroup, SigningOrder},
    effect::{
        self, Failed, Outcome,
        namespace::is_leaving,
        signing::{Identity, read_identity, write_record},
    },
    failover::{
        Event, HandOver, Height, Holder, Missing, PATIENCE, Phase, Record, Share, Shut, Unreadable, mismatch,
        off::Machine, step,
    },
    plan::Stop,
};

use super::{context::Context, report, watch::Key};
use choose::{Candidate, Choice};
use held::{Around, held, unbegun};
use memory::Watched;

pub use keys::Keys;
pub use memory::Memory;
pub use wake::{follow, wake_all};

/// Steps that are taken at one look. A whole failover takes four.
const STEPS: usize = 8;
/// While something is under way (milliseconds): a gate looks twice a second.
const SOON: u64 = 300;
/// After a failure of ours, and while somebody else has to do something.
const RETRY: u64 = 2_000;
/// While the holder signs.
const TICK: u64 = 5_000;

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Api(#[from] Failed),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Unreadable(String),
    #[error(transparent)]
    Broken(#[from] Unreadable),
}

/// One look at one group.
struct Round<'a> {
    ctx: &'a Context,
    group: &'a FailoverGroup,
    namespace: &'a str,
    orders: Vec<SigningOrder>,
    memory: Watched,
    /// The holder's machine, as it was read last.
    machine: Option<Machine>,
}

/// What comes of one look at the record.
enum Next {
    Write(Record),
    Rest(Rest),
}

/// Nothing is to be done now.
struct Rest {
    /// Look again after so long (milliseconds).
    pause: u64,
    /// How it stands, in a word for programs.
    reason: &'static str,
    /// And in a sentence for people; empty when all is well.
    message: String,
}

impl Rest {
    fn new(pause: u64, reason: &'static str, message: impl Into<String>) -> Self {
        Self { pause, reason, message: message.into() }
    }
}

/// Looks at one group. Returns when it wants to be looked at again (milliseconds).
pub async fn reconcile(ctx: Arc<Context>, key: Key) -> Option<u64> {
    if !ctx.leads() {
        memory::forget(&ctx, &key);
        return None;
    }
    if key.name == strays::NOBODY {
        return strays::reconcile(&ctx, &key.namespace).await;
    }
    let groups = &ctx.stores.failover.as_ref()?.groups;
    let Some(group) = groups.get(&key.namespace, &key.name) else {
        if let Some(invalid) = groups.unreadable(&key.namespace, &key.name) {
            report::unreadable_group(&ctx, &invalid, ctx.now()).await;
            page::tell_unreadable(&ctx, &key, &invalid.why);
            return Some(TICK);
        }
        return left::reconcile(&ctx, &key).await;
    };
    // Its owner tells of it, and answers its orders.
    if ctx.is_foreign(&group.spec.network) {
        return Some(TICK);
    }
    let mut memory = memory::recall(&ctx, &key);
    memory.group = Some(Arc::clone(&group));
    keys::learn(&ctx, &group, &mut memory).await;
    let whereabouts = memory.key.clone();
    let orders = Vec::new();
    let mut round = Round { ctx: &ctx, group: &group, namespace: &key.namespace, orders, memory, machine: None };
    let (identity, ended) = round.look().await;
    let pause = match &ended {
        Ok(rest) => rest.pause,
        Err(Trouble::Api(failed)) if matches!(failed.outcome, Outcome::Moved(_)) => SOON,
        Err(trouble) => {
            tracing::warn!(group = key.name, namespace = key.namespace, %trouble, "could not look after it");
            report::reconcile_error(&ctx.metrics, "failover", "read");
            RETRY
        }
    };
    let mut memory = round.memory;
    keys::tell(&ctx, &group, &whereabouts, &memory.key).await;
    // Only while nothing is under way: nodes may take their time to answer.
    if group.spec.handover.gate.is_some() && ended.as_ref().is_ok_and(|rest| rest.reason == "Held") {
        window::ask(&ctx, &key.namespace, &group, &mut memory).await;
    }
    page::tell(&ctx, &group, identity.as_ref().and_then(Identity::readable), &ended, &mut memory);
    memory::remember(&ctx, &key, memory.clone());
    show::group(&ctx, &group, identity.as_ref(), &memory, &ended).await;
    Some(pause)
}

impl Round<'_> {
    /// Takes every step that can be taken now.
    async fn look(&mut self) -> (Option<Identity>, Result<Rest, Trouble>) {
        let mut identity = match self.read().await {
            Ok(identity) => identity,
            Err(trouble) => {
                if let Err(untold) = self.refuse_all(&trouble).await {
                    tracing::warn!(identity = self.group.spec.identity, %untold, "could not answer its orders");
                }
                return (None, Err(trouble));
            }
        };
        for _ in 0..STEPS {
            let holder = identity.readable().and_then(Record::holder).map(|holder| holder.pod.uid.as_str());
            self.memory.key = keys::whereabouts(self.ctx, self.namespace, self.group, holder);
            if let Some(record) = identity.readable() {
                self.memory.note(record, self.ctx.clock.mono());
                if let Err(trouble) = self.watch_machine(record).await {
                    return (Some(identity), Err(trouble));
                }
            }
            if let Ok(record) = &identity.record
                && let Err(trouble) = self.unlatch(record.as_ref()).await
            {
                return (Some(identity), Err(trouble));
            }
            match self.next(&identity).await {
                Ok(Next::Rest(rest)) => return (Some(identity), Ok(rest)),
                Ok(Next::Write(record)) => {
                    match write_record(&self.ctx.clients.actuator, &identity, &record).await {
                        Ok(written) => {
                            tracing::info!(identity = identity.name, record = ?record.phase, epoch = record.tenure.epoch.0, floor = record.floor.0, "the record is written");
                            identity = written;
                        }
                        Err(failed) => return (Some(identity), Err(failed.into())),
                    }
                }
                Err(trouble) => return (Some(identity), Err(trouble)),
            }
        }
        (Some(identity), Ok(Rest::new(SOON, "Changing", "")))
    }

    /// Reads the identity, if this group may run it, and the orders about it.
    async fn read(&mut self) -> Result<Identity, Trouble> {
        let name = &self.group.spec.identity;
        let identity = read_identity(&self.ctx.clients.actuator, name).await?;
        let mut identity = identity.ok_or_else(|| {
            Trouble::Invalid(format!("there is no SigningIdentity {name}: an administrator creates it"))
        })?;
        let network = self.ctx.stores.networks.get("", &self.group.spec.network);
        if let Some(network) = &network
            && !network.spec.allowed_namespaces.iter().any(|admitted| admitted == self.namespace)
        {
            let (network, namespace) = (&self.group.spec.network, self.namespace);
            return Err(Trouble::Invalid(format!(
                "the network {network} does not admit the namespace {namespace}"
            )));
        }
        let chain = network.as_ref().map(|network| network.spec.chain_id.as_str());
        let own = (self.namespace, self.group.metadata.name.as_deref().unwrap_or_default());
        let spec = identity.spec.as_ref().map_err(|why| {
            Trouble::Unreadable(format!("SigningIdentity {name} cannot be read: {why}: an administrator mends it"))
        })?;
        if let Some(why) = mismatch(own, &self.group.spec, spec, chain) {
            return Err(Trouble::Invalid(why));
        }
        way::way(&self.group.spec)?;
        if let Err(why) = &mut identity.record {
            why.later |= self.ctx.known.schema_later.load(Ordering::Relaxed);
        }
        self.orders = order::open(self.ctx, self.namespace, name).await?;
        Ok(identity)
    }

    async fn next(&mut self, identity: &Identity) -> Result<Next, Trouble> {
        if !self.ctx.known.schema_current.load(Ordering::Acquire) {
            // What an older definition does not know, the API server would drop from the record.
            let why =
                "the definitions in the cluster are older than this operator, which only observes: upgrade them";
            return Ok(Next::Rest(Rest::new(RETRY, "OldSchema", why)));
        }
        if let Some(next) = self.orders_first(&identity.record).await? {
            return Ok(next);
        }
        let record = identity.record.as_ref().map_err(|why| Trouble::Broken(why.clone()))?;
        let Some(record) = record else {
            return Ok(Next::Rest(unbegun(self.group)));
        };
        let punished = choose::punished(self.ctx, self.namespace, self.group);
        if self.memory.is_punished(punished) && record.shut < Some(Shut::Punished) {
            return Ok(Next::Write(step(record, Event::Shut(Shut::Punished)).0));
        }
        if let Some(why) = record.shut
            && !matches!(record.phase, Phase::Revoking { .. })
        {
            return Ok(Next::Rest(Rest::new(TICK, page::shut(why), why.because())));
        }
        match &record.phase {
            Phase::Revoking { holder, blocked } => self.prove(identity, record, holder, *blocked).await,
            Phase::Active(holder) => {
                let window = identity.spec.as_ref().map_or(0, |spec| u64::try_from(spec.window).unwrap_or(0));
                self.follow(record, holder, window).await
            }
            Phase::Fenced(_) => self.choose(record).await,
        }
    }

    /// A holder whose pod is no more holds nothing any more, and somebody has to go on.
    async fn follow(&mut self, record: &Record, holder: &Holder, window: u64) -> Result<Next, Trouble> {
        let member = self.group.spec.members.iter().find(|member| member.name == holder.pod.member);
        let pod = match member {
            Some(member) => choose::pod(self.ctx, self.namespace, member).await?,
            None => None,
        };
        let gone = match pod {
            Some(pod) if pod.uid == holder.pod.uid && !launch::has_ended(record, &pod) => {
                if let Some(next) = self.set_to_work(record, holder, &pod).await? {
                    return Ok(next);
                }
                let now = self.ctx.clock.mono();
                if holder.boot.is_some() {
                    self.memory.saw_waiting(&pod.waiting_reason, now);
                }
                let head = self.head(record).await;
                let around = Around { head, window, waits: self.memory.waits(now) };
                return Ok(Next::Rest(held(record, holder, around)));
            }
            // The same member goes on by itself, which takes nothing from anybody.
            Some(_) => true,
            // Another one only where that was wished for.
            None => self.is_automatic().await?,
        };
        if !gone {
            // Whoever is no member any more may sign as long as it holds the place.
            let how = if member.is_some() { "has no pod any more" } else { "is no member of this group any more" };
            let member = &holder.pod.member;
            let why = match self.memory.key.elsewhere() {
                Some(astray) => format!("{member} {how}, and nobody goes on for it: {astray}"),
                None => format!(
                    "{member} {how}, and nobody goes on for it by itself: `mainstay failover` lets another member sign"
                ),
            };
            return Ok(Next::Rest(Rest::new(TICK, "HolderGone", why)));
        }
        let (next, _) = step(record, Event::Wanted { epoch: record.tenure.epoch });
        Ok(Next::Write(next))
    }

    /// How far the chain is, as far as anybody here knows. Where the network has no head, the members' nodes are asked: a gate
    /// that is away leaves no other trace.
    async fn head(&self, record: &Record) -> Option<Height> {
        let network = self.ctx.world().network(&self.group.spec.network, self.ctx.clock.mono());
        let known = network.and_then(|network| network.head).map(|head| head.height);
        if known.is_some() || record.hand_over != HandOver::Gate {
            return known.map(Height);
        }
        choose::head(self.ctx, self.namespace, self.group).await.map(Height)
    }

    /// Whether another member goes on without a person. Not while the emergency stop is pulled, nor while somebody else may have
    /// the key: which of them signs is for a person to find out.
    async fn is_automatic(&self) -> Result<bool, Trouble> {
        if !self.group.spec.automatic || self.memory.key.elsewhere().is_some() {
            return Ok(false);
        }
        let stop = effect::read_stop(&self.ctx.clients.actuator, &self.ctx.stop).await;
        let stop = stop.map_err(|error| Failed { doing: "read the emergency stop", outcome: error.outcome })?;
        Ok(stop == Stop::Go)
    }

    async fn prove(
        &self,
        identity: &Identity,
        record: &Record,
        holder: &Holder,
        blocked: Option<Missing>,
    ) -> Result<Next, Trouble> {
        let waited = self.memory.revoking_for(self.ctx.clock.mono());
        // The power is asked for only where it counts: a seal needs none.
        let late = record.hand_over == HandOver::Gate && !record.is_tight() && waited >= PATIENCE;
        let share = if late {
            choose::share(self.ctx, self.namespace, self.group, &identity.name).await
        } else {
            Share::Unknown
        };
        let (event, lacks) = if record.hand_over.is_claimed() {
            let (proof, lacks) = self.proof(record, holder).await?;
            (Event::Found { proof, share, waited }, lacks)
        } else {
            self.ended_outside(record, holder, waited).await?
        };
        let (next, _) = step(record, event);
        if next != *record {
            return Ok(Next::Write(next));
        }
        Ok(Next::Rest(match blocked {
            Some(why) => {
                let missing = page::missing(self.group, record).unwrap_or_default();
                Rest::new(RETRY, page::reason(why), format!("{missing}{lacks}"))
            }
            None => Rest::new(SOON, "Sealing", format!("waiting for the former holder to seal{lacks}")),
        }))
    }

    async fn choose(&self, record: &Record) -> Result<Next, Trouble> {
        if is_leaving(&self.ctx.clients.actuator, self.namespace).await? {
            let why = "the namespace is being deleted: nobody goes on there";
            return Ok(Next::Rest(Rest::new(RETRY, "Leaving", why)));
        }
        if let Some(why) = self.memory.key.elsewhere() {
            return Ok(Next::Rest(Rest::new(RETRY, keys::KIND, why)));
        }
        let mut candidates = choose::candidates(self.ctx, self.namespace, self.group, &self.memory.key).await?;
        if self.group.spec.handover.solana_identity.is_some() {
            choose::keep_to_the_memory(record, &mut candidates);
        }
        let ordered = order::wanted(&self.orders, record.tenure.epoch);
        let former = self.memory.former.clone().or_else(|| self.group.status.as_ref()?.holder.clone());
        let choice = match (ordered, former) {
            (Some(ordered), former) => {
                // Whoever asks for another asks for another, and for the same only if there is nobody else.
                candidates.sort_by_key(|one| former.as_ref() == Some(&one.member));
                Choice { wanted: ordered.named, former: None, others: ordered.anybody }
            }
            (None, Some(former)) if !self.is_automatic().await? => {
                Choice { wanted: vec![former], former: None, others: false }
            }
            (None, former) => Choice { wanted: Vec::new(), former, others: true },
        };
        match choice.among(&candidates) {
            Ok(Candidate { pod, .. }) => {
                let activation = choose::draw().map_err(Trouble::Invalid)?;
                let hand_over = way::hand_over(record, &self.group.spec)?;
                let (next, _) = step(record, Event::Offered { pod: Arc::clone(pod), activation, hand_over });
                if next == *record {
                    return Ok(Next::Rest(Rest::new(TICK, "LastEpoch", "there is no epoch after this one")));
                }
                Ok(Next::Write(next))
            }
            Err(why) => Ok(Next::Rest(Rest::new(RETRY, "NobodyFit", why))),
        }
    }
}
