//! What stands between a restart and a page: a job of the owner's.

use super::{and, ask, step_of};
use crate::{
    api::{SeatStep, policy::Severity},
    plan::{
        CronJobFacts::{self, Absent, Busy, Forbidden, RunsByItself},
        Guard, Step,
        ledger::{self, Ask, Claim},
        testing::*,
    },
    signal::{Server, Signal},
};

#[test]
fn it_comes_when_restarts_are_used_up_and_before_a_person_is_called() {
    assert_eq!(step_of(&facts().job()), Some(Step::Restart));
    let tried = facts().job().restarted(2, MINUTE);
    assert_eq!(step_of(&tried), Some(Step::Job), "it does not rest after the last restart: that has failed");
    let ran = tried.clone().record(|record| (record.jobs, record.last_at) = (1, server_ago(MINUTE)));
    assert_eq!(step_of(&ran), Some(Step::Page));
    let alone = facts().job().with(|given| given.policy.ladder.restart = None);
    assert_eq!(step_of(&alone), Some(Step::Job));
    let unverified = facts().job().restarted(1, MINUTE).record(|record| record.exhausted = true);
    assert_eq!(step_of(&unverified), Some(Step::Page), "nobody knows what the last step did");
}

#[test]
fn it_rests_longer_each_time() {
    let ran = |jobs, ago| {
        facts()
            .job()
            .with(|given| {
                given.policy.ladder.restart = None;
                given.policy.ladder.job.as_mut().unwrap().attempts = 4;
            })
            .record(|record| (record.jobs, record.last_at) = (jobs, server_ago(ago)))
    };
    for (jobs, hours) in [(1, 1), (2, 2), (3, 4)] {
        assert_eq!(ran(jobs, hours * HOUR - 1).holding(Step::Job), [Guard::Cooldown]);
        assert_eq!(ran(jobs, hours * HOUR).holding(Step::Job), []);
    }
    assert!(ran(4, 10 * HOUR).holding(Step::Job).contains(&Guard::Exhausted));
}

#[test]
fn it_may_mend_what_no_restart_mends() {
    for signal in [Signal::AppHash, Signal::FatalExit, Signal::DiskUsedRatio] {
        assert_eq!(step_of(&and(facts().job(), signal)), Some(Step::Job), "{signal:?}");
    }
    let crashes = facts().job().pod(|pod| pod.crash_loop = true);
    assert_eq!(step_of(&crashes), Some(Step::Job));
    // Another chain is for a person to look at.
    let forked = facts().job().with(|given| {
        given.target.verdict.findings[0].severity = Severity::Quarantine;
    });
    assert_eq!(step_of(&forked), Some(Step::Page));
}

#[test]
fn what_cannot_be_run_gives_way_to_a_person() {
    let found = |cron_job| {
        facts().job().with(|given| {
            given.policy.ladder.restart = None;
            given.live.cron_job = cron_job;
        })
    };
    for cron_job in [CronJobFacts::Unread, CronJobFacts::Ready("c1/1".into())] {
        assert_eq!(step_of(&found(cron_job)), Some(Step::Job));
    }
    for cron_job in [Absent, Busy, Forbidden, RunsByItself] {
        assert_eq!(found(cron_job.clone()).holding(Step::Job), [Guard::CronJob]);
        assert_eq!(step_of(&found(cron_job.clone())), Some(Step::Page));
        let told = found(cron_job).record(|record| (record.paged, record.last_at) = (true, server_ago(MINUTE)));
        assert_eq!(told.refusal().guard, Guard::CronJob, "and it is run as soon as it can be");
    }
}

#[test]
fn it_takes_a_seat_and_the_budget_and_gives_them_back() {
    let given = facts().job();
    let taken = ledger::take(&given.ledger, &ask(&given, Step::Job, "r1", 1)).unwrap();
    assert_eq!((taken.seats[0].step, taken.slots[0].jobs, taken.slots[0].restarts), (SeatStep::Job, 1, 0));
    assert_eq!(taken.actions.len(), 1);
    assert_eq!(ledger::take(&taken, &ask(&given, Step::Job, "r1", 1)).unwrap(), taken, "asked twice, taken once");
    let another = Ask { slot: "gaia-1", ..ask(&given, Step::Job, "r2", 1) };
    assert_eq!(ledger::take(&taken, &another).unwrap_err().guard, Guard::MaxConcurrent);
    let asked = ask(&given, Step::Job, "r1", 1);
    let undone = ledger::release(&taken, &asked.claim(), false, false);
    assert_eq!((undone.seats.len(), undone.actions.len(), undone.slots[0].jobs), (0, 0, 0));
    let done =
        ledger::release(&taken, &Claim { acted_at: Some(Server(SERVER + 5)), ..asked.claim() }, true, false);
    assert_eq!((done.seats.len(), done.actions[0].at, done.slots[0].jobs), (0, SERVER + 5, 1));
    assert_eq!(ledger::take(&done, &ask(&given, Step::Job, "r2", 2)).unwrap_err().guard, Guard::Exhausted);
    assert_eq!(Claim::of(&taken.seats[0]).step, Step::Job);
}
