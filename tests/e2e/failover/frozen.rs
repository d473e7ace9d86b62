//! Processes that are stopped as a machine stops: they notice nothing, and go on where they were.

use std::{fs, thread, time::Duration};

use super::group::Group;
use crate::rig::{now, pid_component, signal};

/// Processes that are stopped, until they are let go on: at the end of the test at the latest.
pub struct Frozen(Vec<u32>);

impl Frozen {
    /// One process.
    pub fn process(pid: u32) -> Self {
        signal(pid, "STOP").expect("a signal");
        Self(vec![pid])
    }

    /// The gate of a member.
    pub fn gate(group: &Group, member: &str) -> Self {
        Self::process(group.pid(member, "gate"))
    }

    /// The machine of a member: its kubelet, and everything of the member that runs there.
    pub fn machine(group: &Group, member: &str, node: u32) -> Self {
        let pids = ["gate", "node"].map(|container| group.pid(member, container));
        let pids = [&pids[..], &[pid_component(&format!("kubelet-{node}"))]].concat();
        for pid in &pids {
            signal(*pid, "STOP").expect("a signal");
        }
        Self(pids)
    }

    /// Everything in a container of a member. Whoever was started last wakes first, and is ended by nobody until the others do.
    pub fn container(group: &Group, member: &str, container: &str) -> Self {
        let cgroup = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let own = cgroup(group.pid(member, container));
        let mut pids: Vec<_> = processes().filter(|pid| cgroup(*pid) == own).collect();
        assert!(pids.len() > 1, "{pids:?} in {own}");
        pids.sort_unstable_by(|one, other| other.cmp(one));
        for pid in &pids {
            signal(*pid, "STOP").expect("a signal");
        }
        Self(pids)
    }

    /// Lets them go on, and says when.
    pub fn thaw(mut self) -> i64 {
        self.signal("CONT");
        now()
    }

    /// Kills them where they stand.
    pub fn kill(mut self) {
        self.signal("KILL");
    }

    fn signal(&mut self, name: &str) {
        for pid in self.0.drain(..) {
            drop(signal(pid, name));
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}

/// Every process of the machine.
pub fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Lets time pass, in which something must not happen. Returns the end of it (milliseconds since the epoch).
pub fn pause(seconds: u64) -> i64 {
    thread::sleep(Duration::from_secs(seconds));
    now()
}
