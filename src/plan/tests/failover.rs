//! Letting another sign: when it has its turn, what it would not help, and what holds it.

use super::{and, ask, step_of};
use crate::{
    api::{SeatStep, policy::Severity},
    plan::{
        Decision,
        GroupFacts::{
            self, Absent, Forbidden, Foreign, Moving, NoRecord, NoStandby, NotHolder, Ready, Shut, Unreadable,
        },
        Guard, NodeFacts, Step, WorkloadFacts,
        ledger::{self, Ask, Claim},
        record::{Record, Replay},
        testing::*,
    },
    signal::{Server, Signal},
};

fn ready() -> GroupFacts {
    Ready { identity: "hub-1.k".into(), epoch: 4, automatic: true }
}

/// A validator that two members could run; its restarts are used up.
fn signs() -> Given {
    facts().failover().restarted(2, MINUTE).found(ready())
}

impl Given {
    fn found(mut self, group: GroupFacts) -> Self {
        self.live.group = group;
        self
    }

    fn switched(self, failovers: i32, millis_ago: u64) -> Self {
        self.record(|record| (record.failovers, record.last_at) = (failovers, server_ago(millis_ago)))
    }

    fn on_a_lost_node(mut self) -> Self {
        self.live.node = NodeFacts::Unfit("node worker-1 is not ready".into());
        self
    }
}

#[test]
fn it_comes_when_restarts_are_used_up_and_before_a_person_is_called() {
    assert_eq!(step_of(&facts().failover()), Some(Step::Restart));
    assert_eq!(
        step_of(&signs()),
        Some(Step::Failover),
        "it does not rest after the last restart: that has failed"
    );
    assert_eq!(step_of(&signs().found(GroupFacts::Unread)), Some(Step::Failover), "a cache knows no groups");
    assert_eq!(step_of(&signs().switched(1, MINUTE)), Some(Step::Page));
    assert_eq!(step_of(&signs().record(|record| record.exhausted = true)), Some(Step::Page));
}

#[test]
fn what_no_restart_mends_may_be_no_matter_where_another_signs() {
    let fresh = || facts().failover().found(ready());
    for signal in [Signal::DiskUsedRatio, Signal::FatalExit, Signal::ClockOffset, Signal::SignerAnswers] {
        assert_eq!(step_of(&and(fresh(), signal)), Some(Step::Failover), "{signal:?}");
    }
    assert_eq!(step_of(&fresh().pod(|pod| pod.crash_loop = true)), Some(Step::Failover));
}

#[test]
fn what_is_wrong_with_the_key_or_the_chain_is_for_a_person() {
    let fresh = || facts().failover().found(ready());
    for signal in [Signal::Jailed, Signal::Tombstoned, Signal::BlockHash, Signal::AppHash] {
        let given = and(fresh(), signal);
        assert_eq!(given.holding(Step::Failover), [Guard::Cause], "{signal:?}");
        assert_eq!(step_of(&given), Some(Step::Page), "{signal:?}");
    }
    let forked = signs().with(|given| given.target.verdict.findings[0].severity = Severity::Quarantine);
    assert_eq!(step_of(&forked), Some(Step::Page), "it may be the one that is right");
}

#[test]
fn what_would_not_help_gives_way_to_a_person_who_is_called_once() {
    let groups = [
        Absent,
        Forbidden,
        Foreign("SigningIdentity hub-1.k is for cosmos/other".into()),
        NoRecord,
        Unreadable("status.floor: is negative".into()),
        Shut("the chain has punished this key".into()),
        Moving("SigningOrder x of ann is not over".into()),
        NotHolder("b".into()),
        NoStandby,
        Ready { identity: "hub-1.k".into(), epoch: 4, automatic: false },
    ];
    for group in groups {
        let given = signs().found(group.clone());
        assert_eq!(given.holding(Step::Failover), [Guard::Failover], "{group:?}");
        assert_eq!(step_of(&given), Some(Step::Page), "{group:?}");
        let told = given.record(|record| record.paged = true);
        for _ in 0..3 {
            let refusal = told.refusal();
            assert_eq!((refusal.step, refusal.guard), (Some(Step::Failover), Guard::Failover), "{group:?}");
        }
    }
}

