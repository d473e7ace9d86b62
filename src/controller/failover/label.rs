//! Whether the members of a group are held to the shape of a signer: what admission knows one by is a label.

use crate::{
    api::{FailoverGroup, FailoverGroupSpec, Way},
    failover::latch::LABEL,
};

use super::{super::report::Told, Context, choose};

/// The condition `Unlabelled`, of groups whose members have a gate. A pod that is not there says nothing.
pub fn told(ctx: &Context, namespace: &str, group: &FailoverGroup) -> Option<Told> {
    let without = group.spec.members.iter().map(choose::pod_of).filter(|name| {
        let pod = ctx.stores.pods.get(namespace, name);
        pod.is_some_and(|pod| !pod.labels.contains_key(LABEL))
    });
    condition(&group.spec, &without.collect::<Vec<_>>())
}

fn condition(group: &FailoverGroupSpec, without: &[String]) -> Option<Told> {
    if !has_gates(group) {
        return None;
    }
    let message = || {
        format!(
            "{} without the label mainstay.dev/signer: admission control holds no such workload to the shape of a member (one pod, a \
             state that lasts, no look back, time to stop), and nobody looks for its key elsewhere. Write the label into the pod \
             template",
            without.join(", ")
        )
    };
    Some(Told {
        kind: "Unlabelled",
        holds: Some(!without.is_empty()),
        reason: if without.is_empty() { "Labelled" } else { "NoLabel" },
        message: if without.is_empty() { String::new() } else { message() },
    })
}

/// Of a label and of a job the members are whatever their owner has.
fn has_gates(group: &FailoverGroupSpec) -> bool {
    !matches!(group.handover.way(), Some(Way::Label(_) | Way::Job(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_that_nothing_holds_to_its_shape_is_named() {
        let group = |handover: serde_json::Value| {
            let spec = json!({"network": "hub", "identity": "hub-1.k", "members": [], "handover": handover});
            serde_json::from_value::<FailoverGroupSpec>(spec).unwrap()
        };
        let gates = group(json!({"gate": {}}));
        assert_eq!(condition(&gates, &[]).unwrap().holds, Some(false));
        let told = condition(&gates, &["val-a-0".into()]).unwrap();
        assert!(
            told.holds == Some(true) && told.message.starts_with("val-a-0 without the label"),
            "{}",
            told.message
        );
        let label = json!({"label": {"service": "signer"}});
        assert!(condition(&group(label), &["val-a-0".into()]).is_none(), "there is no gate");
    }
}
