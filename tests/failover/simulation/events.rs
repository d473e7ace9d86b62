//! What happens, to whom, and when.

use std::cmp::Ordering;

use mainstay::failover::gate::Ask;

use super::api::{Put, Reply, Request};

/// A process that talks to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Process(usize),
    Operator(usize),
}

/// What a process does once something is durable.
#[derive(Clone, Debug)]
pub enum After {
    Rest,
    Put(Box<Put>),
    Sign(Box<Ask>),
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    Round,
    RoundEnds,
    Asks(usize, Box<Ask>),
    Durable(usize, After),
    /// The turn tells whether it is still wanted.
    Looks(Who, u32),
    Arrives(Box<Request>),
    Replies(Who, u32, Box<Reply>),
    TimesOut(Who, u32),
    /// A hold may have ended.
    Expires(usize),
    Thaws(Who),
    Joined(Who),
    Starts(usize),
    Ends(usize),
    /// A pod that is being deleted is no more, and another one is made.
    Replaced(usize),
    OperatorStarts(usize),
    Fault,
    Restored,
    Calm,
    /// A person looks.
    Helps,
}

impl Event {
    /// Who has to be awake for it.
    pub const fn of(&self) -> Option<Who> {
        match self {
            Self::Looks(who, _) | Self::Replies(who, ..) | Self::TimesOut(who, _) => Some(*who),
            Self::Asks(which, _) | Self::Durable(which, _) | Self::Expires(which) => Some(Who::Process(*which)),
            _ => None,
        }
    }
}

/// When it happens; of what is due at once, what was put down first.
#[derive(Clone, Debug)]
pub struct Due {
    pub at: u64,
    pub order: u64,
    pub event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// What is due first is greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
