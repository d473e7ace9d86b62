//! Whether the window of an identity is small beside the misses that jail. One that is not costs stake when a holder vanishes,
//! and safety does not rest on it: it is said, and what runs goes on.

use futures::future::join_all;

use crate::{api::FailoverGroup, signal::Mono, telemetry::cometbft::allowed_misses};

use super::{super::report::Told, Context, choose, memory::Watched};

/// Governance may change the rule: it is asked for again after so long (milliseconds).
const KNOWN: u64 = 600_000;
/// And after so long where no node has told it.
const UNKNOWN: u64 = 60_000;
/// A vanished holder may cost this part of the misses that jail.
const PART: u64 = 10;

/// Asks the members' nodes how many blocks may be missed, now and then.
pub async fn ask(ctx: &Context, namespace: &str, group: &FailoverGroup, memory: &mut Watched) {
    let now = ctx.clock.mono();
    if !is_due(memory, now) {
        return;
    }
    memory.misses_asked = Some(now);
    let Ok(nodes) = choose::nodes(ctx, namespace, group).await else { return };
    let told = join_all(nodes.into_iter().map(|(ip, port)| allowed_misses(&ctx.probes, ip, port))).await;
    // The fewest of them: too wide is the mistake that hurts.
    memory.misses = told.into_iter().flatten().min().or(memory.misses);
}

fn is_due(memory: &Watched, now: Mono) -> bool {
    let every = if memory.misses.is_some() { KNOWN } else { UNKNOWN };
    memory.misses_asked.is_none_or(|asked| now.since(asked) >= every)
}

/// What a group says of it. Of a chain without such a rule, nobody can tell.
pub fn told(window: Option<i64>, misses: Option<u64>) -> Told {
    let kind = "WideWindow";
    let (Some(window), Some(misses)) = (window, misses) else {
        return Told { kind, holds: None, reason: "NotTold", message: String::new() };
    };
    let most = misses / PART;
    if u64::try_from(window).is_ok_and(|window| window <= most) {
        return Told { kind, holds: Some(false), reason: "Fits", message: String::new() };
    }
    let message = format!(
        "the chain jails after {misses} misses, and a holder that vanishes may cost {window}: write a window of {most} at most, \
         and no less than 4, into the SigningIdentity"
    );
    Told { kind, holds: Some(true), reason: "NearJail", message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_tenth_of_the_misses_that_jail_at_most() {
        let says = |window, misses| told(window, misses).holds;
        assert_eq!((says(Some(20), Some(200)), says(Some(20), Some(199))), (Some(false), Some(true)));
        assert_eq!(
            (says(Some(20), None), says(None, Some(9_500)), says(Some(-1), Some(9_500))),
            (None, None, Some(true))
        );
        assert!(told(Some(20), Some(50)).message.contains("a window of 5 at most"));
    }

    #[test]
    fn what_is_known_is_asked_for_less_often() {
        let mut memory = Watched::default();
        assert!(is_due(&memory, Mono(5)));
        memory.misses_asked = Some(Mono(5));
        assert!(!is_due(&memory, Mono(5 + UNKNOWN - 1)) && is_due(&memory, Mono(5 + UNKNOWN)));
        memory.misses = Some(50);
        assert!(!is_due(&memory, Mono(5 + UNKNOWN)) && is_due(&memory, Mono(5 + KNOWN)));
    }
}
