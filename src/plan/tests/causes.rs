//! What no restart mends: it is never restarted, and a person is called.

use super::and;
use crate::{
    plan::{Decision, Guard, Place, ServiceFacts, Services, Step, testing::*},
    signal::Signal,
};

/// The stalled node of `facts`, with one more rule that fires as a warning.

#[test]
fn what_no_restart_mends_is_not_restarted() {
    for signal in [
        Signal::DiskUsedRatio,
        Signal::ClockOffset,
        Signal::WalletBalance,
        Signal::WalletRunway,
        Signal::ClientExpiry,
        Signal::Jailed,
        Signal::Tombstoned,
        Signal::SignerAnswers,
        Signal::FatalExit,
        Signal::BlockHash,
        Signal::AppHash,
    ] {
        let held = and(facts(), signal).is_held_by(Guard::Cause);
        assert!(held.why.contains("no restart mends that"), "{signal:?}: {}", held.why);
        assert!(Guard::Cause.needs_a_person());
    }
}

#[test]
fn what_a_restart_may_mend_is_restarted_whatever_else_is_told() {
    for signal in [Signal::Peers, Signal::RpcLatency, Signal::Reachable, Signal::MemoryUsedRatio, Signal::HeadLag]
    {
        and(facts(), signal).is_restarted();
    }
    let breaching =
        and(facts(), Signal::DiskUsedRatio).with(|given| given.target.verdict.findings[1].firing = false);
    breaching.is_restarted();
}

#[test]
fn it_is_taken_out_of_its_services_all_the_same() {
    let given = and(facts(), Signal::DiskUsedRatio).pod(|pod| {
        pod.rotation.place = Place::In;
        pod.rotation.since = 3_600_000;
        pod.rotation.services = Services::Read(vec![ServiceFacts { name: "rpc".into(), serves: true, others: 2 }]);
    });
    let Decision::Proposed(proposal) = given.decide() else { panic!("{:?}", given.decide()) };
    assert_eq!(proposal.step, Step::Reroute);
}
