//! Conditions that move their transition time only when they flip.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::signal::Wall;

/// What a condition says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its type.
    pub kind: &'static str,
    /// Whether it holds; `None` if nobody can tell.
    pub holds: Option<bool>,
    /// One word for why.
    pub reason: &'static str,
    /// A sentence without numbers that change from minute to minute.
    pub message: String,
}

/// A condition as it is to be written, given those that stand there already.
#[must_use]
pub fn condition(known: &[Condition], told: Told, generation: Option<i64>, now: Wall) -> Condition {
    let status = match told.holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let before = known.iter().find(|known| known.type_ == told.kind && known.status == status);
    Condition {
        type_: told.kind.to_owned(),
        status: status.to_owned(),
        reason: told.reason.to_owned(),
        message: told.message,
        observed_generation: generation,
        last_transition_time: before.map_or_else(|| time(now), |before| before.last_transition_time.clone()),
    }
}

/// A wall time as Kubernetes writes it: whole seconds.
#[must_use]
pub(super) fn time(at: Wall) -> Time {
    Time(Timestamp::from_second(at.0.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_on_a_flip() {
        let told = |holds| Told { kind: "Ready", holds: Some(holds), reason: "Any", message: "any".into() };
        let first = condition(&[], told(true), Some(1), Wall(5_000));
        let same = condition(std::slice::from_ref(&first), told(true), Some(2), Wall(9_000));
        assert_eq!(same.last_transition_time, first.last_transition_time);
        assert_eq!(same.observed_generation, Some(2));
        let flipped = condition(&[same], told(false), Some(2), Wall(9_999));
        assert_eq!(flipped.last_transition_time, time(Wall(9_000)));
    }
}
