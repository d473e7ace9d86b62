//! The state machine itself.

use crate::api::Phase;
use crate::plan::{APPROVAL_AT_MOST, Approval, Guard, Place, PodFacts};

use super::{Doubt, Effect, End, Entry, Event, Kind, Observation, Order, Outcome, SeatOutcome, State};

/// A remediation that could not begin within this time (milliseconds) is withdrawn: its evidence is history.
const PENDING_AT_MOST: i64 = 120_000;
/// Nobody takes over an announced act after this time (milliseconds): two processes that keep taking it over from
/// each other would never come to an end.
const ACTING_AT_MOST: i64 = 2 * PENDING_AT_MOST;
/// How often the world may move under an act before it is planned anew.
const MOVES_AT_MOST: u8 = 3;
/// How long after it was announced an act may still arrive (milliseconds): an announcement serves for ten seconds, and a
/// request may take as many.
const LANDS_WITHIN: i64 = 20_000;
/// What is said of a change of rotation that happened.
const TURNED: &str = "the switch is turned; waiting for the endpoints to agree";
/// What is said of a removal that happened.
const REMOVED: &str = "the removal was accepted; waiting for a healthy replacement";
/// What is said of a job that was created.
const CREATED: &str = "the job is created; waiting for its end and for a healthy target";
/// What is said of an order to let another sign.
const ORDERED: &str = "it is ordered that another signs; waiting for one that holds the place";
/// Why a step is withdrawn that somebody has said no to.
pub const REJECTED: &str = "Rejected";
/// Between two looks at what people have said (milliseconds).
const ASK_AGAIN: u64 = 5_000;
/// Rest before a failed effect is tried again (milliseconds).
const RETRY: u64 = 2_000;

/// Resumes from the journal: the phase is all that a former process left.
#[must_use]
pub fn resume(phase: Phase, deadline: Option<i64>, end: &End) -> (State, Effect) {
    match phase {
        Phase::Pending => (State::Looking { asked: false }, Effect::Look),
        Phase::AwaitingApproval => (State::Looking { asked: true }, Effect::Look),
        Phase::Acting => (State::Checking { moved: 0, doubt: Doubt::Inherited }, Effect::Look),
        Phase::Verifying => {
            let deadline = deadline.unwrap_or(0);
            (State::Verifying { deadline }, Effect::Observe { deadline })
        }
        Phase::Succeeded | Phase::Failed | Phase::Superseded | Phase::Withdrawn | Phase::DryRun => {
            (State::Releasing, Effect::Release { acted: end.acted, exhausted: end.exhausted })
        }
    }
}

/// One step of the life of a remediation.
#[must_use]
pub fn step(order: &Order, state: &State, event: Event) -> (State, Effect) {
    match (state, event) {
        (State::Looking { .. }, Event::Looked { pod, refused: Some((guard, why)), .. }) => {
            let phase = if replaced(order, &pod) { Phase::Superseded } else { Phase::Withdrawn };
            end(phase, guard.name(), why, false)
        }
        (State::Looking { asked }, Event::Looked { refused: None, simulated, approval, now, .. }) => {
            let approval = if simulated { Approval::NotNeeded } else { approval };
            approved(order, *asked, simulated, approval, now)
        }
        (State::Asking, Event::Written) => (State::Looking { asked: true }, Effect::Look),
        (State::Seating { .. }, Event::Seated(SeatOutcome::Refused(guard, why))) => {
            end(Phase::Withdrawn, guard.name(), why, false)
        }
        (State::Seating { simulated: true }, Event::Seated(SeatOutcome::Taken)) => {
            let message = "mode DryRun: this step would have been taken now".to_owned();
            end(Phase::DryRun, "DryRun", message, true)
        }
        (State::Seating { simulated: false }, Event::Seated(SeatOutcome::Taken)) => announce(Doubt::None),
        // An entry is a hint, whoever wrote it; limits rest on the ledger.
        (State::Reseating { .. }, Event::Seated(SeatOutcome::Taken)) => announce(Doubt::Announced),
        (State::Reseating { now }, Event::Seated(SeatOutcome::Refused(guard, why))) => {
            held_back(order, Doubt::Inherited, guard.name(), why, *now)
        }
        (State::Announcing { doubt }, Event::Written) => {
            (State::Checking { moved: 0, doubt: *doubt }, Effect::Look)
        }

        (State::Checking { moved, doubt }, Event::Looked { pod, refused, simulated, approval, now }) => {
            let refused = refused
                .or_else(|| simulated.then(|| (Guard::Mode, "the mode no longer allows acts".to_owned())))
                .or_else(|| unapproved(approval));
            checked(order, *moved, *doubt, &pod, refused, now)
        }
        (State::Acting { moved, doubt }, Event::Acted { outcome, now }) => {
            acted(order, *moved, *doubt, outcome, now)
        }
        (State::Accepted { acted_at }, Event::Written) => {
            let deadline = acted_at.saturating_add(within(order));
            (State::Verifying { deadline }, Effect::Observe { deadline })
        }
        (State::Verifying { deadline }, Event::Observed { observation, now }) => {
            observed(order, *deadline, observation, now)
        }

        (State::Ending(end), Event::Written) => {
            (State::Releasing, Effect::Release { acted: end.acted, exhausted: end.exhausted })
        }
        (State::Releasing, Event::Released) => (State::LettingGo, Effect::LetGo),
        (State::LettingGo, Event::LetGo) => (State::Over, Effect::Nothing),
        // A failure, or an answer to a question that was not asked: whatever it was, the journal knows better.
        (_, _) => (state.clone(), Effect::Later(RETRY)),
    }
}

