//! What the machine is made of: states, events and effects.

use crate::api::Phase;
use crate::plan::{Approval, Guard, PodFacts};

/// Where a remediation stands between two effects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Written down; the first look at the world is under way, or the next one while people are asked.
    Looking {
        /// Whether they have been asked.
        asked: bool,
    },
    /// `AwaitingApproval` is being written down.
    Asking,
    /// A seat is being asked for.
    Seating {
        /// Whether the step is only written down.
        simulated: bool,
    },
    /// `Acting` is being written down.
    Announcing {
        /// Whether the act may have happened, or may happen yet.
        doubt: Doubt,
    },
    /// The seat of an act that another process announced is asked for once more: only the ledger says that it was taken.
    Reseating {
        /// When that was found out.
        now: i64,
    },
    /// The last look before the act.
    Checking {
        /// How often the world had moved.
        moved: u8,
        /// Whether the act may have happened, or may happen yet.
        doubt: Doubt,
    },
    /// The act is under way.
    Acting {
        /// How often the world had moved.
        moved: u8,
        /// Whether the act may have happened, or may happen yet, before this try.
        doubt: Doubt,
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

/// Whether the act may have happened, or may happen yet, without this process knowing.
///
/// Only who announced the act last may act: a second process that finds `Acting` in the journal announces it again
/// before it acts, and that write makes the first one's journal writes fail. So whoever announced, and got a plain
/// answer to everything it sent, knows that nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// This process announced the act, and every answer was a plain one.
    None,
    /// This process announced the act, but another may have acted before, or an answer was lost.
    Announced,
    /// Another process announced it. This one must announce it again before it removes a pod.
    Inherited,
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
        /// What people have said about it.
        approval: Approval,
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

/// What was seen of the target while verifying; of a change of rotation, whether the endpoints agree; of a failover, what
/// became of its order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    /// The replacement has been healthy for so long (milliseconds), on samples younger than the act, and its head
    /// rose.
    Healthy {
        /// The replacement's name; of a failover, the member's that holds the place.
        pod: String,
        /// For so long.
        lasted: u64,
    },
    /// The replacement is there and not healthy.
    NotYet(String),
    /// It will not be: the job has failed, or the order was refused.
    Failed(String),
    /// Nothing can be told: no replacement, or no readings.
    Unknown(String),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

impl Entry {
    pub(super) fn of(phase: Phase, reason: &str) -> Self {
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
            // The phase says it; the time of the act is a witness that a later write could lose.
            acted: match phase {
                Phase::Succeeded | Phase::Failed | Phase::DryRun => true,
                Phase::Superseded | Phase::Withdrawn => false,
                Phase::Pending | Phase::AwaitingApproval | Phase::Acting | Phase::Verifying => acted_at.is_some(),
            },
            exhausted: reason == "Unverified",
        }
    }
}
