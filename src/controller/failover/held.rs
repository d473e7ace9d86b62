//! How it stands while the holder's pod is there.

use crate::failover::{HandOver, Height, Holder, Record};

use super::{RETRY, Rest, TICK};

/// How it stands while the chain is at `head`.
pub fn held(record: &Record, holder: &Holder, head: Option<Height>) -> Rest {
    let member = &holder.pod.member;
    if holder.boot.is_none() {
        let whose = match record.hand_over {
            HandOver::Gate => "the gate of ",
            HandOver::Launcher(..) => "the launcher of ",
            HandOver::Label | HandOver::Job => "",
        };
        Rest::new(RETRY, "NotClaimed", format!("waiting for {whose}{member} to take the place"))
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
    } else {
        Rest::new(TICK, "Held", "")
    }
}
