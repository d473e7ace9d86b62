//! The state machine itself.

use crate::api::Phase;
use crate::plan::{Guard, PodFacts};

use super::{Kind, Order};

/// Where a remediation stands between two effects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Written down; the first look at the world is under way.
    Looking,
    /// A seat is being asked for.
    Seating {
        /// Whether the step is only written down.
        simulated: bool,
    },
    /// `Acting` is being written down.
    Announcing,
    /// The last look before the act; some process that announced it may have acted already.
    Checking {
        /// How often the world had moved.
        moved: u8,
    },
    /// The act is under way.
    Acting {
        /// How often the world had moved.
        moved: u8,
    },
    /// `Verifying` is being written down.
    Accepted {
        /// When the act was accepted.
        acted_at: i64,
    },
    /// The target is being watched.
    Verifying {
        /// When it must be healthy.
        deadline: i64,
    },
    /// The end is being written down.
    Ending(End),
    /// The seat is being given back.
    Releasing,
    /// The finalizer is being removed.
    LettingGo,
    /// Over.
    Over,
}

/// How a remediation ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// The final phase.
    pub phase: Phase,
    /// One word for why.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Whether the act happened, so that budget and attempt are spent.
    pub acted: bool,
    /// Whether nothing more is to be tried in this incident.
    pub exhausted: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The world was read live, and the guards were asked with what was found.
    Looked {
        /// The pod that has the target's name now.
        pod: PodFacts,
        /// The first guard that holds, with its sentence.
        refused: Option<(Guard, String)>,
        /// Whether the step is only to be written down.
        simulated: bool,
        /// Now, by the API server's clock (milliseconds).
        now: i64,
    },
    /// The ledger answered.
    Seated(SeatOutcome),
    /// The journal was written.
    Written,
    /// The act was answered.
    Acted {
        /// How.
        outcome: Outcome,
        /// Now, by the API server's clock (milliseconds).
        now: i64,
    },
    /// The target was looked at while verifying.
    Observed {
        /// What was seen.
        observation: Observation,
        /// Now, by the API server's clock (milliseconds).
        now: i64,
    },
    /// The seat is free.
    Released,
    /// The finalizer is gone.
    LetGo,
    /// The last effect could not be performed, and nothing is known to have changed.
    Failed(String),
}

/// What the ledger answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatOutcome {
    /// The seat is taken, or already was.
    Taken,
    /// A limit holds.
    Refused(Guard, String),
}

/// How an act was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Accepted, or the page was delivered.
    Done,
    /// The world had changed: look again.
    Moved(String),
    /// A disruption budget holds.
    Blocked(String),
    /// It was refused for a reason that another try does not change.
    Refused(String),
    /// Nobody knows whether it happened: look before anything else.
    Unknown(String),
}

/// What was seen of the target while verifying.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    /// The replacement has been healthy for so long (milliseconds), on samples younger than the act, and its head
    /// rose.
    Healthy {
        /// The replacement's name.
        pod: String,
        /// For so long.
        lasted: u64,
    },
    /// The replacement is there and not healthy.
    NotYet(String),
    /// Nothing can be told: no replacement, or no readings.
    Unknown(String),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the world live and ask the guards: answered by `Looked`.
    Look,
    /// Take a seat in the ledger: answered by `Seated`.
    TakeSeat {
        /// Whether the step is only written down.
        simulated: bool,
    },
    /// Write the journal: answered by `Written`.
    Write(Entry),
    /// Act on this version of the pod: answered by `Acted`. Not repeated by the performer.
    Act {
        /// The version last looked at; empty for a page.
        resource_version: String,
    },
    /// Watch the target: answered by `Observed`, at the latest at the deadline.
    Observe {
        /// API server's clock (milliseconds).
        deadline: i64,
    },
    /// Give the seat back: answered by `Released`.
    Release {
        /// Whether the act happened.
        acted: bool,
        /// Whether nothing more is to be tried in this incident.
        exhausted: bool,
    },
    /// Remove the finalizer: answered by `LetGo`.
    LetGo,
    /// Come back later (milliseconds) and resume from the journal.
    Later(u64),
    /// Nothing is left to do.
    Nothing,
}

/// What is written into the journal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The phase that begins.
    pub phase: Phase,
    /// One word for why.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When the phase must have ended.
    pub deadline: Option<i64>,
    /// When the act was accepted.
    pub acted_at: Option<i64>,
    /// The replacement that was seen healthy.
    pub replacement: String,
}

/// A remediation that could not begin within this time (milliseconds) is withdrawn: its evidence is history.
const PENDING_AT_MOST: i64 = 120_000;
/// How often the world may move under an act before it is planned anew.
const MOVES_AT_MOST: u8 = 3;
/// Rest before a failed effect is tried again (milliseconds).
const RETRY: u64 = 2_000;

