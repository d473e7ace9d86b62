//! How it stands while the holder's pod is there.

use crate::{
    api::FailoverGroup,
    failover::{HandOver, Height, Holder, Record},
};

use super::{RETRY, Rest, TICK};

/// What is known beside the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// How far the chain is.
    pub head: Option<Height>,
    /// How many heights a gate owns ahead of it.
    pub window: u64,
    /// Why a container of the holder's pod does not run, or did not a moment ago; empty if all do.
    pub waits: &'a str,
}

/// How it stands.
pub fn held(record: &Record, holder: &Holder, around: Around<'_>) -> Rest {
    let (member, Around { head, window, waits }) = (&holder.pod.member, around);
    if holder.boot.is_none() {
        let whose = match record.hand_over {
            HandOver::Gate => "the gate of ",
            HandOver::Launcher(..) => "the launcher of ",
            HandOver::Label | HandOver::Job => "",
        };
        Rest::new(RETRY, "NotClaimed", format!("waiting for {whose}{member} to take the place"))
    } else if matches!(record.hand_over, HandOver::Launcher(..)) && !waits.is_empty() {
        // A process that follows one that ended without a seal does not stay up.
        let why = format!(
            "a container of the pod of {member} does not stay up ({waits}). If it is the one that has the place, its log says so, and \
             nobody signs: delete the pod, never by force, so that its end can be proven"
        );
        Rest::new(TICK, "NotUp", why)
    } else if record.hand_over != HandOver::Gate {
        // It has no window that a chain could pass, and whatever ends it ends its epoch.
        Rest::new(TICK, "Held", "")
    } else if record.sealed.is_some() {
        let why = format!(
            "the gate of {member} has sealed its epoch by itself and signs no more: its log says why, and \
             `mainstay failover` or `mainstay adopt` is the way on"
        );
        Rest::new(TICK, "Sealed", why)
    } else if record.lowered {
        Rest::new(
            TICK,
            "Stopped",
            format!("the gate of {member} has stopped, and no other process has claimed its place"),
        )
    } else if head.is_none() {
        let why = format!(
            "neither the network nor a member's node says how far the chain is, so nobody knows whether the gate of {member} \
             lives: give the network references, or the pods a port `rpc`"
        );
        Rest::new(TICK, "HeadUnknown", why)
    } else if head.is_some_and(|head| head > record.ceiling) {
        let why = format!(
            "the chain has passed all that the gate of {member} may sign: the gate is away or cannot reach the API server, or \
             its node asks it for nothing"
        );
        Rest::new(TICK, "Passed", why)
    } else if head.is_some_and(|head| is_far(record.floor, head, window)) {
        let why = format!(
            "the chain is at {}, and the gate of {member} signs nothing up to {}: a floor that is too high was adopted, or the network \
             is not told the head of its chain",
            head.unwrap_or_default().0,
            record.floor.0
        );
        Rest::new(TICK, "Ahead", why)
    } else {
        Rest::new(TICK, "Held", "")
    }
}

/// Whether a floor is so far above a head that no failover can have made it: those leave a window at most, and an adoption a window
/// above the head that somebody saw.
const fn is_far(floor: Height, head: Height, window: u64) -> bool {
    floor.0 > head.0.saturating_add(window.saturating_mul(2))
}

/// How it stands without a record: nobody has begun one, or there was one of this very identity, and it is gone.
pub fn unbegun(group: &FailoverGroup) -> Rest {
    let status = group.status.as_ref();
    if status.and_then(|status| status.identity.as_ref()) != Some(&group.spec.identity) {
        let why =
            "nobody has begun its record: `mainstay init` for a new key, `mainstay adopt` for one that has signed";
        return Rest::new(TICK, "NotBegun", why);
    }
    let holder = status.and_then(|status| status.holder.as_deref()).unwrap_or("nobody");
    let why = format!(
        "its record is gone, and {holder} held the place: the identity was deleted and made anew. What was confirmed to its gate that \
         one may sign still, and nothing more: read what all gates remember, and `mainstay adopt` above it"
    );
    Rest::new(TICK, "RecordGone", why)
}
