//! Hand-overs without a gate, with everything real but their owners: a launcher that starts a node with its key, an endpoint that
//! a Service leads to, and an owner's own job. On two nodes, because what fails here are machines.

mod endpoint;
mod launcher;
mod owner;

use mainstay::failover::{Phase, Proof};
use serde_json::Value;

use super::group::Group;
use crate::{
    rig::{get, wait},
    stage::SOON,
};

// === impl Group ===

impl Group {
    /// What the group says under a condition: its status, its reason and its message.
    fn says(&self, kind: &str) -> [String; 3] {
        let conditions = get(&["-n", &self.stage.namespace, "fog", "val"])["status"]["conditions"].clone();
        let conditions = conditions.as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|one| one["type"] == kind).unwrap_or_default();
        ["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the group is blocked for want of a proof, and returns what it says is missing.
    fn blocked(&self) -> String {
        wait("the group to be blocked", SOON, || {
            let [status, reason, _] = self.says("Blocked");
            (status == "True" && reason == "Proof").then_some(())
        })
        .expect("a blocked group");
        wait("it to say what is missing", SOON, || {
            let [_, reason, message] = self.says("Ready");
            (reason == "Proof" && message.contains('(')).then_some(message)
        })
        .expect("what is missing")
    }

    /// What ended an epoch.
    fn proof(&self, epoch: u64) -> Option<Proof> {
        self.writes().into_iter().find_map(|write| match write.record.phase {
            Phase::Fenced(proof) if write.record.tenure.epoch.0 == epoch => Some(proof),
            _ => None,
        })
    }

    /// The pod of a member, as the API server has it.
    fn pod(&self, member: &str) -> Value {
        get(&["-n", &self.stage.namespace, "pod", &format!("{member}-0")])
    }
}
