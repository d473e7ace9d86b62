//! What happened before this process began, as far as a Prometheus remembers it.

use super::{TargetKey, Touched, World, view};
use crate::{
    judge::TargetState,
    signal::{Mono, Poll},
};

/// Points of a history lie so far apart (milliseconds) that a sample must be known for three of them.
const APART: u64 = 45_000;
/// A target that has been watched for so long has a history of its own.
const YOUNG: u64 = 60_000;

impl World {
    /// Judges a target as if it had been watched while these polls of one of its sources, oldest first, were observed: a
    /// hold that began before this process did is not begun anew. Only for a target that was taken up just now.
    pub fn remember(&mut self, key: &TargetKey, source: &str, polls: &[Poll], now: Mono) -> Touched {
        let mut touched = Touched::default();
        let Some(first) = polls.first() else { return touched };
        let Some(entry) = self.policies.get_mut(&key.policy) else { return touched };
        let (Some(rank), Some(asked)) = (entry.policy.rank(source), entry.policy.source(source)) else {
            return touched;
        };
        let stale_after = asked.stale_after().max(APART);
        let view = view(&self.networks, &entry.policy, &key.uid, now);
        let Some(target) = entry.targets.get_mut(&key.uid) else { return touched };
        if target.remembers || now.since(target.first_seen) > YOUNG {
            return touched;
        }
        let mut state = TargetState::new(&entry.policy, first.observed_at);
        for poll in polls {
            state.file(poll, rank, stale_after);
            state.judge(&view, poll.observed_at);
        }
        state.judge(&view, now);
        // What others have told in these few seconds they tell again.
        target.state = state;
        target.remembers = true;
        touched.policies.insert(key.policy.clone());
        touched
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{Key, PodView},
        *,
    };
    use crate::{
        api::{Family, Network, NodeHealthPolicy},
        judge::VerdictKind,
        policy::{validate, validate_network},
        signal::{Server, Signal, Value},
    };

    #[test]
    fn a_hold_that_began_before_the_start_is_not_begun_anew() {
        let network: Network = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "Network", "metadata": {"name": "net", "uid": "net"},
            "spec": {"family": "Other", "chainId": "x", "allowedNamespaces": ["n"]},
        }))
        .unwrap();
        let policy: NodeHealthPolicy = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
            "metadata": {"name": "p", "namespace": "n", "uid": "p"},
            "spec": {
                "network": "net", "role": "FullNode", "selector": {"matchLabels": {"app": "x"}},
                "telemetry": [{"name": "h", "prometheus": {"query": "q"}, "signals": [{"signal": "custom/queue"}]}],
                "rules": [{"name": "long", "signal": "custom/queue", "above": 5, "for": "10m"}],
            },
        }))
        .unwrap();
        let pod: PodView = serde_json::from_value(json!({
            "metadata": {"name": "x-0", "namespace": "n", "uid": "u", "labels": {"app": "x"}},
            "spec": {"containers": []}, "status": {"phase": "Running"},
        }))
        .unwrap();
        let start = Mono(86_400_000);
        let mut world = World::default();
        let policy = validate(&policy, Family::Other).unwrap();
        world.sync(vec![validate_network(&network).unwrap()], vec![policy], &[pod.into()], start, start);
        let key = TargetKey { policy: Key { namespace: "n".into(), name: "p".into() }, uid: "u".into() };
        let poll = |ago: u64| Poll {
            asked_at: Mono(start.0 - ago),
            observed_at: Mono(start.0 - ago),
            values: vec![(Signal::named("custom/queue").unwrap(), Ok(Value::Micros(9_000_000)))],
            ..Poll::default()
        };
        let kind =
            |world: &World| world.snapshot(&key.policy, start, Server(0)).unwrap().targets[0].facts.verdict.kind;
        world.file(&key, "h", &poll(0), start);
        assert_eq!(kind(&world), VerdictKind::Suspect, "a hold of ten minutes has just begun");
        let history: Vec<Poll> = (0..60).rev().map(|step| poll(step * 15_000)).collect();
        world.remember(&key, "h", &history, start);
        assert_eq!(kind(&world), VerdictKind::Unhealthy, "it has lasted for a quarter of an hour");
    }
}
