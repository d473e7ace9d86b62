//! A signer that is left of a group which is gone, as of a namespace that is being deleted: nobody goes on for it. Its pod is
//! kept until it is proven to have ended, and then let go, so that the namespace can end.

use std::sync::Arc;

use crate::{
    api::{FailoverGroup, FailoverGroupSpec, Handover, SigningIdentity, Standby},
    effect::{
        remains::{read_remains, unlatch},
        signing::{Identity, read_identity, write_record},
    },
    failover::{
        Event, HandOver, Phase, Record, Share,
        latch::{LABEL, Remains, may_go},
        step,
    },
    world::PodView,
};

use super::{Context, Key, RETRY, Rest, Round, TICK, Trouble, memory, page};

/// Looks after what the group of this name has left. Returns when it wants to be looked at again (milliseconds).
pub async fn reconcile(ctx: &Context, key: &Key) -> Option<u64> {
    let stores = ctx.stores.failover.as_ref()?;
    // A group that was not listed yet is not gone.
    if !stores.groups.is_ready() {
        return Some(RETRY);
    }
    let memory = memory::recall(ctx, key);
    let of_group = |of: &Arc<SigningIdentity>| {
        let named = memory.group.as_ref().map(|group| &group.spec.identity);
        let same = named.is_none_or(|named| of.metadata.name.as_ref() == Some(named));
        same && of.spec.namespace == key.namespace
            && of.spec.group == key.name
            && !ctx.is_foreign(&of.spec.network)
    };
    // The key may have been another one before. Whose signer may still have a pod is looked after.
    let launched = |of: &Arc<SigningIdentity>| {
        let record = of.status.as_ref().and_then(|status| Record::try_from(status).ok());
        record.is_some_and(|of| matches!(of.hand_over, HandOver::Launcher(..)) && of.holder().is_some())
    };
    let identity = stores.identities.list().into_iter().filter(of_group).max_by_key(launched)?;
    let name = identity.metadata.name.clone()?;
    let group = memory.group.clone().unwrap_or_else(|| unseen(ctx, key, &name, &identity.spec.network));
    let orders = Vec::new();
    let mut round = Round { ctx, group: &group, namespace: &key.namespace, orders, memory, machine: None };
    let mut read = None;
    let ended = round.clear_up(&name, &mut read).await;
    if let Err(trouble) = &ended {
        tracing::warn!(identity = name, %trouble, "could not look after what its group has left");
    }
    let mut memory = round.memory;
    page::tell(ctx, &group, read.as_ref().and_then(Identity::readable), &ended, &mut memory);
    memory::remember(ctx, key, memory);
    Some(ended.as_ref().map_or(RETRY, |rest| rest.pause))
}

/// A group that this process has never seen: everybody is called who can be.
fn unseen(ctx: &Context, key: &Key, identity: &str, network: &str) -> Arc<FailoverGroup> {
    let spec = FailoverGroupSpec {
        network: network.to_owned(),
        identity: identity.to_owned(),
        members: Vec::new(),
        handover: Handover::default(),
        standby: Standby::default(),
        automatic: false,
        notify: ctx.config.sinks.keys().cloned().collect(),
    };
    let mut group = FailoverGroup::new(&key.name, spec);
    group.metadata.namespace = Some(key.namespace.clone());
    Arc::new(group)
}

