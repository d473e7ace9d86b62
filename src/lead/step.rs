//! The decision: client-go's rules as a pure function.

use super::Mono;

/// A foreign lease is waited out for at most this long, whatever its object says.
const LONGEST_LEASE: u64 = 60_000;
/// A graceful exit tries this often to hand the lease over; then it simply runs out.
const RELEASE_ATTEMPTS: u8 = 3;

/// The lengths that matter, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// A lease unchanged for so long, as seen from here, is up for taking.
    pub lease: u64,
    /// A leader leads for so long from when it *sent* its last confirmed renewal.
    pub renew_deadline: u64,
    /// Between two looks at the lease.
    pub retry: u64,
    /// For one call to the API server; after it the outcome is unknown.
    pub call: u64,
}

/// client-go's defaults. Two clocks may differ in rate by half before two leaders are possible.
impl Default for Timing {
    fn default() -> Self {
        Self { lease: 15_000, renew_deadline: 10_000, retry: 2_000, call: 3_000 }
    }
}

/// What matters of a Lease object. Its timestamps do not: another machine's clock wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// `metadata.uid`: tells a lease made anew from the one seen before.
    pub uid: String,
    /// `metadata.resourceVersion`: any change to it is a sign of life of the holder.
    pub version: String,
    /// `spec.holderIdentity`; `None` after a release.
    pub holder: Option<String>,
    /// `spec.leaseDurationSeconds` in milliseconds; 0 if absent.
    pub duration: u64,
}

/// One contender for the lease, as far as it knows.
///
/// A lease *made anew* under our own name counts only after a whole lease duration: whoever led under the deleted
/// object cannot know yet that it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    /// The lease as last read or written, and since when it is unchanged.
    seen: Option<(Lease, Mono)>,
    /// The last read or write did not end well: look before writing again.
    stale: bool,
    /// When the write under way was sent.
    writing: Option<Mono>,
    /// When the last confirmed write in our name was sent.
    renewed: Option<Mono>,
    /// No leading before this instant: the end of a new lease's probation.
    probation: Mono,
    /// On the way out, with so many attempts left to release.
    leaving: Option<u8>,
}

/// While a candidate leads: `from <= now < until`. Empty for one who does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Term {
    /// The first instant of it.
    pub from: Mono,
    /// The first instant after it.
    pub until: Mono,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// When it was noticed here.
    pub now: Mono,
    /// A random number; it spreads the candidates' retries.
    pub dice: u64,
    /// What happened.
    pub input: Input,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The start, or the end of a wait.
    Woke,
    /// What came of the call under way.
    Answered(Answer),
    /// Every guarded act has ended and none will begin: give the lease back.
    Leave,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The lease as read, or as it is after our write.
    Lease(Lease),
    /// A read found no lease.
    Absent,
    /// A write was certainly not carried out: 409, or 404 on an update.
    Refused,
    /// Anything else, a deadline above all: a write may or may not have happened, or may yet happen.
    Unknown,
}

/// What to do next. Its outcome is the next event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Read the lease.
    Read,
    /// Create the lease in our name.
    Create,
    /// Replace the lease if it is still at `version`.
    Replace {
        /// The version read.
        version: String,
        /// The holder to write; `None` releases.
        holder: Option<String>,
    },
    /// Wait so many milliseconds.
    Wait(u64),
    /// Nothing more, ever.
    Done,
}

/// Takes a candidate from one event to its next deed.
#[must_use]
pub fn step(candidate: Candidate, event: Event) -> (Candidate, Effect) {
    let Event { now, dice, input } = event;
    let mut next = candidate;
    let effect = match input {
        Input::Woke => next.wake(now),
        Input::Leave => next.leave(now),
        Input::Answered(answer) => next.hear(answer, now, dice),
    };
    (next, effect)
}

// === impl Term ===

impl Term {
    /// Whether `now` lies in it.
    #[must_use]
    pub const fn contains(self, now: Mono) -> bool {
        self.from.0 <= now.0 && now.0 < self.until.0
    }
}

// === impl Candidate ===

impl Candidate {
    /// A candidate that has seen nothing yet.
    ///
    /// `identity` must belong to this run of the process alone: a name that a restarted container gets again would
    /// let it take its own former lease for a running one.
    #[must_use]
    pub fn new(identity: impl Into<String>, timing: Timing) -> Self {
        Self {
            identity: identity.into(),
            timing,
            seen: None,
            stale: true,
            writing: None,
            renewed: None,
            probation: Mono(0),
            leaving: None,
        }
    }

