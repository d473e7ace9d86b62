//! A launcher's part: it starts a signer that has no window, and kills it when its hold ends. The only place where time
//! keeps two signers apart, so it is accepted only together with proof from the kubelet or the platform. Its own word needs
//! neither: a launcher that has seen its command end says so, and that is a seal.

use crate::failover::{Boot, HandOver, Held, Holder, Phase, Record};

use super::Me;

/// One process of a launcher.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Launcher {
    /// Who it is.
    pub me: Me,
    /// What it keeps. A record that hands over anything else is none of its business: what keeps two of another kind apart, a
    /// silence or a memory that travels, is not what it does.
    pub keeps: Held,
    /// Until when its command may run, by its own monotonic clock (milliseconds).
    pub until: Option<u64>,
    /// Whether its command runs, for all that it knows: true from before it is started until it has been seen to end.
    pub runs: bool,
    /// Whether it never starts it again.
    pub over: bool,
}

/// Whether a hold lasts at this instant. Once it does not, the command is killed.
#[must_use]
pub const fn lasts(until: u64, now: u64) -> bool {
    now < until
}

impl Launcher {
    /// A process that has just started, and keeps this.
    #[must_use]
    pub const fn new(me: Me, keeps: Held) -> Self {
        Self { me, keeps, until: None, runs: false, over: false }
    }

    /// Whether its command may run at this instant of its own monotonic clock. Once it may not, it is killed.
    #[must_use]
    pub fn may_run(&self, now: u64) -> bool {
        !self.over && self.until.is_some_and(|until| lasts(until, now))
    }

    /// It starts nothing any more: it was told to end, or its command has ended by itself.
    #[must_use]
    pub fn retired(&self) -> Self {
        Self { over: true, ..self.clone() }
    }

    /// Whether another process of this very pod has the place and has not sealed. That one is dead, for a container runs one; but what
    /// it started may live, and only the end of the pod proves that it does not.
    #[must_use]
    pub fn is_lost(&self, record: &Record) -> bool {
        let kept = matches!(record.hand_over, HandOver::Launcher(kept, _) if kept == self.keeps);
        let another = |holder: &Holder| {
            holder.pod.uid == self.me.pod.uid && holder.boot.is_some_and(|boot| boot != self.me.boot)
        };
        kept && record.sealed.is_none() && record.holder().is_some_and(another)
    }

    /// A quorum read showed the record; the question was sent at this instant of its own monotonic clock. It returns what it
    /// wants the record to say: a place that nobody has claimed is claimed, and one that another process had is not, for
    /// nobody can say when that one's command ends. A place that it has lost or gives up is sealed, and never before its
    /// command was seen to end.
    #[must_use]
    pub fn seen(&self, record: &Record, sent: u64) -> (Self, Option<Record>) {
        let mut next = self.clone();
        next.until = None;
        let here = record.holder().filter(|holder| holder.pod.uid == self.me.pod.uid);
        let (HandOver::Launcher(kept, timing), Some(holder), None) = (record.hand_over, here, record.sealed)
        else {
            return (next, None);
        };
        if kept != self.keeps {
            return (next, None);
        }
        let may_hold = matches!(record.phase, Phase::Active(_)) && record.shut.is_none() && !self.over;
        match holder.boot {
            Some(boot) if boot == self.me.boot && may_hold => {
                let until = timing.ends(sent);
                next.until = Some(self.until.map_or(until, |already| already.max(until)));
                (next, None)
            }
            Some(boot) if boot == self.me.boot && !self.runs => {
                next.over = true;
                (next, Some(Record { sealed: Some(record.bound()), ..record.clone() }))
            }
            None if may_hold => (next, Some(claim(record, holder, self.me.boot))),
            Some(_) | None => (next, None),
        }
    }
}