impl Round<'_> {
    /// One step at most: what comes next is for the next look.
    async fn clear_up(&mut self, name: &str, read: &mut Option<Identity>) -> Result<Rest, Trouble> {
        let actuator = &self.ctx.clients.actuator;
        let Some(identity) = read_identity(actuator, name).await? else {
            return Ok(Rest::new(TICK, "Left", ""));
        };
        let identity = read.insert(identity).clone();
        let record = identity.record.as_ref().map_err(|why| Trouble::Broken(why.clone()))?;
        let Some(record) = record.as_ref().filter(|of| matches!(of.hand_over, HandOver::Launcher(..))) else {
            self.let_go().await?;
            return Ok(Rest::new(TICK, "Left", ""));
        };
        self.memory.note(record, self.ctx.clock.mono());
        self.watch_machine(record).await?;
        self.let_go().await?;
        let Some(holder) = record.holder() else {
            return Ok(Rest::new(TICK, "Left", ""));
        };
        let pod = self.signers().into_iter().find(|pod| pod.uid == holder.pod.uid);
        let remains = match pod {
            Some(pod) => read_remains(actuator, self.namespace, &pod.name).await?,
            None => None,
        };
        let remains = remains.filter(|remains| remains.uid == holder.pod.uid);
        let event = match (&record.phase, &remains) {
            (Phase::Active(_), Some(remains)) if remains.deleted => Event::Wanted { epoch: record.tenure.epoch },
            // It goes on while its pod does. A group can be made anew.
            (Phase::Active(_), _) => return Ok(Rest::new(TICK, "Left", "")),
            _ => {
                let (proof, lacks) = self.weigh(record, holder, remains.as_ref()).await?;
                let waited = self.memory.revoking_for(self.ctx.clock.mono());
                let found = Event::Found { proof, share: Share::Unknown, waited };
                if step(record, found.clone()).0 == *record {
                    return Ok(Rest::new(RETRY, "Leaving", format!("its group is gone{lacks}")));
                }
                found
            }
        };
        let next = step(record, event).0;
        let written = write_record(actuator, &identity, &next).await?;
        tracing::info!(identity = name, record = ?next.phase, "the record of a group that is gone is written");
        self.note_written(&written);
        *read = Some(written);
        Ok(Rest::new(super::SOON, "Leaving", "its group is gone"))
    }

    fn note_written(&mut self, identity: &Identity) {
        if let Some(record) = identity.readable() {
            self.memory.note(record, self.ctx.clock.mono());
        }
    }

    /// The pods of this namespace that say that they sign, as the cache has them.
    fn signers(&self) -> Vec<Arc<PodView>> {
        let pods = self.ctx.stores.pods.list().into_iter();
        pods.filter(|pod| pod.namespace == self.namespace && pod.labels.contains_key(LABEL)).collect()
    }

    /// Lets the pods go that are nobody's evidence: no identity of this namespace names them, and no group looks after them.
    async fn let_go(&self) -> Result<(), Trouble> {
        let actuator = &self.ctx.clients.actuator;
        let Some(stores) = self.ctx.stores.failover.as_ref() else { return Ok(()) };
        let pods = self.signers().into_iter().filter(|pod| pod.terminating);
        let mut latched: Vec<(String, Remains)> = Vec::new();
        for pod in pods {
            let key = Key { namespace: self.namespace.to_owned(), name: pod.name.clone() };
            if super::wake::is_member(self.ctx, &key) {
                continue;
            }
            if let Some(remains) = read_remains(actuator, self.namespace, &pod.name).await?
                && remains.is_latched()
            {
                latched.push((pod.name.clone(), remains));
            }
        }
        if latched.is_empty() {
            return Ok(());
        }
        let known = stores.identities.list().into_iter().filter(|of| of.spec.namespace == self.namespace);
        let known = known.filter_map(|of| of.metadata.name.clone());
        // One that cannot be read may be of this namespace, too.
        let broken = stores.identities.invalid().into_iter().map(|of| of.key.name.clone());
        for name in known.chain(broken) {
            let Some(identity) = read_identity(actuator, &name).await? else { continue };
            if identity.spec.is_ok_and(|spec| spec.namespace != self.namespace) {
                continue;
            }
            let record = identity.record.map_err(Trouble::Broken)?;
            latched.retain(|(_, remains)| may_go(record.as_ref(), &remains.uid));
        }
        for (pod, remains) in latched {
            let outcome = unlatch(actuator, self.namespace, &pod, &remains).await;
            tracing::info!(pod, uid = remains.uid, %outcome, "a pod whose group is gone may go");
        }
        Ok(())
    }
}