    /// When it leads, as far as it knows now.
    #[must_use]
    pub fn term(&self) -> Term {
        match self.renewed {
            Some(sent) if self.leaving.is_none() => {
                Term { from: sent.max(self.probation), until: sent.plus(self.timing.renew_deadline) }
            }
            _ => Term::default(),
        }
    }

    fn wake(&mut self, now: Mono) -> Effect {
        match &self.seen {
            // A leader writes without reading first: the version does the check.
            Some((lease, _)) if !self.stale && self.owns(lease) => self.claim(now),
            _ => Effect::Read,
        }
    }

    fn leave(&mut self, now: Mono) -> Effect {
        self.leaving = Some(RELEASE_ATTEMPTS);
        self.release(now)
    }

    fn hear(&mut self, answer: Answer, now: Mono, dice: u64) -> Effect {
        let writing = self.writing.take();
        self.stale = !matches!(answer, Answer::Lease(_));
        match answer {
            Answer::Lease(lease) => {
                self.observe(lease, now);
                if let Some(sent) = writing
                    && self.holds()
                {
                    self.renewed = Some(sent);
                }
                match (self.leaving, writing) {
                    (Some(_), _) => self.release(now),
                    (None, Some(_)) => self.pause(dice),
                    (None, None) => self.contend(now, dice),
                }
            }
            Answer::Absent if self.leaving.is_some() => Effect::Done,
            Answer::Absent => {
                self.seen = None;
                self.writing = Some(now);
                Effect::Create
            }
            Answer::Refused | Answer::Unknown if self.leaving.is_some() => self.release(now),
            Answer::Refused | Answer::Unknown => self.pause(dice),
        }
    }

    /// Files a lease. One that names us under a uid that we never saw in other hands is one that we made.
    fn observe(&mut self, lease: Lease, now: Mono) {
        let known = self.seen.as_ref().is_some_and(|(seen, _)| seen.uid == lease.uid);
        if self.owns(&lease) && !known {
            self.probation = now.plus(self.timing.lease);
        }
        match &self.seen {
            Some((seen, _)) if *seen == lease => {}
            _ => self.seen = Some((lease, now)),
        }
    }

    /// What to do about a lease just read.
    fn contend(&mut self, now: Mono, dice: u64) -> Effect {
        let Some((lease, since)) = &self.seen else { return Effect::Read };
        if lease.holder.is_none() || self.owns(lease) {
            return self.claim(now);
        }
        let patience = lease.duration.min(LONGEST_LEASE).max(self.timing.lease);
        match patience.saturating_sub(now.since(*since)) {
            0 => self.claim(now),
            left => Effect::Wait(left.min(self.breather(dice))),
        }
    }

    fn claim(&mut self, now: Mono) -> Effect {
        self.replace(now, Some(self.identity.clone()))
    }

    /// Gives the lease back, if it is ours to give: whoever finds it free leads at once, so a lease under probation
    /// is left to run out.
    fn release(&mut self, now: Mono) -> Effect {
        match self.leaving {
            Some(left) if left > 0 && self.renewed.is_some() && self.probation <= now => {
                self.leaving = Some(left - 1);
                match (self.stale, self.holds()) {
                    (true, _) => Effect::Read,
                    (false, true) => self.replace(now, None),
                    (false, false) => Effect::Done,
                }
            }
            _ => Effect::Done,
        }
    }

    fn replace(&mut self, now: Mono, holder: Option<String>) -> Effect {
        let Some((lease, _)) = &self.seen else { return Effect::Read };
        self.writing = Some(now);
        Effect::Replace { version: lease.version.clone(), holder }
    }

    fn holds(&self) -> bool {
        self.seen.as_ref().is_some_and(|(lease, _)| self.owns(lease))
    }

    fn owns(&self, lease: &Lease) -> bool {
        lease.holder.as_deref() == Some(self.identity.as_str())
    }

    fn pause(&self, dice: u64) -> Effect {
        Effect::Wait(self.breather(dice))
    }

    /// The retry period and up to a quarter more, so that candidates do not march in step.
    fn breather(&self, dice: u64) -> u64 {
        self.timing.retry + dice % (self.timing.retry / 4 + 1)
    }
}