#[test]
fn a_person_may_ask_where_it_is_not_automatic_and_for_nothing_else_that_is_refused() {
    let by_hand = |group| signs().found(group).by_hand().holding(Step::Failover);
    assert_eq!(by_hand(Ready { identity: "hub-1.k".into(), epoch: 4, automatic: false }), []);
    assert_eq!(by_hand(NotHolder("b".into())), [Guard::Failover]);
    assert_eq!(by_hand(Shut(String::new())), [Guard::Failover]);
    assert_eq!(
        signs().by_hand().with(|given| given.chain.split = true).holding(Step::Failover),
        [Guard::Diverged],
        "a request bypasses no guard"
    );
}

/// The pod of a `StatefulSet` on a lost node is neither restarted nor gone: it is being deleted, for ever.
#[test]
fn a_lost_node_is_the_very_case() {
    let fresh = || facts().failover().found(ready()).on_a_lost_node();
    assert_eq!(step_of(&fresh()), Some(Step::Failover));
    assert_eq!(step_of(&fresh().pod(|pod| pod.terminating = true)), Some(Step::Failover));
    let ends = facts().failover().found(ready()).pod(|pod| pod.terminating = true);
    assert_eq!(ends.holding(Step::Failover), [Guard::Moved], "one that ends in good order seals by itself");
    // The cache knows no nodes.
    let cached = facts().failover().pod(|pod| pod.terminating = true);
    assert_eq!(step_of(&cached), Some(Step::Failover));
    let twin = fresh().pod(|pod| pod.uid = "another".into());
    assert_eq!(twin.holding(Step::Failover), [Guard::Moved], "the twin of a deleted pod is the group's affair");
}

#[test]
fn a_standby_on_a_lost_node_is_waited_for_as_without_a_group() {
    let standby =
        |seconds| facts().failover().found(NotHolder("b".into())).on_a_lost_node().unhealthy_for(seconds);
    let refusal = standby(599).refusal();
    assert_eq!((refusal.step, refusal.guard), (Some(Step::Restart), Guard::NodeUnfit));
    assert_eq!(step_of(&standby(600)), Some(Step::Page));
}

/// A rollout that never ends, and a node or a zone on which everything is ill, hold the restart before it for ever.
#[test]
fn what_leaves_the_pod_alone_leaves_the_switch_its_turn() {
    let fresh = || facts().failover().found(ready());
    let rolling = || fresh().with(|given| given.live.workload = WorkloadFacts::RollingOut("0 of 1".into()));
    let on_one_node = || {
        let here = |given: &mut Given| {
            (given.fleet.unhealthy_here, given.fleet.unhealthy, given.fleet.well_elsewhere) = (2, 2, 1);
        };
        fresh().with(here)
    };
    let held = [
        (Guard::Rollout, rolling()),
        (Guard::Rollout, rolling().pod(|pod| pod.crash_loop = true)),
        (Guard::Correlated, on_one_node()),
    ];
    for (guard, given) in held {
        assert!(given.holding(Step::Restart).contains(&guard));
        assert_eq!(step_of(&given), Some(Step::Failover), "{guard:?}");
        let standby = given.found(NotHolder("b".into())).refusal();
        assert_eq!((standby.step, standby.guard), (Some(Step::Restart), guard), "it leads back");
    }
}

#[test]
fn what_is_better_for_a_pod_is_not_asked_for_a_switch() {
    let given = signs()
        .healthy_others(0)
        .on_a_lost_node()
        .with(|given| given.live.workload = WorkloadFacts::RollingOut("1 of 2".into()))
        .with(|given| (given.fleet.unhealthy_here, given.fleet.unhealthy, given.fleet.well_elsewhere) = (2, 2, 1));
    assert_eq!(given.holding(Step::Failover), []);
    let halted = signs().with(|given| given.chain.risen_at = ago(HOUR));
    assert_eq!(halted.holding(Step::Failover), [Guard::NetworkStalled], "nobody's fault");
    let young = signs().pod(|pod| pod.age = MINUTE);
    assert_eq!(young.holding(Step::Failover), [Guard::WarmUp]);
}

#[test]
fn it_rests_after_each_and_a_person_hears_when_it_is_held_for_long() {
    let twice =
        |ago| signs().with(|given| given.policy.ladder.failover.as_mut().unwrap().attempts = 2).switched(1, ago);
    assert_eq!(twice(HOUR - 1).holding(Step::Failover), [Guard::Cooldown]);
    assert_eq!(twice(HOUR).holding(Step::Failover), []);
    let broke = |seconds| signs().budget(&[(0, HOUR)]).unhealthy_for(seconds);
    assert_eq!(broke(599).refusal().guard, Guard::Budget);
    assert_eq!(step_of(&broke(600)), Some(Step::Page));
}

