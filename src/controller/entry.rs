//! The journal entry of an attempt, under a name that says everything that makes it the same attempt.

use kube::ResourceExt;
use sha2::{Digest, Sha256};

use crate::{
    api::{
        Action, Duration, FailoverAction, JobAction, MAINSTAY, NodeRemediation, NodeRemediationSpec, PageAction,
        PolicyIdentity, RestartAction, RotationAction, TargetIdentity,
    },
    plan::{CronJobFacts, ENDPOINTS, GroupFacts, Live, Proposal, Step, TargetFacts},
    policy::Policy,
    remedy::Kind,
    signal::{Mono, Now},
};

use crate::world::{PolicySnapshot, TargetSnapshot};

/// Kubernetes' limit for names that may become labels.
const LONGEST_NAME: usize = 63;
const HASH: usize = 10;

/// What a step was decided about beside the pod: it must be the same when the step is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The `CronJob` of a job, as `UID/GENERATION`.
    pub revision: String,
    /// The signing identity of a failover.
    pub identity: String,
    /// The epoch in which the target holds its place.
    pub epoch: i64,
}

impl About {
    /// As it was found.
    #[must_use]
    pub fn of(live: &Live) -> Self {
        let mut about = Self::default();
        if let CronJobFacts::Ready(revision) = &live.cron_job {
            about.revision.clone_from(revision);
        }
        if let GroupFacts::Ready { identity, epoch, .. } = &live.group {
            (about.identity, about.epoch) = (identity.clone(), *epoch);
        }
        about
    }

    /// As it was written down.
    fn written(action: &Action) -> Self {
        let mut about = Self::default();
        if let Some(job) = &action.job {
            about.revision.clone_from(&job.revision);
        }
        if let Some(failover) = &action.failover {
            (about.identity, about.epoch) = (failover.identity.clone(), failover.epoch);
        }
        about
    }
}

/// The journal entry of an attempt. A second operator that decides the same writes the same name.
#[must_use]
pub fn entry(
    snapshot: &PolicySnapshot,
    target: &TargetSnapshot,
    proposal: &Proposal,
    about: &About,
    attempt: i32,
    now: Now,
) -> NodeRemediation {
    let policy = &snapshot.policy;
    let page = || Action {
        page: Some(PageAction {
            sinks: policy.sinks.clone(),
            text: format!("{}: {}", target.facts.pod, proposal.evidence),
        }),
        ..NOTHING
    };
    let verdict = &target.facts.verdict;
    let server_of = |at: Mono| now.server.0 - i64::try_from(now.mono.since(at)).unwrap_or(0);
    let breach = verdict.firing().map(|finding| finding.breach_since).min().unwrap_or(now.mono);
    let facts = &target.facts;
    let spec = NodeRemediationSpec {
        network: policy.network.clone(),
        policy: PolicyIdentity {
            name: policy.id.name.clone(),
            uid: policy.id.uid.clone(),
            generation: policy.generation,
        },
        target: TargetIdentity { slot: facts.slot.clone(), pod: facts.pod.clone(), uid: facts.uid.clone() },
        action: action(policy, proposal.step, about).unwrap_or_else(page),
        attempt,
        breach_at: server_of(breach),
        detected_at: server_of(verdict.since),
        rules: proposal.rules.clone(),
        decision: proposal.record.clone(),
        requested_by: MAINSTAY.into(),
    };
    let name = name(&policy.id.uid, &facts.slot, &facts.uid, attempt);
    let mut object = NodeRemediation::new(&name, spec);
    object.metadata.namespace = Some(policy.id.namespace.clone());
    object.labels_mut().insert("mainstay.dev/policy".into(), label(&policy.id.name));
    object
}

const NOTHING: Action =
    Action { reroute: None, rejoin: None, restart: None, job: None, failover: None, page: None };

/// What a step is under a policy; `None` for one that its ladder does not have, and for a page.
#[must_use]
pub fn action(policy: &Policy, step: Step, about: &About) -> Option<Action> {
    let ladder = &policy.ladder;
    let (millis, clear) = (Duration::from_millis, Duration::from_millis(policy.clear_for()));
    let endpoints = || Some(RotationAction { within: millis(ENDPOINTS) });
    let action = match step {
        Step::Reroute => Action { reroute: ladder.reroute.and_then(|_| endpoints()), ..NOTHING },
        Step::Rejoin => Action { rejoin: ladder.reroute.and_then(|_| endpoints()), ..NOTHING },
        Step::Restart => Action {
            restart: ladder.restart.map(|step| RestartAction {
                method: step.method,
                within: millis(step.within),
                clear,
            }),
            ..NOTHING
        },
        Step::Job => Action {
            job: ladder.job.as_ref().map(|step| JobAction {
                cron_job: step.cron_job.clone(),
                revision: about.revision.clone(),
                within: millis(step.within),
                clear,
            }),
            ..NOTHING
        },
        Step::Failover => Action {
            failover: ladder.failover.as_ref().map(|step| FailoverAction {
                group: step.group.clone(),
                identity: about.identity.clone(),
                epoch: about.epoch,
                within: millis(step.within),
            }),
            ..NOTHING
        },
        Step::Page => NOTHING,
    };
    (action != NOTHING).then_some(action)
}

