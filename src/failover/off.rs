//! What proves that a launcher's machine is off: the platform, or a person, says so by the taint
//! `node.kubernetes.io/out-of-service`, and what else is known of the node agrees.
//!
//! A taint stays until somebody takes it away, also when the machine has come back and is cut off or stands still later. So
//! it counts only if this very process saw the node without it before, and no Lease renewed since.

use std::sync::Arc;

use super::{Pod, Proof, latch::Remains};

/// The taint, with the effect `NoExecute`.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// A node as the API server has it, with the Lease that its kubelet renews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its uid: a node that was made anew under the same name is another.
    pub uid: String,
    /// When it was created, by the API server's clock (seconds since the epoch).
    pub created: i64,
    /// Whether it has the taint.
    pub tainted: bool,
    /// Whether its condition `Ready` is `True`.
    pub ready: bool,
    /// Which renewal its Lease tells of; none if it has no Lease.
    pub renewal: Option<String>,
}

/// What this process has seen of a node so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Watch {
    /// Nothing that anything rests on.
    #[default]
    Unseen,
    /// The node of this uid had no taint.
    Untainted(String),
    /// The taint came while it was looked at.
    Tainted {
        /// The node.
        uid: String,
        /// What its Lease said then.
        renewal: String,
        /// When that was, by this process' monotonic clock (milliseconds).
        since: u64,
    },
    /// There is a taint, and nobody knows from when; or the Lease was renewed under it.
    Stale,
}

impl Watch {
    /// What is known after one more look.
    #[must_use]
    pub fn saw(&self, machine: Option<&Machine>, now: u64) -> Self {
        let Some(machine) = machine else { return Self::Unseen };
        if !machine.tainted {
            return Self::Untainted(machine.uid.clone());
        }
        match (self, &machine.renewal) {
            (Self::Untainted(uid), Some(renewal)) if *uid == machine.uid => {
                Self::Tainted { uid: uid.clone(), renewal: renewal.clone(), since: now }
            }
            (Self::Tainted { uid, renewal, .. }, Some(same)) if *uid == machine.uid && renewal == same => {
                self.clone()
            }
            (_, _) => Self::Stale,
        }
    }
}

