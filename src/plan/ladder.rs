//! The ladder: which step is next. Its order is fixed, gentlest first.

use serde::{Deserialize, Serialize};

use crate::{
    api::{SeatStep, SlotRecord},
    judge::VerdictKind,
    signal::Server,
};

use super::{
    Facts, Guard, Place, PodFacts,
    guard::Held,
    guards::held_until,
    ledger::{self, Tries},
};

/// One rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Take the pod out of the Services that serve it.
    Reroute,
    /// Put it back.
    Rejoin,
    /// Let the pod be made anew by its workload.
    Restart,
    /// Run a job of the owner's.
    Job,
    /// Let another sign.
    Failover,
    /// Call a person.
    Page,
}

impl Step {
    /// Every step, in the order of the ladder.
    pub const ALL: [Self; 6] = [Self::Reroute, Self::Rejoin, Self::Restart, Self::Job, Self::Failover, Self::Page];

    /// Whether it only changes which pods serve.
    #[must_use]
    pub const fn is_a_rotation(self) -> bool {
        matches!(self, Self::Reroute | Self::Rejoin)
    }

    /// Whether people must approve it in mode `Approve`: it does something to a pod. The way back into rotation ends what
    /// was approved, and a page does nothing.
    #[must_use]
    pub const fn needs_approval(self) -> bool {
        match self {
            Self::Reroute | Self::Restart | Self::Job | Self::Failover => true,
            Self::Rejoin | Self::Page => false,
        }
    }

    /// What a seat is taken for; a page takes none.
    #[must_use]
    pub const fn seat(self) -> Option<SeatStep> {
        match self {
            Self::Reroute => Some(SeatStep::Reroute),
            Self::Rejoin => Some(SeatStep::Rejoin),
            Self::Restart => Some(SeatStep::Restart),
            Self::Job => Some(SeatStep::Job),
            Self::Failover => Some(SeatStep::Failover),
            Self::Page => None,
        }
    }

    /// Its name in manifests and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reroute => "reroute",
            Self::Rejoin => "rejoin",
            Self::Restart => "restart",
            Self::Job => "job",
            Self::Failover => "failover",
            Self::Page => "page",
        }
    }
}

/// What was tried on this slot in this incident: the ledger's record, or a fresh one after long health.
#[must_use]
pub fn current_record(facts: &Facts<'_>) -> SlotRecord {
    let record = ledger::record(facts.ledger, &facts.policy.id.uid, &facts.target.slot, facts.simulated());
    let long_health = facts.target.long_health(facts.policy, facts.now);
    ledger::in_this_incident(record, long_health, facts.now.server)
}

/// In mode `DryRun` a step is written down and helps nobody. It counts as tried, and gets the time that it would have had:
/// else the whole ladder would be gone through at once, as it never is.
pub(super) fn only_written_down(facts: &Facts<'_>) -> Option<Held> {
    let record = facts.simulated().then(|| current_record(facts))?;
    let ladder = &facts.policy.ladder;
    let tried = [
        (record.failovers, Step::Failover, ladder.failover.as_ref().map(|step| step.within)),
        (record.jobs, Step::Job, ladder.job.as_ref().map(|step| step.within)),
        (record.restarts, Step::Restart, ladder.restart.map(|step| step.within)),
        (record.reroutes, Step::Reroute, ladder.reroute.map(|step| step.within)),
    ];
    let (_, step, within) = tried.into_iter().find(|(times, _, _)| *times > 0)?;
    held_until(facts, Server(record.last_at).plus(within?), |left| {
        format!("the {} was only written down: {left} s left of the time that it would have had", step.name())
    })
}

/// Whether nothing is left of a disruptive step in this incident.
pub(super) fn exhausted(facts: &Facts<'_>, step: Step) -> Option<Held> {
    let tries = Tries::of(step, &facts.policy.ladder, &current_record(facts)).filter(Tries::used_up)?;
    let name = step.name();
    let what = if step == Step::Restart { name } else { "step" };
    Held::because(if tries.exhausted {
        format!("the last {what} could not be verified: a person must look")
    } else {
        format!("{} of {} {name}s were tried in this incident", tries.done, tries.attempts)
    })
}

/// Whether the slot rests after the last disruptive step of this kind.
pub(super) fn cooldown(facts: &Facts<'_>, step: Step) -> Option<Held> {
    let tries = Tries::of(step, &facts.policy.ladder, &current_record(facts))?;
    if let Some(held) = only_written_down(facts) {
        return Some(held);
    }
    held_until(facts, tries.rests_until()?, |left| {
        format!("resting after {} {} of {}: {left} s left", step.name(), tries.done, tries.attempts)
    })
}

/// The steps that are left in this incident, gentlest first. The first is next; one that cannot help at all lets the one
/// behind it have its turn.
#[must_use]
pub fn next_steps(facts: &Facts<'_>) -> Vec<Step> {
    let record = current_record(facts);
    let ladder = &facts.policy.ladder;
    let mut steps = Vec::new();
    if ladder.reroute.is_some_and(|step| serves(facts, &record) && !ledger::rerouted_enough(&record, &step)) {
        steps.push(Step::Reroute);
    }
    // What no restart mends must not be made worse by one, and one that sees another chain may be the one that is right: a
    // person decides.
    if !facts.target.verdict.quarantined() {
        let disruptive = [Step::Restart, Step::Job, Step::Failover].into_iter();
        steps.extend(
            disruptive.filter(|step| Tries::of(*step, ladder, &record).is_some_and(|tries| !tries.used_up())),
        );
    }
    if ladder.page && !record.paged {
        steps.push(Step::Page);
    }
    steps
}

/// Whether a step that this guard holds back lets the next one have its turn: it could not help, now or later.
#[must_use]
pub(super) fn gives_way(step: Step, guard: Guard, next: Step) -> bool {
    match step {
        // Whatever cannot be taken out of rotation can still be helped.
        Step::Reroute => matches!(guard, Guard::Rotation | Guard::Exhausted),
        // What no restart mends may be mended by what its owner has written for that, or by another that signs.
        Step::Restart if next == Step::Failover && is_a_detour(step, guard) => true,
        Step::Restart => matches!(guard, Guard::Cause | Guard::CrashLoop) && next != Step::Page,
        Step::Job => guard == Guard::CronJob,
        Step::Failover => matches!(guard, Guard::Failover | Guard::Cause),
        Step::Rejoin | Step::Page => false,
    }
}

/// Whether a step is not given up for the next one: a pod that is left alone for now, because its node is lost, it does not
/// end, a rollout is under way or all that is ill is in one place, may still be restarted later, and meanwhile another may
/// sign.
#[must_use]
pub(super) fn is_a_detour(step: Step, guard: Guard) -> bool {
    step == Step::Restart && matches!(guard, Guard::Moved | Guard::Rollout | Guard::NodeUnfit | Guard::Correlated)
}

/// Whether the pod still serves. A step that was only written down turned no switch: the record remembers it.
fn serves(facts: &Facts<'_>, record: &SlotRecord) -> bool {
    facts.live.pod.place() == Place::In && !(facts.simulated() && record.reroutes > 0)
}

/// Whether a target that we took out of rotation is to come back: it is well.
#[must_use]
pub fn is_to_rejoin(facts: &Facts<'_>) -> bool {
    let PodFacts::Present(pod) = &facts.live.pod else { return false };
    let ours = pod.rotation.place == Place::Out && pod.rotation.by == facts.policy.id.uid;
    ours && facts.policy.ladder.reroute.is_some()
        && !facts.simulated()
        && facts.target.verdict.kind == VerdictKind::Healthy
}