#[test]
fn it_takes_a_seat_and_the_budget_and_gives_them_back() {
    let given = signs();
    let taken = ledger::take(&given.ledger, &ask(&given, Step::Failover, "r1", 3)).unwrap();
    assert_eq!(
        (taken.seats[0].step, taken.slots[0].failovers, taken.slots[0].restarts),
        (SeatStep::Failover, 1, 2)
    );
    assert!(taken.seats[0].step.disrupts());
    assert_eq!(taken.actions.len(), 1);
    assert_eq!(
        ledger::take(&taken, &ask(&given, Step::Failover, "r1", 3)).unwrap(),
        taken,
        "asked twice, taken once"
    );
    let another = Ask { slot: "gaia-1", ..ask(&given, Step::Failover, "r2", 1) };
    assert_eq!(ledger::take(&taken, &another).unwrap_err().guard, Guard::MaxConcurrent);
    let restart = Ask { slot: "gaia-1", step: Step::Restart, ..ask(&given, Step::Failover, "r2", 1) };
    assert_eq!(ledger::take(&taken, &restart).unwrap_err().guard, Guard::MaxConcurrent);
    let asked = ask(&given, Step::Failover, "r1", 3);
    let undone = ledger::release(&taken, &asked.claim(), false, false);
    assert_eq!((undone.seats.len(), undone.actions.len(), undone.slots[0].failovers), (0, 0, 0));
    let done =
        ledger::release(&taken, &Claim { acted_at: Some(Server(SERVER + 5)), ..asked.claim() }, true, false);
    assert_eq!((done.seats.len(), done.actions[0].at, done.slots[0].failovers), (0, SERVER + 5, 1));
    assert_eq!(ledger::take(&done, &ask(&given, Step::Failover, "r2", 4)).unwrap_err().guard, Guard::Exhausted);
    assert_eq!(Claim::of(&taken.seats[0]).step, Step::Failover);
    let simulated = Ask { simulated: true, ..ask(&given, Step::Failover, "r1", 3) };
    let written = ledger::take(&given.ledger, &simulated).unwrap();
    let of = |ledger: &crate::api::NetworkLedgerSpec| {
        ledger.slots.iter().find(|record| record.simulated).unwrap().failovers
    };
    assert_eq!((written.seats.len(), of(&written)), (0, 1));
    assert_eq!(of(&ledger::release(&written, &simulated.claim(), false, false)), 0);
}

#[test]
fn it_can_be_decided_once_more() {
    let Decision::Proposed(proposal) = signs().decide() else { panic!("it is due") };
    let record: Record = serde_json::from_str(&proposal.record).unwrap();
    assert_eq!(record.replay(), Replay::Same);
}

/// The seats are others', and may be theirs one after another; a validator must not wait for them without anybody's knowledge.
#[test]
fn a_person_is_called_when_others_keep_the_seats_for_too_long() {
    // A restart is first, and may take ten minutes.
    let waits = |seconds| {
        let given = facts().failover().found(ready()).unhealthy_for(seconds);
        given.seat("cosmos", "policy-1", "gaia-1")
    };
    waits(599).is_held_by(Guard::MaxConcurrent);
    let late = waits(601);
    let Decision::Proposed(page) = late.decide() else { panic!("{:?}", late.decide()) };
    assert_eq!(page.step, Step::Page);
    assert!(page.evidence.contains("restart is held back by MaxConcurrent"), "{}", page.evidence);
    late.restarted(1, 10 * HOUR).record(|record| record.paged = true).is_held_by(Guard::MaxConcurrent);

    // Where a failover is next, the same; and elsewhere it is a queue like any other.
    let next = signs().unhealthy_for(601).seat("cosmos", "policy-1", "gaia-1");
    let Decision::Proposed(page) = next.decide() else { panic!("{:?}", next.decide()) };
    assert!(page.evidence.contains("failover is held back by MaxConcurrent"), "{}", page.evidence);
    facts().unhealthy_for(601).seat("cosmos", "policy-1", "gaia-1").is_held_by(Guard::MaxConcurrent);
}