/// Whether the machine of this very pod is off: it has been silent under its taint for `wait` (milliseconds). `watch` knows
/// of the same look as `machine`. Says what is missing where it is not.
pub fn is_off(
    holder: &Arc<Pod>,
    remains: Option<&Remains>,
    machine: Option<&Machine>,
    watch: &Watch,
    now: u64,
    wait: u64,
) -> Result<Proof, String> {
    let node = &holder.node;
    let gone = "its pod is gone, so nobody knows which machine it was on";
    let remains = remains.filter(|remains| remains.uid == holder.uid).ok_or(gone)?;
    if remains.node != *node {
        return Err(format!("its pod is on node {}, and the record says {node}", remains.node));
    }
    if !remains.deleted {
        return Err("its pod is not being deleted".into());
    }
    let machine = machine.ok_or_else(|| format!("node {node} is gone, which proves nothing"))?;
    // Both are times of one clock, in whole seconds: of one second nobody knows which came first.
    if machine.created >= remains.created {
        return Err(format!("node {node} is younger than the pod: it may be another machine of that name"));
    }
    if !machine.tainted {
        return Err(format!("nobody says that node {node} is off, by the taint {OUT_OF_SERVICE}"));
    }
    if machine.ready {
        return Err(format!("node {node} is Ready"));
    }
    match watch {
        Watch::Tainted { uid, since, .. } if *uid == machine.uid && now.saturating_sub(*since) >= wait => {
            Ok(Proof::NodeOff(Arc::clone(holder)))
        }
        Watch::Tainted { .. } => {
            Err(format!("node {node} has not been silent under its taint for long enough yet"))
        }
        Watch::Unseen | Watch::Untainted(_) | Watch::Stale => Err(format!(
            "the taint of node {node} may be an old one: it was there before it could be seen to come, or the node has \
             renewed its Lease since; if the machine is off, take the taint away and put it on again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Case);

    const WAIT: u64 = 30_000;

    struct Case {
        remains: Option<Remains>,
        machine: Option<Machine>,
        watch: Watch,
        now: u64,
    }

    fn holder() -> Arc<Pod> {
        Arc::new(Pod { member: "a".into(), uid: "u1".into(), node: "n1".into() })
    }

    fn machine(tainted: bool, renewal: &str) -> Machine {
        Machine { uid: "m1".into(), created: 100, tainted, ready: false, renewal: Some(renewal.into()) }
    }

    /// After the looks at these machines, one each second.
    fn after(looks: &[Option<Machine>]) -> Watch {
        let looks = looks.iter().zip(0_u64..);
        looks.fold(Watch::default(), |watch, (machine, at)| watch.saw(machine.as_ref(), at * 1_000))
    }

    fn off() -> Case {
        let remains = Remains {
            uid: "u1".into(),
            node: "n1".into(),
            created: 101,
            deleted: true,
            terminal: false,
            version: "1".into(),
            finalizers: Vec::new(),
            containers: Vec::new(),
        };
        let watch = after(&[Some(machine(false, "r1")), Some(machine(true, "r2")), Some(machine(true, "r2"))]);
        Case { remains: Some(remains), machine: Some(machine(true, "r2")), watch, now: 1_000 + WAIT }
    }

    fn judge(case: &Case) -> Result<Proof, String> {
        is_off(&holder(), case.remains.as_ref(), case.machine.as_ref(), &case.watch, case.now, WAIT)
    }

    #[test]
    fn a_machine_is_off_when_all_agrees() {
        assert_eq!(judge(&off()), Ok(Proof::NodeOff(holder())));
    }

    // W07.
    #[test]
    fn anything_less_proves_nothing() {
        let table: &[(&str, Spoil)] = &[
            ("its pod is gone", |case| case.remains = None),
            ("its pod is gone", |case| case.remains.as_mut().unwrap().uid = "twin".into()),
            ("the record says n1", |case| case.remains.as_mut().unwrap().node = "n2".into()),
            ("not being deleted", |case| case.remains.as_mut().unwrap().deleted = false),
            ("n1 is gone", |case| case.machine = None),
            ("younger than the pod", |case| case.machine.as_mut().unwrap().created = 101),
            ("nobody says", |case| case.machine.as_mut().unwrap().tainted = false),
            ("is Ready", |case| case.machine.as_mut().unwrap().ready = true),
            ("long enough", |case| case.now -= 1),
            ("may be an old one", |case| case.watch = Watch::Stale),
            ("may be an old one", |case| case.watch = Watch::Unseen),
        ];
        for (why, spoil) in table {
            let mut case = off();
            spoil(&mut case);
            let said = judge(&case).expect_err(why);
            assert!(said.contains(why), "{why}: {said}");
        }
    }

    #[test]
    fn a_taint_counts_that_came_while_it_was_looked_at_and_that_no_renewal_followed() {
        let (free, taint) = (|renewal| Some(machine(false, renewal)), |renewal| Some(machine(true, renewal)));
        let begun = |since| Watch::Tainted { uid: "m1".into(), renewal: "r2".into(), since };
        assert_eq!(after(&[free("r1"), taint("r2"), taint("r2")]), begun(1_000));
        // Whether it was put there before the machine came back, nobody knows.
        assert_eq!(after(&[taint("r2"), taint("r2")]), Watch::Stale);
        assert_eq!(after(&[free("r1"), taint("r2"), taint("r3"), taint("r3")]), Watch::Stale);
        assert_eq!(after(&[free("r1"), taint("r2"), taint("r3"), free("r3"), taint("r2")]), begun(4_000));
        // Made anew under the same name.
        let other = Some(Machine { uid: "m2".into(), ..machine(true, "r2") });
        assert_eq!(after(&[free("r1"), other.clone()]), Watch::Stale);
        assert_eq!(after(&[free("r1"), taint("r2"), other]), Watch::Stale);
        assert_eq!(after(&[free("r1"), taint("r2"), None, taint("r2")]), Watch::Stale);
        // Without a Lease nobody knows whether it lives.
        let without = Some(Machine { renewal: None, ..machine(true, "") });
        assert_eq!(after(&[free("r1"), without.clone()]), Watch::Stale);
        assert_eq!(after(&[free("r1"), taint("r2"), without]), Watch::Stale);
    }
}
