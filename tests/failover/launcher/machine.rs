//! The first member's machine, as the API server has it: it may go off, be said to be off, and come back.

use std::sync::Arc;

use mainstay::failover::{
    Pod, Proof,
    latch::Remains,
    off::{Machine, Watch, is_off},
};

use super::system::{Happening, Launchers, Mistake, World};

/// What the API server has of a machine.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub tainted: bool,
    /// Whether its kubelet has renewed its Lease since the beginning.
    pub renewed: bool,
    /// Whether it is off for good.
    pub off: bool,
    /// Whether the kubelet has renewed its Lease after an operator had seen the taint.
    pub lively: bool,
}

impl Launchers {
    /// What the node says to an operator.
    pub fn off(self, world: &World, operator: usize, holder: &Arc<Pod>) -> Option<Proof> {
        self.taints?;
        let remains = Remains {
            uid: holder.uid.clone(),
            node: holder.node.clone(),
            created: 1,
            deleted: true,
            terminal: false,
            version: String::new(),
            finalizers: Vec::new(),
            containers: Vec::new(),
        };
        let machine = self.machine(world);
        is_off(
            holder,
            Some(&remains),
            Some(&machine),
            &world.watches[operator],
            world.silent[operator],
            self.timing().wait(),
        )
        .ok()
    }

    fn machine(self, world: &World) -> Machine {
        let Node { tainted, renewed, .. } = world.node;
        let renewed = renewed && self.mistake != Mistake::IgnoresTheLease;
        Machine { uid: "m".into(), created: 0, tainted, ready: false, renewal: Some(renewed.to_string()) }
    }

    /// Whether one that was tainted while it ran has been seen to run, if it was.
    pub fn is_seen_to_run(self, world: &World) -> bool {
        !world.node.tainted || world.node.lively || self.taints == Some(true)
    }

    pub fn looks(self, world: &mut World, operator: usize) {
        if self.taints.is_none() {
            return;
        }
        let machine = self.machine(world);
        let mut before = world.watches[operator].clone();
        if self.mistake == Mistake::TrustsAnOldTaint && before == Watch::Unseen {
            before = Watch::Untainted(machine.uid.clone());
        }
        world.watches[operator] = before.saw(Some(&machine), 0);
        if !matches!(world.watches[operator], Watch::Tainted { .. }) {
            world.silent[operator] = 0;
        }
    }

    /// What can become of the first machine. Nobody taints one that only stands still, and one that runs is seen to run: that is
    /// assumed.
    pub fn of_the_machine(self, world: &World, actions: &mut Vec<Happening>) {
        if self.taints.is_none() {
            return;
        }
        let (node, first) = (&world.node, &world.processes[0]);
        if !node.off && !first.paused {
            actions.push(Happening::Off);
            if !node.renewed {
                actions.push(Happening::Renewed);
            }
        }
        if !node.tainted && (!first.paused || self.mistake == Mistake::TaintedWhileItStands) {
            actions.push(Happening::Tainted);
        }
    }
}
