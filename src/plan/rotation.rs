//! The guards of a change of rotation: which pods serve. Installing Mainstay black-holes nobody, and no write of ours takes
//! the last pod from a Service.

use serde::{Deserialize, Serialize};

use crate::{judge::VerdictKind, signal::Mono};

use super::{
    Facts, Place, PodFacts, PodPresent, Rotation, ServiceFacts, Services, Step, guard::Held,
    ladder::current_record, ledger,
};

/// By what a pod takes part: what is turned to change whether it serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Switch {
    /// The label by which Services choose. It fails open.
    #[default]
    Label,
    /// A readiness gate: a pod that is out is ready for no Service at all. It fails closed.
    Gate,
}

/// From a turned switch to endpoints that agree (milliseconds). The controllers of the cluster take a second or two; under
/// load, more.
pub const ENDPOINTS: u64 = 30_000;

/// The pod takes part, a Service chooses it, and every one of them has another that is ready.
pub(super) fn may_leave(facts: &Facts<'_>) -> Option<Held> {
    let (step, rotation) = (facts.policy.ladder.reroute?, rotation_of(facts)?);
    match rotation.place {
        Place::In => {}
        Place::Out => return Held::because("it is out of rotation already"),
        Place::Nowhere => return Held::because("its label does not say that it takes part in any rotation"),
    }
    if let Some(held) = stays(facts, rotation, step.stay, "in") {
        return Some(held);
    }
    let Services::Read(services) = &rotation.services else { return None };
    if services.is_empty() {
        return Held::because(match rotation.switch {
            Switch::Label => {
                "no Service of the namespace chooses it by mainstay.dev/in-rotation: its label would change nothing"
            }
            Switch::Gate => {
                "no Service of the namespace chooses it while it is ready: its readiness gate would change nothing"
            }
        });
    }
    // A chain of its own is worse than no answer, if whoever wrote the policy says so.
    if step.quarantine_the_last && facts.target.verdict.quarantined() {
        return None;
    }
    let last = services.iter().find(|service| service.others == 0)?;
    Held::because(format!("it is the last pod that Service {} has: nobody else is ready", last.name))
}

/// It was out for long enough.
pub(super) fn may_return(facts: &Facts<'_>) -> Option<Held> {
    let (step, rotation) = (facts.policy.ladder.reroute?, rotation_of(facts)?);
    if rotation.place != Place::Out {
        return Held::because("it is in rotation already");
    }
    stays(facts, rotation, step.stay, "out")
}

/// A switch that goes to and fro would be worse than either.
fn stays(facts: &Facts<'_>, rotation: &Rotation, stay: u64, place: &str) -> Option<Held> {
    if rotation.by.is_empty() || rotation.since >= stay {
        return None;
    }
    let end = facts.now.mono.plus(stay - rotation.since);
    Held::until(end, format!("it has been {place} for {} s only", rotation.since / 1000))
}

/// How often it was tried in this incident.
pub(super) fn exhausted(facts: &Facts<'_>) -> Option<Held> {
    let step = facts.policy.ladder.reroute?;
    let record = current_record(facts);
    if !ledger::rerouted_enough(&record, &step) {
        return None;
    }
    Held::because(format!("it left its Services {} times in this incident", record.reroutes))
}

/// One change at a time in each Service, so that each is decided on endpoints that are settled.
pub(super) fn one_at_a_time(facts: &Facts<'_>) -> Option<Held> {
    let services = rotation_of(facts).map(Rotation::services).unwrap_or_default();
    ledger::rotation_refused(facts.ledger, facts.policy, &facts.target.slot, &services).and_then(Held::because)
}

/// A target that left its Services may get well by itself, without its load, before it is restarted or somebody is called.
/// One that must be looked at by a person does not.
pub(super) fn settling(facts: &Facts<'_>) -> Option<Held> {
    let (step, rotation) = (facts.policy.ladder.reroute?, rotation_of(facts)?);
    let ours = rotation.place == Place::Out && rotation.by == facts.policy.id.uid;
    if !ours || rotation.since >= step.within || facts.target.verdict.quarantined() {
        return None;
    }
    let end: Mono = facts.now.mono.plus(step.within - rotation.since);
    Held::until(end, format!("it left its Services {} s ago, and may get well by itself", rotation.since / 1000))
}

/// Nobody comes back who is not known to be well.
pub(super) fn is_well(facts: &Facts<'_>) -> Option<Held> {
    let kind = facts.target.verdict.kind;
    (kind != VerdictKind::Healthy).then(|| Held { why: format!("the target is {} now", kind.name()), until: None })
}

fn rotation_of<'a>(facts: &'a Facts<'_>) -> Option<&'a Rotation> {
    match &facts.live.pod {
        PodFacts::Gone => None,
        PodFacts::Present(PodPresent { rotation, .. }) => Some(rotation),
    }
}

impl Rotation {
    /// Whether every Service agrees with what the step was to bring about; which does not, else.
    #[must_use]
    pub fn disagrees(&self, step: Step) -> Option<&ServiceFacts> {
        let Services::Read(services) = &self.services else { return None };
        services.iter().find(|service| service.serves != (step == Step::Rejoin))
    }
}