/// Begins, if nobody is to be asked or enough people have said yes; else asks them, once, and waits.
fn approved(order: &Order, asked: bool, simulated: bool, approval: Approval, now: i64) -> (State, Effect) {
    let waited = now.saturating_sub(order.created_at);
    let (at_most, why) = if asked {
        (milliseconds(APPROVAL_AT_MOST), "it was not approved in time")
    } else {
        (PENDING_AT_MOST, "it could not begin in time")
    };
    if waited > at_most {
        return end(Phase::Withdrawn, "Expired", why.into(), false);
    }
    match approval {
        Approval::NotNeeded | Approval::Given => (State::Seating { simulated }, Effect::TakeSeat { simulated }),
        Approval::Void(why) => end(Phase::Withdrawn, Guard::Approval.name(), why, false),
        Approval::Rejected(why) => end(Phase::Withdrawn, REJECTED, why, false),
        Approval::Wanted(_) if asked => (State::Looking { asked }, Effect::Later(ASK_AGAIN)),
        Approval::Wanted(so_far) => {
            let entry = Entry {
                message: format!("people must approve it: {so_far}"),
                deadline: Some(order.created_at.saturating_add(milliseconds(APPROVAL_AT_MOST))),
                ..Entry::of(Phase::AwaitingApproval, Guard::Approval.name())
            };
            (State::Asking, Effect::Write(entry))
        }
    }
}

fn unapproved(approval: Approval) -> Option<(Guard, String)> {
    match approval {
        Approval::NotNeeded | Approval::Given => None,
        Approval::Wanted(so_far) => Some((Guard::Approval, format!("its approval is void: {so_far}"))),
        Approval::Void(why) | Approval::Rejected(why) => Some((Guard::Approval, why)),
    }
}

fn announce(doubt: Doubt) -> (State, Effect) {
    let (reason, message) = match doubt {
        Doubt::None => ("Seated", "a seat is taken; the act follows after one more look"),
        Doubt::Announced | Doubt::Inherited => ("Resumed", "taken over from a process that had announced the act"),
    };
    let entry = Entry { message: message.to_owned(), ..Entry::of(Phase::Acting, reason) };
    (State::Announcing { doubt }, Effect::Write(entry))
}