fn claim(record: &Record, holder: &Holder, boot: Boot) -> Record {
    let mut claim = record.clone();
    claim.phase = Phase::Active(Holder { boot: Some(boot), ..holder.clone() });
    claim.claims = claim.claims.saturating_add(1);
    claim
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::failover::{Activation, Epoch, Event, Height, Pod, Shut, Timing, step};

    const TIMING: Timing = Timing { hold: 100, drift: 0, margin: 0 };

    fn process(uid: &str, boot: u128) -> Launcher {
        let pod = Pod { member: "a".into(), uid: uid.into(), node: "n".into() };
        Launcher::new(Me { pod: Arc::new(pod), boot: Boot(boot) }, Held::Command)
    }

    fn offered() -> Record {
        let offer = Event::Offered {
            pod: process("u", 0).me.pod,
            activation: Activation(1),
            hand_over: HandOver::Launcher(Held::Command, TIMING),
        };
        step(&Record::adopted(Epoch(0), Activation(0), Height(10)), offer).0
    }

    /// It runs its command, and the record says so.
    fn running() -> (Launcher, Record) {
        let (launcher, claim) = process("u", 1).seen(&offered(), 0);
        let record = claim.expect("a claim");
        let (mut launcher, wish) = launcher.seen(&record, 5);
        assert_eq!((launcher.until, wish), (Some(105), None));
        launcher.runs = true;
        (launcher, record)
    }

    #[test]
    fn it_runs_until_a_hold_after_the_question_and_no_longer() {
        let (launcher, record) = running();
        assert!(launcher.may_run(104) && !launcher.may_run(105));
        let (launcher, _) = launcher.seen(&record, 3);
        assert_eq!(launcher.until, Some(105), "an answer that comes late shortens nothing");
    }

    #[test]
    fn a_place_that_another_process_has_is_not_its_own() {
        let (_, record) = running();
        for other in [process("u", 2), process("twin", 1)] {
            let (other, wish) = other.seen(&record, 0);
            assert!(!other.may_run(0) && wish.is_none());
        }
    }

    #[test]
    fn a_pod_whose_process_was_replaced_is_lost_until_it_is_proven() {
        let (launcher, record) = running();
        assert!(!launcher.is_lost(&record) && !process("twin", 2).is_lost(&record));
        assert!(!process("u", 2).is_lost(&offered()), "nobody has claimed it");
        assert!(process("u", 2).is_lost(&record));
        let (revoking, _) = step(&record, Event::Wanted { epoch: Epoch(1) });
        assert!(process("u", 2).is_lost(&revoking));
        assert!(!process("u", 2).is_lost(&Record { sealed: Some(Height(10)), ..revoking }));
    }

    /// A key manager's silence, and a tower that travels, are not what a command's launcher waits for; nor the other way round.
    #[test]
    fn what_is_handed_over_in_another_way_is_neither_claimed_nor_run() {
        let kinds = [Held::Command, Held::Key, Held::Identity];
        for (own, other) in kinds.iter().flat_map(|own| kinds.iter().map(move |other| (*own, *other))) {
            let offered = Record { hand_over: HandOver::Launcher(other, TIMING), ..offered() };
            let launcher = Launcher::new(process("u", 1).me, own);
            let (_, wish) = launcher.seen(&offered, 0);
            assert_eq!(wish.is_some(), own == other, "{own:?} of {other:?}");
            // Nor is it run where it somehow has the place.
            let claimed = claim(&offered, offered.holder().unwrap(), Boot(1));
            assert_eq!(launcher.seen(&claimed, 0).0.may_run(0), own == other, "{own:?} of {other:?}");
        }
    }

    #[test]
    fn it_seals_once_its_command_has_ended_and_not_before() {
        let (launcher, record) = running();
        let (revoking, _) = step(&record, Event::Wanted { epoch: Epoch(1) });
        let (mut launcher, wish) = launcher.seen(&revoking, 50);
        assert!(!launcher.may_run(50) && wish.is_none(), "it runs still");
        launcher.runs = false;
        let (launcher, wish) = launcher.seen(&revoking, 60);
        let sealed = wish.expect("a seal");
        assert_eq!((sealed.sealed, &sealed.phase), (Some(Height(10)), &revoking.phase));
        assert_eq!(launcher.seen(&sealed, 70).1, None);
        assert!(!launcher.seen(&record, 80).0.may_run(80), "whatever it is shown afterwards");
    }

    #[test]
    fn a_hold_that_has_ended_by_itself_may_come_back_and_one_that_was_given_up_may_not() {
        let (mut launcher, record) = running();
        launcher.runs = false;
        assert!(launcher.seen(&record, 500).0.may_run(599));
        let (launcher, wish) = launcher.retired().seen(&record, 500);
        assert!(!launcher.may_run(500) && wish.is_some_and(|record| record.sealed.is_some()));
        assert_eq!(process("u", 3).retired().seen(&offered(), 0).1, None, "nor is a place claimed");
    }

    #[test]
    fn a_punished_key_runs_nowhere() {
        let (launcher, record) = running();
        let (shut, _) = step(&record, Event::Shut(Shut::Punished));
        assert!(!launcher.seen(&shut, 50).0.may_run(50));
    }
}
