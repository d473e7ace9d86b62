//! A launcher's part: it starts a signer that has no window, and kills it when its hold ends. The only place where time
//! keeps two signers apart, so it is accepted only together with proof from the kubelet or the platform.

use crate::failover::{HandOver, Phase, Record};

use super::Me;

/// One process of a launcher.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Launcher {
    /// Who it is.
    pub me: Me,
    /// Until when its command may run, by its own monotonic clock (milliseconds).
    pub until: Option<u64>,
}

impl Launcher {
    /// A process that has just started.
    #[must_use]
    pub const fn new(me: Me) -> Self {
        Self { me, until: None }
    }

    /// Whether its command may run at this instant of its own monotonic clock. Once it may not, it is killed.
    #[must_use]
    pub fn may_run(&self, now: u64) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// A quorum read showed the record; the question was sent at this instant of its own monotonic clock. It returns what it
    /// wants the record to say: a place that nobody has claimed is claimed, and one that another process had is not, for
    /// nobody can say when that one's command ends.
    #[must_use]
    pub fn seen(&self, record: &Record, sent: u64) -> (Self, Option<Record>) {
        let mut next = self.clone();
        let (HandOver::Launcher(timing), Phase::Active(holder)) = (record.hand_over, &record.phase) else {
            next.until = None;
            return (next, None);
        };
        let here = holder.pod.uid == self.me.pod.uid && !record.slashed && record.sealed.is_none();
        if here && holder.boot == Some(self.me.boot) {
            let until = timing.ends(sent);
            next.until = Some(self.until.map_or(until, |already| already.max(until)));
            return (next, None);
        }
        next.until = None;
        if !here || holder.boot.is_some() {
            return (next, None);
        }
        let mut claim = record.clone();
        let mut holder = holder.clone();
        holder.boot = Some(self.me.boot);
        claim.phase = Phase::Active(holder);
        claim.claims = claim.claims.saturating_add(1);
        (next, Some(claim))
    }
}