/// Why an entry is not to be carried out, whatever the guards say: it is not about the target that it names, or a person
/// asks for something else than the policy's ladder says of that step. Limits rest on the ledger of the policy's network
/// and on the slot; nobody chooses other ones.
#[must_use]
pub fn unlawful(spec: &NodeRemediationSpec, policy: &Policy, target: &TargetFacts) -> Option<String> {
    let wrong = |what: &str, is: &str, not: &str| Some(format!("{what} is {is}, and not {not}"));
    if spec.network != policy.network {
        return wrong("the policy's network", &policy.network, &spec.network);
    }
    if (&spec.target.slot, &spec.target.pod) != (&target.slot, &target.pod) {
        return wrong("the pod's slot", &target.slot, &spec.target.slot);
    }
    if !spec.by_hand() {
        return None;
    }
    if spec.policy.generation != policy.generation {
        return wrong(
            "the policy's generation",
            &policy.generation.to_string(),
            &spec.policy.generation.to_string(),
        );
    }
    let step = step_of(&spec.action);
    if matches!(step, Step::Rejoin | Step::Page) {
        return Some(format!("{} is nothing to be asked for by hand", step.name()));
    }
    match action(policy, step, &About::written(&spec.action)) {
        Some(action) if action == spec.action => None,
        Some(_) => Some(format!("the policy's ladder says something else of {}: see mainstay ask", step.name())),
        None => Some(format!("the policy's ladder has no {}", step.name())),
    }
}

/// Why a failover comes late, or is not about the key of its group.
#[must_use]
pub fn late(action: &Action, found: &GroupFacts) -> Option<String> {
    let (Some(of), GroupFacts::Ready { identity, epoch, .. }) = (&action.failover, found) else { return None };
    if of.identity != *identity {
        return Some(format!("the identity of FailoverGroup {} is {identity}, and not {}", of.group, of.identity));
    }
    let other = of.epoch != *epoch;
    other.then(|| format!("it was decided about epoch {}, and this is epoch {epoch}: it comes late", of.epoch))
}

/// The step that an action is.
#[must_use]
pub fn step_of(action: &Action) -> Step {
    match kind_of(action) {
        Kind::Reroute { .. } => Step::Reroute,
        Kind::Rejoin { .. } => Step::Rejoin,
        Kind::Restart { .. } => Step::Restart,
        Kind::Job { .. } => Step::Job,
        Kind::Failover { .. } => Step::Failover,
        Kind::Page => Step::Page,
    }
}

/// What an action asks for.
#[must_use]
pub fn kind_of(action: &Action) -> Kind {
    let Action { reroute, rejoin, restart, job, failover, page: _ } = action;
    if let Some(restart) = restart {
        Kind::Restart { within: restart.within.as_millis(), clear: restart.clear.as_millis() }
    } else if let Some(job) = job {
        Kind::Job { within: job.within.as_millis(), clear: job.clear.as_millis() }
    } else if let Some(failover) = failover {
        Kind::Failover { within: failover.within.as_millis() }
    } else if let Some(rotation) = reroute {
        Kind::Reroute { within: rotation.within.as_millis() }
    } else if let Some(rotation) = rejoin {
        Kind::Rejoin { within: rotation.within.as_millis() }
    } else {
        Kind::Page
    }
}

/// The name of an attempt: the slot, cut, and ten characters of a hash of everything that makes it this attempt.
fn name(policy: &str, slot: &str, uid: &str, attempt: i32) -> String {
    let mut hash = Sha256::new();
    for part in [policy, slot, uid, &attempt.to_string()] {
        // The length first, so that no two lists of parts run together.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let hash = format!("{:x}", hash.finalize());
    let mut slot: String = slot.chars().take(LONGEST_NAME - HASH - 1).collect();
    while slot.ends_with(['-', '.']) {
        slot.pop();
    }
    format!("{slot}-{}", &hash[..HASH])
}

fn label(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect::<String>().trim_end_matches(['-', '.', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_attempt_has_the_same_name_and_no_other_has() {
        let first = name("p", "full-1", "u", 1);
        assert_eq!(first, name("p", "full-1", "u", 1));
        let others = [name("q", "full-1", "u", 1), name("p", "full-1", "v", 1), name("p", "full-1", "u", 2)];
        assert!(others.iter().all(|other| *other != first));
        assert!(first.starts_with("full-1-"));
    }

    #[test]
    fn a_failover_is_about_one_epoch_of_one_key() {
        let about = FailoverAction {
            group: "val".into(),
            identity: "hub-1.k".into(),
            epoch: 4,
            within: Duration::from_millis(120_000),
        };
        let action = Action { failover: Some(about), ..NOTHING };
        let found =
            |identity: &str, epoch| GroupFacts::Ready { identity: identity.into(), epoch, automatic: true };
        assert_eq!((step_of(&action), late(&action, &found("hub-1.k", 4))), (Step::Failover, None));
        assert!(late(&action, &found("hub-1.k", 5)).unwrap().contains("epoch 4, and this is epoch 5"));
        assert!(late(&action, &found("hub-1.z", 4)).unwrap().contains("hub-1.z, and not hub-1.k"));
        assert_eq!(late(&action, &GroupFacts::NoStandby), None, "that is for the guard to say");
    }

    #[test]
    fn a_name_fits_whatever_the_slot_is_called() {
        let long = name("p", &format!("{}.b", "a".repeat(51)), "u", 1);
        assert!(long.len() <= LONGEST_NAME && !long.contains(".-"), "{long}");
    }
}
