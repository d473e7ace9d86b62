//! A readiness gate of a pod: what the condition behind it says, and the words in which it says more than that.
//!
//! Place, policy and time stand in one condition, so that one write changes all of them: whoever dies in between leaves
//! either the whole turn or none of it.

use crate::signal::Server;

/// What the condition behind a pod's readiness gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Nothing yet: nobody has decided, and the pod is ready for nobody.
    Unsaid,
    /// `True`: the pod is as ready as it is.
    Open,
    /// `False`: the pod is ready for nobody.
    Shut,
}

/// The condition's reason when Mainstay has opened the gate.
pub const IN: &str = "InRotation";
/// Its reason when Mainstay has shut it. Without this word a gate that is shut is somebody else's doing, and stays.
pub const OUT: &str = "OutOfRotation";

/// What a gate says that was opened before anybody had turned it.
const UNTURNED: &str = "nobody has taken it out";

impl Gate {
    /// What a condition of this status says.
    #[must_use]
    pub fn of(status: Option<&str>) -> Self {
        match status {
            Some("True") => Self::Open,
            Some("False") => Self::Shut,
            Some(_) | None => Self::Unsaid,
        }
    }
}

/// The condition's message: which policy (uid) turned it, and when. No policy: nobody has turned it.
#[must_use]
pub fn told(policy: &str, at: Server) -> String {
    if policy.is_empty() { UNTURNED.to_owned() } else { format!("turned by policy {policy} at {}", at.0) }
}

/// What a condition with this reason and message tells of that; `None` if somebody else wrote it, or nobody has turned it.
#[must_use]
pub fn teller(reason: &str, message: &str) -> Option<(String, Server)> {
    let ours = [IN, OUT].contains(&reason);
    let (policy, at) = message.strip_prefix("turned by policy ").filter(|_| ours)?.split_once(" at ")?;
    Some((policy.to_owned(), Server(at.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_again_and_nothing_else_is() {
        let at = Server(1_800_000_000_000);
        let message = told("0d2d9ab5-9b4e-4a5f-8a57-4a1f7f1f7f10", at);
        for reason in [IN, OUT] {
            assert_eq!(teller(reason, &message), Some(("0d2d9ab5-9b4e-4a5f-8a57-4a1f7f1f7f10".into(), at)));
        }
        for (reason, message) in [
            ("Maintenance", message.as_str()),
            (OUT, ""),
            (OUT, "turned by policy p1"),
            (OUT, "turned by policy p1 at noon"),
            (IN, &told("", at)),
        ] {
            assert_eq!(teller(reason, message), None, "{reason}: {message}");
        }
    }
}
