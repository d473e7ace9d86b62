//! What is special about launchers: what proves that one has ended, and the latch on its pod.

use crate::{
    effect::{
        Outcome,
        machine::read_machine,
        remains::{read_remains, read_renewed, unlatch},
        signing::read_identity,
    },
    failover::{
        HandOver, Holder, Proof, Record,
        latch::{LATCH, Remains, confirmed, may_go},
        off::{Watch, is_off},
    },
    world::PodView,
};

use super::{Round, Trouble, choose};

/// Whether a launcher's epoch is over, although its pod is there: it says so itself, or its pod was told to end. The latch
/// keeps such a pod until it is proven, and its successor is not made before that.
pub fn has_ended(record: &Record, pod: &PodView) -> bool {
    matches!(record.hand_over, HandOver::Launcher(..)) && (record.sealed.is_some() || pod.terminating)
}

fn missing(why: &str) -> String {
    format!(" (no proof yet that its pod has ended: {why})")
}

impl Round<'_> {
    /// Looks at the holder's machine, also while nothing is wanted: of a taint it must be seen how it comes.
    pub(super) async fn watch_machine(&mut self, record: &Record) -> Result<(), Trouble> {
        let launched = matches!(record.hand_over, HandOver::Launcher(..));
        let Some(holder) = record.holder().filter(|_| launched && self.ctx.node_off) else {
            (self.machine, self.memory.machine) = (None, Default::default());
            return Ok(());
        };
        let node = &holder.pod.node;
        self.machine = read_machine(&self.ctx.clients.actuator, node).await?;
        let (of, watch) = &self.memory.machine;
        let before = if of == node { watch.clone() } else { Watch::default() };
        let seen = before.saw(self.machine.as_ref(), self.ctx.clock.mono().0);
        self.memory.machine = (node.clone(), seen);
        Ok(())
    }

    /// What proves that a launcher's pod has ended, and in words what is missing.
    pub(super) async fn proof(
        &self,
        record: &Record,
        holder: &Holder,
    ) -> Result<(Option<Proof>, String), Trouble> {
        if record.hand_over == HandOver::Gate || record.sealed.is_some() {
            return Ok((None, String::new()));
        }
        let Some(name) = self.pod_of(&holder.pod.member) else {
            return Ok((None, missing(&format!("{} is no member of this group any more", holder.pod.member))));
        };
        let remains = read_remains(&self.ctx.clients.actuator, self.namespace, &name).await?;
        self.weigh(record, holder, remains.as_ref()).await
    }

    /// The same, by what is left of its pod.
    pub(super) async fn weigh(
        &self,
        record: &Record,
        holder: &Holder,
        remains: Option<&Remains>,
    ) -> Result<(Option<Proof>, String), Trouble> {
        // Afterwards: what it says is about what the pod said before.
        let renewed = read_renewed(&self.ctx.clients.actuator, &holder.pod.node).await?;
        let why = match confirmed(&holder.pod, remains, renewed) {
            Ok(proof) => return Ok((Some(proof), String::new())),
            Err(why) => why,
        };
        let HandOver::Launcher(_, timing) = record.hand_over else { return Ok((None, missing(&why))) };
        if !self.ctx.node_off {
            return Ok((None, missing(&why)));
        }
        let (watch, now) = (&self.memory.machine.1, self.ctx.clock.mono().0);
        match is_off(&holder.pod, remains, self.machine.as_ref(), watch, now, timing.wait()) {
            Ok(proof) => Ok((Some(proof), String::new())),
            Err(off) => Ok((None, missing(&format!("{why}; nor that its machine is off: {off}")))),
        }
    }

    /// Lets the objects of pods go that are no evidence any more. The record is the one that was just read or written.
    pub(super) async fn unlatch(&mut self, record: Option<&Record>) -> Result<(), Trouble> {
        self.memory.unlatched = false;
        let actuator = &self.ctx.clients.actuator;
        for member in &self.group.spec.members {
            let Some(name) = self.pod_of(&member.name) else { continue };
            // A pod of the time when the group handed over in another way has a latch, too.
            let is_going = || self.ctx.stores.pods.get(self.namespace, &name).is_some_and(|pod| pod.terminating);
            if !self.group.spec.handover.needs_latch() && !is_going() {
                continue;
            }
            let Some(remains) = read_remains(actuator, self.namespace, &name).await? else { continue };
            let launched = record.is_some_and(|record| matches!(record.hand_over, HandOver::Launcher(..)));
            if launched && !may_go(record, &remains.uid) && !remains.finalizers.iter().any(|one| one == LATCH) {
                self.memory.unlatched = true;
            }
            if !remains.is_latched() || !may_go(record, &remains.uid) || self.is_anothers(&remains.uid).await? {
                continue;
            }
            let outcome = unlatch(actuator, self.namespace, &name, &remains).await;
            tracing::info!(pod = name, uid = remains.uid, %outcome, "a pod that has ended may go");
            if !matches!(outcome, Outcome::Done | Outcome::Gone | Outcome::Moved(_)) {
                tracing::warn!(pod = name, %outcome, "its latch could not be taken away");
            }
        }
        Ok(())
    }

    /// Whether a pod is evidence about another identity of this namespace. Two groups that name one `StatefulSet` are a mistake
    /// of whoever wrote the second.
    async fn is_anothers(&self, uid: &str) -> Result<bool, Trouble> {
        let identities = self.ctx.stores.failover.iter().flat_map(|stores| stores.identities.list());
        let others = identities.filter(|one| one.spec.namespace == self.namespace);
        for name in others.filter_map(|one| one.metadata.name.clone()) {
            if name == self.group.spec.identity {
                continue;
            }
            let Some(other) = read_identity(&self.ctx.clients.actuator, &name).await? else { continue };
            // What cannot be read may say that it is.
            if other.record.is_err() || other.readable().is_some_and(|record| !may_go(Some(record), uid)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn pod_of(&self, member: &str) -> Option<String> {
        let member = self.group.spec.members.iter().find(|one| one.name == member)?;
        Some(choose::pod_of(member))
    }
}
