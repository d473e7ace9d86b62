//! Which guards each step has, in the order in which they are asked.

use super::{Facts, Guard, Step, failover, guard::Held, guards, job, ladder, rotation, vantage};

/// One guard's question.
pub(super) type Question = fn(&Facts<'_>) -> Option<Held>;

type Questions = &'static [(Guard, Question)];

/// What is asked before a step.
pub(super) const fn asked(step: Step) -> Questions {
    match step {
        Step::Reroute => REROUTE,
        Step::Rejoin => REJOIN,
        Step::Restart => RESTART,
        Step::Job => JOB,
        Step::Failover => FAILOVER,
        Step::Page => PAGE,
    }
}

/// Nobody is disturbed by it, so that it may be done to a young pod, to one that catches up, and around a
/// rollout; but what is not known for certain must not empty a Service.
const REROUTE: Questions = &[
    (Guard::EmergencyStop, guards::emergency_stop),
    (Guard::OldSchema, guards::old_schema),
    (Guard::Conflict, guards::conflict),
    (Guard::Mode, guards::mode),
    (Guard::Approval, guards::approval),
    (Guard::Paused, guards::paused),
    (Guard::NeverTouched, guards::never_touched),
    (Guard::Moved, guards::moved),
    (Guard::TelemetryLost, guards::telemetry_lost),
    (Guard::Upgrading, guards::upgrading),
    (Guard::Diverged, guards::diverged),
    (Guard::NetworkStalled, guards::network_stalled),
    (Guard::Evidence, guards::evidence),
    (Guard::Unconfirmed, vantage::unconfirmed),
    (Guard::StaleCache, guards::stale_cache),
    (Guard::Rotation, rotation::may_leave),
    (Guard::Exhausted, rotation::exhausted),
    (Guard::MaxConcurrent, rotation::one_at_a_time),
];

/// The way back is what everybody waits for. A pause begins nothing new, and this ends something.
const REJOIN: Questions = &[
    (Guard::EmergencyStop, guards::emergency_stop),
    (Guard::OldSchema, guards::old_schema),
    (Guard::Conflict, guards::conflict),
    (Guard::Mode, guards::mode),
    (Guard::NeverTouched, guards::never_touched),
    (Guard::Moved, guards::moved),
    (Guard::Evidence, rotation::is_well),
    (Guard::StaleCache, guards::stale_cache),
    (Guard::Rotation, rotation::may_return),
    (Guard::MaxConcurrent, rotation::one_at_a_time),
];

const RESTART: Questions = &[
    (Guard::EmergencyStop, guards::emergency_stop),
    (Guard::OldSchema, guards::old_schema),
    (Guard::Conflict, guards::conflict),
    (Guard::Mode, guards::mode),
    (Guard::Approval, guards::approval),
    (Guard::Paused, guards::paused),
    (Guard::NeverTouched, guards::never_touched),
    (Guard::Moved, guards::moved),
    (Guard::Rollout, guards::rollout),
    (Guard::NodeUnfit, guards::node_unfit),
    (Guard::CrashLoop, guards::crash_loop),
    (Guard::Cause, guards::cause),
    (Guard::Window, guards::window),
    (Guard::TelemetryLost, guards::telemetry_lost),
    (Guard::Correlated, guards::correlated),
    (Guard::Growth, guards::growth),
    (Guard::Dependency, guards::dependency),
    (Guard::Upgrading, guards::upgrading),
    (Guard::Diverged, guards::diverged),
    (Guard::NetworkStalled, guards::network_stalled),
    (Guard::Evidence, guards::evidence),
    (Guard::Unconfirmed, vantage::unconfirmed),
    (Guard::StaleCache, guards::stale_cache),
    (Guard::WarmUp, guards::warm_up),
    (Guard::Progress, guards::progress),
    (Guard::Rerouted, rotation::settling),
    (Guard::Exhausted, |facts| ladder::exhausted(facts, Step::Restart)),
    (Guard::Cooldown, |facts| ladder::cooldown(facts, Step::Restart)),
    (Guard::Budget, guards::budget),
    (Guard::Storm, guards::storm),
    (Guard::MinHealthy, guards::min_healthy),
    (Guard::MaxConcurrent, guards::max_concurrent),
];

/// What its owner has written for a node that nothing gentler helps: one that crashes again and again, or whose
/// data are of no use, among them.
const JOB: Questions = &[
    (Guard::EmergencyStop, guards::emergency_stop),
    (Guard::OldSchema, guards::old_schema),
    (Guard::Conflict, guards::conflict),
    (Guard::Mode, guards::mode),
    (Guard::Approval, guards::approval),
    (Guard::Paused, guards::paused),
    (Guard::NeverTouched, guards::never_touched),
    (Guard::Moved, guards::moved),
    (Guard::Rollout, guards::rollout),
    (Guard::NodeUnfit, guards::node_unfit),
    (Guard::CronJob, job::runnable),
    (Guard::Window, guards::window),
    (Guard::TelemetryLost, guards::telemetry_lost),
    (Guard::Correlated, guards::correlated),
    (Guard::Growth, guards::growth),
    (Guard::Dependency, guards::dependency),
    (Guard::Upgrading, guards::upgrading),
    (Guard::Diverged, guards::diverged),
    (Guard::NetworkStalled, guards::network_stalled),
    (Guard::Evidence, guards::evidence),
    (Guard::Unconfirmed, vantage::unconfirmed),
    (Guard::StaleCache, guards::stale_cache),
    (Guard::WarmUp, guards::warm_up),
    (Guard::Progress, guards::progress),
    (Guard::Rerouted, rotation::settling),
    (Guard::Exhausted, |facts| ladder::exhausted(facts, Step::Job)),
    (Guard::Cooldown, |facts| ladder::cooldown(facts, Step::Job)),
    (Guard::Budget, guards::budget),
    (Guard::Storm, guards::storm),
    (Guard::MinHealthy, guards::min_healthy),
    (Guard::MaxConcurrent, guards::max_concurrent),
];

/// It touches no pod. So what says that a pod is better left alone does not hold it (a rollout, a lost node, few others
/// that are well), and what is ill on one node or in one zone is all the more reason to sign elsewhere. A pod that has just
/// started is waited for: a start that is broken off by a switch costs more than it brings.
const FAILOVER: Questions = &[
    (Guard::EmergencyStop, guards::emergency_stop),
    (Guard::OldSchema, guards::old_schema),
    (Guard::Conflict, guards::conflict),
    (Guard::Mode, guards::mode),
    (Guard::Approval, guards::approval),
    (Guard::Paused, guards::paused),
    (Guard::NeverTouched, guards::never_touched),
    (Guard::Moved, failover::moved),
    (Guard::Cause, failover::cause),
    (Guard::Window, guards::window),
    (Guard::TelemetryLost, guards::telemetry_lost),
    (Guard::Growth, guards::growth),
    (Guard::Upgrading, guards::upgrading),
    (Guard::Diverged, guards::diverged),
    (Guard::NetworkStalled, guards::network_stalled),
    (Guard::Evidence, guards::evidence),
    (Guard::Unconfirmed, vantage::unconfirmed),
    (Guard::StaleCache, guards::stale_cache),
    (Guard::WarmUp, guards::warm_up),
    (Guard::Failover, failover::helps),
    (Guard::Exhausted, |facts| ladder::exhausted(facts, Step::Failover)),
    (Guard::Cooldown, |facts| ladder::cooldown(facts, Step::Failover)),
    (Guard::Budget, guards::budget),
    (Guard::Storm, guards::storm),
    (Guard::MaxConcurrent, guards::max_concurrent),
];

/// A page disturbs nobody but a person: it needs the mode, a verdict, and to be the only one who says so.
const PAGE: Questions = &[
    (Guard::OldSchema, guards::old_schema),
    (Guard::Conflict, guards::conflict),
    (Guard::Mode, guards::mode),
    (Guard::Evidence, guards::evidence),
    (Guard::Rerouted, rotation::settling),
    (Guard::Cooldown, ladder::only_written_down),
];