/// Resumes from the journal: the phase is all that a former process left.
#[must_use]
pub fn resume(phase: Phase, deadline: Option<i64>, end: End) -> (State, Effect) {
    match phase {
        Phase::Pending => (State::Looking, Effect::Look),
        Phase::Acting => (State::Checking { moved: 0 }, Effect::Look),
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
        (_, Event::Failed(_)) => (state.clone(), Effect::Later(RETRY)),

        (State::Looking, Event::Looked { pod, refused, simulated, now }) => {
            if let Some((guard, why)) = refused {
                let phase = if replaced(order, &pod) { Phase::Superseded } else { Phase::Withdrawn };
                end(phase, guard.name(), why, false)
            } else if now - order.created_at > PENDING_AT_MOST {
                end(Phase::Withdrawn, "Expired", "it could not begin in time".into(), false)
            } else {
                (State::Seating { simulated }, Effect::TakeSeat { simulated })
            }
        }
        (State::Seating { .. }, Event::Seated(SeatOutcome::Refused(guard, why))) => {
            end(Phase::Withdrawn, guard.name(), why, false)
        }
        (State::Seating { simulated: true }, Event::Seated(SeatOutcome::Taken)) => {
            let message = "mode DryRun: this step would have been taken now".to_owned();
            end(Phase::DryRun, "DryRun", message, true)
        }
        (State::Seating { simulated: false }, Event::Seated(SeatOutcome::Taken)) => {
            let message = "a seat is taken; the act follows after one more look".to_owned();
            let entry = Entry { message, ..Entry::of(Phase::Acting, "Seated") };
            (State::Announcing, Effect::Write(entry))
        }
        (State::Announcing, Event::Written) => (State::Checking { moved: 0 }, Effect::Look),

        (State::Checking { moved }, Event::Looked { pod, refused, simulated, now }) => {
            checked(order, *moved, &pod, refused, simulated, now)
        }
        (State::Acting { moved }, Event::Acted { outcome, now }) => acted(order, *moved, outcome, now),
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
        // An answer to a question that was not asked: whatever it was, the journal knows better.
        (_, _) => (state.clone(), Effect::Later(RETRY)),
    }
}

/// The last look before the act.
fn checked(
    order: &Order,
    moved: u8,
    pod: &PodFacts,
    refused: Option<(Guard, String)>,
    simulated: bool,
    now: i64,
) -> (State, Effect) {
    let version = match (order.kind, pod) {
        (Kind::Page, _) => String::new(),
        (Kind::Restart { .. }, PodFacts::Present(found)) if found.uid == order.uid && !found.terminating => {
            found.resource_version.clone()
        }
        // The target is gone or going, and the journal announces just that: it was this process before it died, or
        // another that acts on the same entry. Whoever it was, the slot has been disturbed and must be verified.
        (Kind::Restart { .. }, _) => return accepted(order, now),
    };
    if simulated {
        return end(Phase::Withdrawn, Guard::Mode.name(), "the mode no longer allows acts".into(), false);
    }
    if let Some((guard, why)) = refused {
        return end(Phase::Withdrawn, guard.name(), why, false);
    }
    (State::Acting { moved }, Effect::Act { resource_version: version })
}

fn acted(order: &Order, moved: u8, outcome: Outcome, now: i64) -> (State, Effect) {
    match (order.kind, outcome) {
        (Kind::Restart { .. }, Outcome::Done) => accepted(order, now),
        (Kind::Page, Outcome::Done) => end(Phase::Succeeded, "Paged", "a person was called".into(), true),
        (_, Outcome::Moved(why)) if moved >= MOVES_AT_MOST => {
            end(Phase::Withdrawn, Guard::Moved.name(), format!("the pod kept changing: {why}"), false)
        }
        (_, Outcome::Moved(_)) => (State::Checking { moved: moved + 1 }, Effect::Look),
        (_, Outcome::Blocked(why)) => end(Phase::Withdrawn, Guard::DisruptionBudget.name(), why, false),
        (Kind::Page, Outcome::Refused(why)) => end(Phase::Failed, "NotDelivered", why, true),
        (Kind::Restart { .. }, Outcome::Refused(why)) => end(Phase::Withdrawn, "Refused", why, false),
        (_, Outcome::Unknown(_)) if moved >= MOVES_AT_MOST => {
            // Whether it happened is for the next look to say, but not in a hot loop.
            (State::Checking { moved: 0 }, Effect::Later(RETRY))
        }
        (_, Outcome::Unknown(_)) => (State::Checking { moved: moved + 1 }, Effect::Look),
    }
}

fn accepted(order: &Order, now: i64) -> (State, Effect) {
    let deadline = now.saturating_add(within(order));
    let entry = Entry {
        message: "the removal was accepted; waiting for a healthy replacement".into(),
        deadline: Some(deadline),
        acted_at: Some(now),
        ..Entry::of(Phase::Verifying, "Accepted")
    };
    (State::Accepted { acted_at: now }, Effect::Write(entry))
}

fn observed(order: &Order, deadline: i64, observation: Observation, now: i64) -> (State, Effect) {
    let Kind::Restart { clear, .. } = order.kind else {
        return end(Phase::Succeeded, "Paged", "a person was called".into(), true);
    };
    let over = now >= deadline;
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
    match order.kind {
        Kind::Restart { within, .. } => i64::try_from(within).unwrap_or(i64::MAX),
        Kind::Page => 0,
    }
}

impl Entry {
    fn of(phase: Phase, reason: &str) -> Self {
        Self {
            phase,
            reason: reason.to_owned(),
            message: String::new(),
            deadline: None,
            acted_at: None,
            replacement: String::new(),
        }
    }
}

impl End {
    /// What a final journal entry says about its end.
    #[must_use]
    pub fn of(phase: Phase, reason: &str, acted_at: Option<i64>) -> Self {
        Self {
            phase,
            reason: reason.to_owned(),
            message: String::new(),
            acted: acted_at.is_some(),
            exhausted: reason == "Unverified",
        }
    }
}
