//! What a remediation was asked to do: fixed when it was written down.

use crate::plan::Place;

/// The fixed part of a remediation. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Uid of the target's pod.
    pub uid: String,
    /// What is to be done.
    pub kind: Kind,
    /// When it was written down, by the API server's clock.
    pub created_at: i64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Let the pod be made anew.
    Restart {
        /// From the accepted removal to a healthy target.
        within: u64,
        /// How long the new pod must have been healthy without a break.
        clear: u64,
    },
    /// Run a job of the owner's.
    Job {
        /// From the creation of the job to a healthy target.
        within: u64,
        /// How long the target must have been healthy without a break.
        clear: u64,
    },
    /// Let another member of a failover group sign.
    Failover {
        /// From the order to another that holds the place.
        within: u64,
    },
    /// Take the pod out of its Services.
    Reroute {
        /// From the turn to endpoints that agree with it.
        within: u64,
    },
    /// Put it back.
    Rejoin {
        /// From the turn to endpoints that agree with it.
        within: u64,
    },
    /// Call a person.
    Page,
}

impl Kind {
    /// From the accepted act to its end (milliseconds); a page has none.
    #[must_use]
    pub const fn within(self) -> u64 {
        match self {
            Self::Restart { within, .. }
            | Self::Job { within, .. }
            | Self::Failover { within }
            | Self::Reroute { within }
            | Self::Rejoin { within } => within,
            Self::Page => 0,
        }
    }

    /// What the pod's switch says afterwards, for a change of rotation.
    #[must_use]
    pub const fn place(self) -> Option<Place> {
        match self {
            Self::Reroute { .. } => Some(Place::Out),
            Self::Rejoin { .. } => Some(Place::In),
            Self::Restart { .. } | Self::Job { .. } | Self::Failover { .. } | Self::Page => None,
        }
    }
}
