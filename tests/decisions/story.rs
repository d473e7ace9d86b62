//! What a run of the toy cluster is about.

/// What happens to the target once it is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Heals,
    StaysSick,
    /// Of a job or a failover: it is not over in time.
    TakesLong,
    CannotBeTold,
}

/// Something that somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    Nothing,
    Stop,
    PersonDeletes,
    Recovers,
    ModeFlips,
    PolicyChanges,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Restart,
    Job,
    Failover,
    Page,
}

/// Whether people are asked, and when they have said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    NotAsked,
    /// At this unit of work.
    At(usize),
    Never,
}

/// The story of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Story {
    pub what: What,
    pub consent: Consent,
    pub simulated: bool,
    pub after: After,
    /// A disruption budget holds.
    pub blocked: bool,
    /// The pod's version changes between every look and every act.
    pub restless: bool,
    /// The sinks give up.
    pub deaf: bool,
    pub elsewhere: Elsewhere,
    /// At which unit of work that happens.
    pub at: usize,
}

pub const PLAIN: Story = Story {
    what: What::Restart,
    consent: Consent::NotAsked,
    simulated: false,
    after: After::Heals,
    blocked: false,
    restless: false,
    deaf: false,
    elsewhere: Elsewhere::Nothing,
    at: 0,
};
