//! What is special about launchers: what proves that one has ended, and the latch on its pod.

use crate::{
    effect::{
        Outcome,
        remains::{read_remains, read_renewed, unlatch},
        signing::read_identity,
    },
    failover::{
        HandOver, Holder, Proof, Record,
        latch::{confirmed, may_go},
    },
    world::PodView,
};

use super::{Round, Trouble, choose};

/// Whether a launcher's epoch is over, although its pod is there: it says so itself, or its pod was told to end. The latch
/// keeps such a pod until it is proven, and its successor is not made before that.
pub fn has_ended(record: &Record, pod: &PodView) -> bool {
    matches!(record.hand_over, HandOver::Launcher(_)) && (record.sealed.is_some() || pod.terminating)
}

impl Round<'_> {
    /// What proves that a launcher's pod has ended, and in words what is missing.
    pub(super) async fn proof(
        &self,
        record: &Record,
        holder: &Holder,
    ) -> Result<(Option<Proof>, String), Trouble> {
        if record.hand_over == HandOver::Gate || record.sealed.is_some() {
            return Ok((None, String::new()));
        }
        let missing = |why: &str| Ok((None, format!(" (no proof yet that its pod has ended: {why})")));
        let Some(name) = self.pod_of(&holder.pod.member) else {
            return missing(&format!("{} is no member of this group any more", holder.pod.member));
        };
        let actuator = &self.ctx.clients.actuator;
        let remains = read_remains(actuator, self.namespace, &name).await?;
        // Afterwards: what it says is about what the pod said before.
        let renewed = read_renewed(actuator, &holder.pod.node).await?;
        match confirmed(&holder.pod, remains.as_ref(), renewed) {
            Ok(proof) => Ok((Some(proof), String::new())),
            Err(why) => missing(&why),
        }
    }

    /// Lets the objects of pods go that are no evidence any more. The record is the one that was just read or written.
    pub(super) async fn unlatch(&self, record: Option<&Record>) -> Result<(), Trouble> {
        let ways = &self.group.spec.handover;
        if ways.launcher.is_none() && ways.keymanager.is_none() {
            return Ok(());
        }
        let actuator = &self.ctx.clients.actuator;
        for member in &self.group.spec.members {
            let Some(name) = self.pod_of(&member.name) else { continue };
            let Some(remains) = read_remains(actuator, self.namespace, &name).await? else { continue };
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

    /// Whether a pod is evidence about another identity of this namespace. Two groups that name one StatefulSet are a mistake
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