/// The last look before the act.
fn checked(
    order: &Order,
    moved: u8,
    doubt: Doubt,
    pod: &PodFacts,
    refused: Option<(Guard, String)>,
    now: i64,
) -> (State, Effect) {
    let version = match (order.kind, pod) {
        (Kind::Page, _) => String::new(),
        (kind, PodFacts::Present(found))
            if kind.place() == Some(found.rotation.place) && found.uid == order.uid =>
        {
            // Ours, before an answer was lost or a process died; or somebody else's, and just as good.
            return accepted(order, now, said(order.kind));
        }
        // A failover touches no pod: whether one that is going stands in its way is for its guards to say.
        (kind, PodFacts::Present(found))
            if found.uid == order.uid && (!found.terminating || matches!(kind, Kind::Failover { .. })) =>
        {
            found.resource_version.clone()
        }
        (kind, _) if doubt == Doubt::None || kind.place().is_some() => {
            let why = "the pod went before this attempt did anything to it".into();
            return end(Phase::Superseded, Guard::Moved.name(), why, false);
        }
        // The target is gone or going, and the journal announces just that: it was this process before it died, or
        // another that acts on the same entry. Whoever it was, the slot has been disturbed and must be verified.
        (Kind::Job { .. }, _) => return accepted(order, now, "the pod is gone; its job may have been created"),
        (Kind::Failover { .. }, _) => {
            return accepted(order, now, "the pod is gone; its order may have been given");
        }
        (_, _) => return accepted(order, now, said(order.kind)),
    };
    if let Some((guard, why)) = refused {
        return held_back(order, doubt, guard.name(), why, now);
    }
    if doubt == Doubt::Inherited && order.kind != Kind::Page {
        if now.saturating_sub(order.created_at) > ACTING_AT_MOST {
            return held_back(order, doubt, "Expired", "it could not be done in time".into(), now);
        }
        return (State::Reseating { now }, Effect::TakeSeat { simulated: false });
    }
    (State::Acting { moved, doubt }, Effect::Act { resource_version: version })
}

fn acted(order: &Order, moved: u8, doubt: Doubt, outcome: Outcome, now: i64) -> (State, Effect) {
    match (order.kind, outcome) {
        (Kind::Page, Outcome::Done) => end(Phase::Succeeded, "Paged", "a person was called".into(), true),
        (kind, Outcome::Done) => accepted(order, now, said(kind)),
        // Nobody was told, so it must be tried again; withdrawn attempts are, less and less often.
        (Kind::Page, Outcome::Refused(why)) => end(Phase::Withdrawn, "NotDelivered", why, false),
        (_, Outcome::Moved(why)) if moved + 1 >= MOVES_AT_MOST => {
            held_back(order, doubt, Guard::Moved.name(), format!("the pod kept changing: {why}"), now)
        }
        (_, Outcome::Moved(_)) => (State::Checking { moved: moved + 1, doubt }, Effect::Look),
        (_, Outcome::Blocked(why)) => held_back(order, doubt, Guard::DisruptionBudget.name(), why, now),
        (_, Outcome::Refused(why)) => held_back(order, doubt, "Refused", why, now),
        // Whether it happened is for the next look to say, but not in a hot loop.
        (_, Outcome::Unknown(_)) if moved + 1 >= MOVES_AT_MOST => {
            (State::Checking { moved: 0, doubt: Doubt::Announced }, Effect::Later(RETRY))
        }
        (_, Outcome::Unknown(_)) => (State::Checking { moved: moved + 1, doubt: Doubt::Announced }, Effect::Look),
    }
}

/// Something holds the act back. If nothing was done, that is the end. If nobody can say, `Withdrawn` might be a lie
/// and would give seat and budget back under a removal that lands a moment later: the target is watched instead, as
/// if the removal had been accepted. A page has nothing to watch, and one too many does no harm; a turn that lands late
/// is seen by the next decision, which rests on the pod itself.
fn held_back(order: &Order, doubt: Doubt, reason: &str, why: String, now: i64) -> (State, Effect) {
    match (order.kind, doubt) {
        (Kind::Page | Kind::Reroute { .. } | Kind::Rejoin { .. }, _) | (_, Doubt::None) => {
            end(Phase::Withdrawn, reason, why, false)
        }
        (kind, Doubt::Announced | Doubt::Inherited) => {
            let what = match kind {
                Kind::Job { .. } => "a job",
                Kind::Failover { .. } => "an order",
                _ => "a removal",
            };
            // It counts as late as it can come: a budget whose window began with it would end too early.
            let latest = now.saturating_add(LANDS_WITHIN);
            accepted(order, latest, &format!("{what} may be under way, and no other is tried ({reason}: {why})"))
        }
    }
}

/// What is said of an act that was accepted.
const fn said(kind: Kind) -> &'static str {
    match kind {
        Kind::Job { .. } => CREATED,
        Kind::Failover { .. } => ORDERED,
        Kind::Reroute { .. } | Kind::Rejoin { .. } => TURNED,
        Kind::Restart { .. } | Kind::Page => REMOVED,
    }
}

