//! Lets the place of a signer change hands: reads the record, asks `failover`, writes what it says with the version that was
//! read. No decision is made here, and nothing is held that another operator would need.

mod choose;
mod launch;
mod order;
mod outside;
mod show;

use std::{collections::BTreeMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    api::{FailoverGroup, SigningOrder},
    effect::{
        Failed, Outcome,
        signing::{Identity, read_identity, write_record},
    },
    failover::{Epoch, Event, HandOver, Holder, Missing, Phase, Record, Share, step},
    signal::Mono,
};

use super::{context::Context, watch::Key};
use choose::{Candidate, Choice};

/// Steps that are taken at one look. A whole failover takes four.
const STEPS: usize = 8;
/// While something is under way (milliseconds): a gate looks twice a second.
const SOON: u64 = 300;
/// After a failure of ours.
const RETRY: u64 = 2_000;
/// While the holder signs.
const TICK: u64 = 5_000;

/// What this process remembers of an identity, and would be no worse off without.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    epoch: Epoch,
    /// Since when this process knows of `Revoking`.
    revoking_since: Option<Mono>,
    /// Who held the place last.
    former: Option<String>,
    /// And who held it before that.
    before: Option<String>,
    /// What people were told.
    paged: Option<Missing>,
}

/// What this process remembers, by the name of the identity.
pub type Memory = std::sync::Mutex<BTreeMap<String, Watched>>;

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Api(#[from] Failed),
    #[error("{0}")]
    Invalid(String),
}

/// One look at one group.
struct Round<'a> {
    ctx: &'a Context,
    group: &'a FailoverGroup,
    namespace: &'a str,
    orders: Vec<Arc<SigningOrder>>,
    memory: Watched,
}

/// What comes of one look at the record.
enum Next {
    Write(Record),
    /// Look again after so long, for this reason.
    Rest(u64, String),
}

/// Looks at one group. Returns when it wants to be looked at again (milliseconds).
pub async fn reconcile(ctx: Arc<Context>, key: Key) -> Option<u64> {
    if !ctx.leads() {
        return None;
    }
    let stores = ctx.stores.failover.as_ref()?;
    let group = stores.groups.get(&key.namespace, &key.name)?;
    let orders = order::open(&stores.orders.list(), &key.namespace, &group.spec.identity);
    let memory = recall(&ctx, &group.spec.identity);
    let mut round = Round { ctx: &ctx, group: &group, namespace: &key.namespace, orders, memory };
    let (identity, told) = round.look().await;
    remember(&ctx, &group.spec.identity, round.memory.clone());
    let (pause, message) = match told {
        Ok(rest) => rest,
        Err(Trouble::Api(failed)) if matches!(failed.outcome, Outcome::Moved(_)) => (SOON, String::new()),
        Err(trouble) => {
            tracing::warn!(group = key.name, namespace = key.namespace, %trouble, "could not look after it");
            (RETRY, trouble.to_string())
        }
    };
    show::group(&ctx, &group, identity.as_ref(), &round.memory, &message).await;
    Some(pause)
}

/// Looks at every group when any group, identity, order or pod of a member changes: there are few of them.
pub async fn follow(ctx: Arc<Context>, stop: CancellationToken) {
    let Some(stores) = ctx.stores.failover.as_ref() else { return };
    let (mut groups, mut identities) = (stores.groups.subscribe(), stores.identities.subscribe());
    let mut orders = stores.orders.subscribe();
    while !stop.is_cancelled() {
        wake_all(&ctx);
        tokio::select! {
            () = stop.cancelled() => {}
            _ = groups.changed() => {}
            _ = identities.changed() => {}
            _ = orders.changed() => {}
        }
    }
}

/// Puts every group on the queue.
pub fn wake_all(ctx: &Context) {
    let Some(stores) = ctx.stores.failover.as_ref() else { return };
    let now = ctx.clock.mono();
    for group in stores.groups.list() {
        let metadata = &group.metadata;
        if let (Some(namespace), Some(name)) = (metadata.namespace.clone(), metadata.name.clone()) {
            ctx.queues.groups.push(Key { namespace, name }, now);
        }
    }
}

