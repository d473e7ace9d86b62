//! PURE. What the kubelet says of a pod, as a poll. The watch itself belongs to the controller.

mod exits;

pub use exits::{Ending, fatal};

use super::text::excerpt;
use crate::signal::{Mono, Poll, Signal, Value};

/// The part of a pod's status that is telemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodHealth {
    /// The kubelet says that the pod is ready.
    pub ready: bool,
    /// Container restarts, summed over the pod's containers.
    pub restarts: u64,
    /// Why a container waits, such as `CrashLoopBackOff`; empty when none waits.
    pub waiting_reason: String,
    /// How the last container that ended did so, such as `Error (exit 1)`; empty when none did.
    pub last_exit: String,
    /// A restart after that is no help, and the pod has not become ready since.
    pub fatal: bool,
}

/// What the pod's status told, seen at `at`: a watch has no request, so it was asked when it was observed.
#[must_use]
pub fn poll(health: &PodHealth, at: Mono) -> Poll {
    let PodHealth { ready, restarts, waiting_reason, last_exit, fatal } = health;
    Poll {
        asked_at: at,
        observed_at: at,
        values: vec![
            (Signal::Ready, Ok(Value::Whole(u64::from(*ready)))),
            (Signal::Restarts, Ok(Value::Whole(*restarts))),
            (Signal::WaitingReason, Ok(Value::Text(excerpt(waiting_reason.as_bytes())))),
            (Signal::LastExit, Ok(Value::Text(excerpt(last_exit.as_bytes())))),
            (Signal::FatalExit, Ok(Value::Whole(u64::from(*fatal)))),
        ],
        ..Poll::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_is_told_in_full() {
        let health = PodHealth {
            ready: false,
            restarts: 7,
            waiting_reason: "CrashLoopBackOff".into(),
            last_exit: "Error (exit 1)".into(),
            fatal: false,
        };
        let poll = poll(&health, Mono(5));
        assert_eq!((poll.asked_at, poll.observed_at), (Mono(5), Mono(5)));
        assert_eq!(
            poll.values,
            vec![
                (Signal::Ready, Ok(Value::Whole(0))),
                (Signal::Restarts, Ok(Value::Whole(7))),
                (Signal::WaitingReason, Ok(Value::Text("CrashLoopBackOff".into()))),
                (Signal::LastExit, Ok(Value::Text("Error (exit 1)".into()))),
                (Signal::FatalExit, Ok(Value::Whole(0))),
            ]
        );
    }
}