fn accepted(order: &Order, now: i64, message: &str) -> (State, Effect) {
    let deadline = now.saturating_add(within(order));
    let entry = Entry {
        message: message.to_owned(),
        deadline: Some(deadline),
        acted_at: Some(now),
        ..Entry::of(Phase::Verifying, "Accepted")
    };
    (State::Accepted { acted_at: now }, Effect::Write(entry))
}

fn observed(order: &Order, deadline: i64, observation: Observation, now: i64) -> (State, Effect) {
    let over = now >= deadline;
    let clear = match order.kind {
        Kind::Restart { clear, .. } | Kind::Job { clear, .. } => clear,
        Kind::Page => return end(Phase::Succeeded, "Paged", "a person was called".into(), true),
        Kind::Reroute { .. } | Kind::Rejoin { .. } => return turned(order, deadline, observation, over),
        Kind::Failover { .. } => return handed_over(deadline, observation, over),
    };
    match observation {
        Observation::Healthy { pod, lasted } if lasted >= clear => {
            let last = End {
                phase: Phase::Succeeded,
                reason: "Healthy".into(),
                message: format!("{pod} is healthy and its head rises"),
                acted: true,
                exhausted: false,
            };
            let entry = Entry {
                message: last.message.clone(),
                replacement: pod,
                ..Entry::of(Phase::Succeeded, "Healthy")
            };
            (State::Ending(last), Effect::Write(entry))
        }
        Observation::Failed(why) => end(Phase::Failed, "JobFailed", why, true),
        Observation::NotYet(why) if over => end(Phase::Failed, "StillUnhealthy", why, true),
        // Not long enough healthy, or not tellable at all: nobody can say that it helped.
        Observation::Healthy { .. } if over => {
            end(Phase::Failed, "Unverified", "healthy too late to be sure".into(), true)
        }
        Observation::Unknown(why) if over => end(Phase::Failed, "Unverified", why, true),
        Observation::Healthy { .. } | Observation::NotYet(_) | Observation::Unknown(_) => {
            (State::Verifying { deadline }, Effect::Observe { deadline })
        }
    }
}

/// What the endpoints say of a change of rotation. The pod's place stands either way: what comes next rests on it.
fn turned(order: &Order, deadline: i64, observation: Observation, over: bool) -> (State, Effect) {
    let out = order.kind.place() == Some(Place::Out);
    match observation {
        Observation::Healthy { pod, .. } if out => {
            end(Phase::Succeeded, "OutOfRotation", format!("no Service sends new connections to {pod}"), true)
        }
        Observation::Healthy { pod, .. } => {
            end(Phase::Succeeded, "InRotation", format!("its Services send new connections to {pod}"), true)
        }
        Observation::NotYet(why) | Observation::Unknown(why) | Observation::Failed(why) if over => {
            end(Phase::Failed, "NotConfirmed", why, true)
        }
        Observation::NotYet(_) | Observation::Unknown(_) | Observation::Failed(_) => {
            (State::Verifying { deadline }, Effect::Observe { deadline })
        }
    }
}

/// What became of the order that another signs. That the target is well is not asked for: it signs no more.
fn handed_over(deadline: i64, observation: Observation, over: bool) -> (State, Effect) {
    match observation {
        Observation::Healthy { pod, .. } => {
            end(Phase::Succeeded, "HandedOver", format!("{pod} holds the place"), true)
        }
        Observation::Failed(why) => end(Phase::Failed, "OrderRefused", why, true),
        Observation::NotYet(why) if over => end(Phase::Failed, "NotInTime", why, true),
        Observation::Unknown(why) if over => end(Phase::Failed, "Unverified", why, true),
        Observation::NotYet(_) | Observation::Unknown(_) => {
            (State::Verifying { deadline }, Effect::Observe { deadline })
        }
    }
}

/// Ends with one journal entry. After `Unverified` nothing more is tried: a person must look.
fn end(phase: Phase, reason: &str, message: String, acted: bool) -> (State, Effect) {
    let last = End {
        phase,
        reason: reason.to_owned(),
        message: message.clone(),
        acted,
        exhausted: reason == "Unverified",
    };
    let entry = Entry { message, ..Entry::of(phase, reason) };
    (State::Ending(last), Effect::Write(entry))
}

fn replaced(order: &Order, pod: &PodFacts) -> bool {
    match pod {
        PodFacts::Gone => true,
        PodFacts::Present(pod) => pod.uid != order.uid,
    }
}

fn within(order: &Order) -> i64 {
    milliseconds(order.kind.within())
}

fn milliseconds(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}