fn recall(ctx: &Context, identity: &str) -> Watched {
    let memory = ctx.failover.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    memory.get(identity).cloned().unwrap_or_default()
}

fn remember(ctx: &Context, identity: &str, what: Watched) {
    let mut memory = ctx.failover.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    memory.insert(identity.to_owned(), what);
}

impl Round<'_> {
    /// Takes every step that can be taken now.
    async fn look(&mut self) -> (Option<Identity>, Result<(u64, String), Trouble>) {
        let mut identity = match self.read().await {
            Ok(identity) => identity,
            Err(trouble) => return (None, Err(trouble)),
        };
        for _ in 0..STEPS {
            let record = match &identity.record {
                Ok(record) => record.clone(),
                Err(why) => return (Some(identity.clone()), Err(Trouble::Invalid(why.to_string()))),
            };
            self.note(record.as_ref());
            if let Err(trouble) = self.unlatch(record.as_ref()).await {
                return (Some(identity), Err(trouble));
            }
            match self.next(&identity, record.as_ref()).await {
                Ok(Next::Rest(pause, message)) => return (Some(identity), Ok((pause, message))),
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
        (Some(identity), Ok((SOON, String::new())))
    }

    async fn read(&self) -> Result<Identity, Trouble> {
        let name = &self.group.spec.identity;
        let identity = read_identity(&self.ctx.clients.actuator, name).await?;
        let identity = identity.ok_or_else(|| {
            Trouble::Invalid(format!("there is no SigningIdentity {name}: an administrator creates it"))
        })?;
        let own = self.group.metadata.name.as_deref().unwrap_or_default();
        let spec = &identity.spec;
        if (spec.namespace.as_str(), spec.group.as_str()) != (self.namespace, own) {
            return Err(Trouble::Invalid(format!(
                "SigningIdentity {name} is for the group {}/{}: an administrator assigns it to this one",
                spec.namespace, spec.group
            )));
        }
        if spec.network != self.group.spec.network {
            return Err(Trouble::Invalid(format!("SigningIdentity {name} is of the network {}", spec.network)));
        }
        let chain = self.ctx.stores.networks.get("", &spec.network).map(|network| network.spec.chain_id.clone());
        if chain.as_deref() != name.rsplit_once('.').map(|(chain, _)| chain) {
            return Err(Trouble::Invalid(format!(
                "the network {} is the chain {}, and {name} is a key of another one",
                spec.network,
                chain.unwrap_or_else(|| "nobody knows".into())
            )));
        }
        Ok(identity)
    }

    /// Remembers what only time tells.
    fn note(&mut self, record: Option<&Record>) {
        let Some(record) = record else { return };
        let epoch = record.tenure.epoch;
        if self.memory.epoch != epoch {
            // Who held the place before is of use until the next one has it.
            let former = self.memory.former.take();
            self.memory = Watched { epoch, before: former.clone(), former, ..Watched::default() };
        }
        if let Some(holder) = record.holder() {
            self.memory.former = Some(holder.pod.member.clone());
        }
        match record.phase {
            Phase::Revoking { .. } => {
                self.memory.revoking_since.get_or_insert(self.ctx.clock.mono());
            }
            Phase::Active(_) | Phase::Fenced(_) => self.memory.revoking_since = None,
        }
    }

    async fn next(&mut self, identity: &Identity, record: Option<&Record>) -> Result<Next, Trouble> {
        if let Some(next) = self.orders_first(record).await? {
            return Ok(next);
        }
        let Some(record) = record else {
            let why = "nobody has begun its record: `mainstay init` for a new key, `mainstay adopt` for one that has signed";
            return Ok(Next::Rest(TICK, why.into()));
        };
        match &record.phase {
            Phase::Active(holder) => self.follow(record, holder).await,
            Phase::Revoking { holder, blocked } => self.prove(identity, record, holder, *blocked).await,
            Phase::Fenced(_) if record.slashed => Ok(Next::Rest(
                TICK,
                "the chain has punished this key: nobody signs until a person adopts it".into(),
            )),
            Phase::Fenced(_) => self.choose(record).await,
        }
    }

    /// A holder whose pod is no more holds nothing any more, and somebody has to go on.
    async fn follow(&self, record: &Record, holder: &Holder) -> Result<Next, Trouble> {
        let member = self.group.spec.members.iter().find(|member| member.name == holder.pod.member);
        let pod = match member {
            Some(member) => choose::pod(self.ctx, self.namespace, member).await?,
            None => None,
        };
        let is_there =
            pod.as_ref().is_some_and(|pod| pod.uid == holder.pod.uid && !launch::has_ended(record, pod));
        if let Some(pod) = pod.as_ref().filter(|_| is_there && !record.slashed)
            && let Some(next) = self.set_to_work(record, holder, pod).await?
        {
            return Ok(next);
        }
        // The same member goes on by itself; another one only where that was wished for.
        if is_there || record.slashed || !self.group.spec.automatic && pod.is_none() {
            let waits = holder.boot.is_none().then(|| format!("waiting for the gate of {}", holder.pod.member));
            return Ok(Next::Rest(if waits.is_some() { SOON } else { TICK }, waits.unwrap_or_default()));
        }
        let (next, _) = step(record, Event::Wanted { epoch: record.tenure.epoch });
        Ok(Next::Write(next))
    }

    async fn prove(
        &mut self,
        identity: &Identity,
        record: &Record,
        holder: &Holder,
        blocked: Option<Missing>,
    ) -> Result<Next, Trouble> {
        let since = self.memory.revoking_since.unwrap_or_else(|| self.ctx.clock.mono());
        let waited = self.ctx.clock.mono().since(since);
        // The power is asked for only where it counts: a seal needs none.
        let late = record.hand_over == HandOver::Gate && !record.is_tight() && waited >= crate::failover::PATIENCE;
        let share = if late {
            choose::share(self.ctx, self.namespace, self.group, &identity.name).await
        } else {
            Share::Unknown
        };
        let (event, lacks) = if record.hand_over.is_claimed() {
            let (proof, lacks) = match self.proof(record, holder).await? {
                Ok(proof) => (Some(proof), String::new()),
                Err(lacks) => (None, lacks),
            };
            (Event::Found { proof, share, waited }, lacks)
        } else {
            self.ended_outside(record, holder, waited).await?
        };
        let (next, _) = step(record, event);
        if next != *record {
            return Ok(Next::Write(next));
        }
        let message = match blocked {
            Some(why) => {
                show::page(self.ctx, self.group, record, why, &mut self.memory.paged);
                if lacks.is_empty() { show::missing(why).to_owned() } else { format!("{}: {lacks}", show::missing(why)) }
            }
            None if !lacks.is_empty() => format!("waiting for the former holder to seal, or for proof: {lacks}"),
            None => "waiting for the former holder's gate to seal".into(),
        };
        Ok(Next::Rest(if blocked.is_some() { RETRY } else { SOON }, message))
    }

    async fn choose(&self, record: &Record) -> Result<Next, Trouble> {
        let wanted = order::member(&self.orders, record.tenure.epoch);
        let candidates = choose::candidates(self.ctx, self.namespace, self.group).await?;
        let others = self.group.spec.automatic || wanted.is_some() || self.memory.former.is_none();
        let choice = Choice { wanted: wanted.as_deref(), former: self.memory.former.as_deref(), others };
        match choice.among(&candidates) {
            Ok(Candidate { pod, .. }) => {
                let activation = choose::draw().map_err(Trouble::Invalid)?;
                let hand_over = outside::hand_over(record, &self.group.spec)?;
                let (next, _) = step(record, Event::Offered { pod: Arc::clone(pod), activation, hand_over });
                if next == *record {
                    return Ok(Next::Rest(TICK, "there is no epoch after this one".into()));
                }
                Ok(Next::Write(next))
            }
            Err(why) => Ok(Next::Rest(RETRY, why)),
        }
    }
}
