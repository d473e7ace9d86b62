//! What proves that a launcher's pod has ended, and when its object may go. The finalizer is a latch: a pod that is deleted
//! by force stays in sight until somebody knows that its processes have ended.

use std::sync::Arc;

use super::{Pod, Proof, Record};

/// The finalizer.
pub const LATCH: &str = "mainstay.dev/signer";
/// The label of a pod that signs, which has the finalizer's name.
pub const LABEL: &str = LATCH;
/// What the kubelet gives as a reason when it does not know how a container ended.
const UNKNOWN: &str = "ContainerStatusUnknown";

/// A pod as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Its uid.
    pub uid: String,
    /// The node that it is bound to.
    pub node: String,
    /// When it was created, by the API server's clock (seconds since the epoch).
    pub created: i64,
    /// Whether it has a deletionTimestamp.
    pub deleted: bool,
    /// Whether its phase is `Succeeded` or `Failed`. Not enough alone: the control plane writes it for orphans too.
    pub terminal: bool,
    /// Its resourceVersion.
    pub version: String,
    /// What holds its object.
    pub finalizers: Vec<String>,
    /// Every container that its spec names or its status tells of: the first ones, sidecars and ephemeral ones too.
    pub containers: Vec<Container>,
}

/// A container of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// How it ended, if it is recorded as terminated.
    pub ended: Option<Ended>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When, by the node's clock (milliseconds since the epoch). The API server keeps whole seconds of it.
    pub at: Option<i64>,
    /// Why.
    pub reason: String,
}

impl Remains {
    /// Whether nothing but the latch may be left of it.
    #[must_use]
    pub fn is_latched(&self) -> bool {
        self.deleted && self.finalizers.iter().any(|one| one == LATCH)
    }
}

/// Whether the kubelet has confirmed that this very pod has ended: `renewed` is when it renewed its node's Lease last
/// (milliseconds since the epoch, by the node's clock). Says what is missing where it has not.
pub fn confirmed(holder: &Arc<Pod>, remains: Option<&Remains>, renewed: Option<i64>) -> Result<Proof, String> {
    let gone = "its pod is gone, and nobody saw its processes end";
    let remains = remains.filter(|remains| remains.uid == holder.uid).ok_or(gone)?;
    if remains.node != holder.node {
        return Err(format!("its pod is on node {}, and the record says {}", remains.node, holder.node));
    }
    if !remains.deleted {
        return Err("its pod is not being deleted: delete it, and never by force".into());
    }
    if !remains.terminal {
        return Err("its pod has not ended".into());
    }
    if remains.containers.is_empty() {
        return Err("nothing is known of its containers".into());
    }
    let mut last = i64::MIN;
    for Container { name, ended } in &remains.containers {
        let ended = ended.as_ref().ok_or_else(|| format!("its container {name} is not recorded as ended"))?;
        if ended.reason == UNKNOWN {
            return Err(format!("its kubelet does not know how its container {name} ended"));
        }
        let at = ended.at.ok_or_else(|| format!("nobody says when its container {name} ended"))?;
        last = last.max(at);
    }
    // Both are times of one clock. The end is cut to whole seconds: it may have been that much later.
    match renewed {
        Some(renewed) if renewed >= last.saturating_add(1_000) => Ok(Proof::KubeletConfirmed(Arc::clone(holder))),
        Some(_) => Err(format!("node {} has not renewed its Lease since its containers ended", holder.node)),
        None => Err(format!("node {} has no Lease, so nobody knows whether its kubelet lives", holder.node)),
    }
}

/// Whether a pod's object may go: one whose epoch may still be alive is evidence, and all others are nobody's.
#[must_use]
pub fn may_go(record: Option<&Record>, uid: &str) -> bool {
    let holder = record.and_then(Record::holder);
    holder.is_none_or(|holder| holder.pod.uid != uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{Activation, Epoch, Event, HandOver, Height, Held, Timing, step};

    type Spoil = fn(&mut Remains, &mut Option<i64>);

    const ENDED: i64 = 1_700_000_000_000;

    fn holder() -> Arc<Pod> {
        Arc::new(Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() })
    }

    fn container(name: &str, at: i64) -> Container {
        let ended = Some(Ended { at: Some(at), reason: "Completed".into() });
        Container { name: name.into(), ended }
    }

    fn remains() -> Remains {
        Remains {
            uid: "u1".into(),
            node: "n1".into(),
            created: 0,
            deleted: true,
            terminal: true,
            version: "1".into(),
            finalizers: vec![LATCH.into()],
            containers: vec![container("signer", ENDED), container("sidecar", ENDED - 5_000)],
        }
    }

    #[test]
    fn the_kubelet_has_confirmed_it_when_all_of_it_is_there() {
        let proof = confirmed(&holder(), Some(&remains()), Some(ENDED + 1_000));
        assert_eq!(proof, Ok(Proof::KubeletConfirmed(holder())));
    }

    #[test]
    fn anything_less_proves_nothing() {
        let table: &[(&str, Spoil)] = &[
            ("nobody saw", |pod, _| pod.uid = "twin".into()),
            ("the record says n1", |pod, _| pod.node = "n2".into()),
            ("not being deleted", |pod, _| pod.deleted = false),
            ("has not ended", |pod, _| pod.terminal = false),
            ("nothing is known", |pod, _| pod.containers.clear()),
            ("sidecar is not recorded as ended", |pod, _| pod.containers[1].ended = None),
            ("does not know how its container signer", |pod, _| {
                pod.containers[0].ended.as_mut().unwrap().reason = UNKNOWN.into();
            }),
            ("nobody says when", |pod, _| pod.containers[0].ended.as_mut().unwrap().at = None),
            // The second is not over.
            ("has not renewed", |_, renewed| *renewed = Some(ENDED + 999)),
            ("has not renewed", |_, renewed| *renewed = Some(ENDED - 1)),
            // A container that ended later than the others counts.
            ("has not renewed", |pod, _| pod.containers[1].ended.as_mut().unwrap().at = Some(ENDED + 9_000)),
            ("has no Lease", |_, renewed| *renewed = None),
        ];
        for (why, spoil) in table {
            let (mut pod, mut renewed) = (remains(), Some(ENDED + 2_000));
            spoil(&mut pod, &mut renewed);
            let said = confirmed(&holder(), Some(&pod), renewed).expect_err(why);
            assert!(said.contains(why), "{said}");
        }
        assert!(remains().is_latched());
        assert!(confirmed(&holder(), None, Some(ENDED + 2_000)).is_err(), "a pod that is gone");
    }

    #[test]
    fn a_pod_may_go_when_no_epoch_of_its_own_is_alive() {
        let hand_over = HandOver::Launcher(Held::Command, Timing { hold: 1, drift: 0, margin: 0 });
        let offer = Event::Offered { pod: holder(), activation: Activation(1), hand_over };
        let active = step(&Record::adopted(Epoch(0), Activation(0), Height(0)), offer).0;
        let mut revoking = step(&active, Event::Wanted { epoch: Epoch(1) }).0;
        revoking.claims = 1;
        for held in [&active, &revoking] {
            assert!(!may_go(Some(held), "u1"));
            assert!(may_go(Some(held), "another"));
        }
        let released = Event::Released { epoch: Epoch(1), uid: "u1".into() };
        assert!(may_go(Some(&step(&revoking, released).0), "u1"));
        assert!(may_go(None, "u1"));
    }
}
