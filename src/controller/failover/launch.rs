//! What is special about launchers: how long they hold, what proves that one has ended, and the latch on its pod.

use crate::{
    api::FailoverGroupSpec,
    effect::{
        Outcome,
        remains::{read_remains, read_renewed, unlatch},
    },
    failover::{
        HandOver, Holder, LONGEST, Proof, Record, SHORTEST, Timing,
        latch::{confirmed, may_go},
    },
    world::PodView,
};

use super::{Round, Trouble, choose};

/// How the next epoch of a group will end.
pub fn hand_over(group: &FailoverGroupSpec) -> Result<HandOver, Trouble> {
    match (&group.handover.gate, &group.handover.launcher) {
        (Some(_), None) => Ok(HandOver::Gate),
        (None, Some(launcher)) => Timing::of(launcher.hold.as_millis()).map(HandOver::Launcher).ok_or_else(|| {
            Trouble::Invalid(format!(
                "handover.launcher.hold is {}: write {} s or more, which is two questions of a launcher that come to \
                 nothing and the time that its command has to stop, and {} s or less",
                launcher.hold,
                SHORTEST / 1_000,
                LONGEST / 1_000
            ))
        }),
        (_, _) => Err(Trouble::Invalid("handover: write one of gate: {} and launcher: {}".into())),
    }
}

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
            if !remains.is_latched() || !may_go(record, &remains.uid) {
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

    fn pod_of(&self, member: &str) -> Option<String> {
        let member = self.group.spec.members.iter().find(|one| one.name == member)?;
        Some(choose::pod_of(member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Duration, GateHandover, Handover, LauncherHandover, Standby};

    fn group(gate: bool, hold: Option<u64>) -> FailoverGroupSpec {
        let handover = Handover {
            gate: gate.then_some(GateHandover {}),
            launcher: hold.map(|secs| LauncherHandover { hold: Duration::from_secs(secs) }),
            ..Handover::default()
        };
        FailoverGroupSpec {
            network: "n".into(),
            identity: "n.k".into(),
            members: Vec::new(),
            handover,
            standby: Standby::default(),
            automatic: false,
            notify: Vec::new(),
        }
    }

    #[test]
    fn a_hold_that_cannot_be_kept_is_refused_with_the_shortest_that_can() {
        assert_eq!(hand_over(&group(true, None)).unwrap(), HandOver::Gate);
        let HandOver::Launcher(timing) = hand_over(&group(false, Some(30))).unwrap() else { panic!("a gate") };
        assert_eq!(timing.hold, 30_000);
        for short in [group(false, Some(19)), group(false, Some(601))] {
            let said = hand_over(&short).unwrap_err().to_string();
            assert!(said.contains("20 s or more") && said.contains("600 s or less"), "{said}");
        }
        assert!(hand_over(&group(true, Some(30))).is_err() && hand_over(&group(false, None)).is_err());
    }
}
