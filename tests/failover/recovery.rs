//! The way on, from wherever it is: shown by going it.

use mainstay::failover::{Event, Height, Phase, Share, step};

use crate::{
    system::System,
    world::{Scope, World},
};

/// Whether one operator and one fresh process of the second member, to which nothing more happens, get to a signature:
/// the epoch is ended, the next one given to that member, claimed, raised, and used.
pub fn somebody_signs_again(system: &System, world: &World) -> bool {
    let scope = Scope { writes: 0, ..system.scope };
    let system = System { scope, ..system.clone() };
    let mut world = world.clone();
    world.writes.clear();
    if world.record.slashed {
        // Nobody is to sign: a person has to adopt the identity anew.
        return true;
    }
    for _ in 0..4 {
        let event = match &world.record.phase {
            Phase::Active(_) => Event::Wanted { epoch: world.tenure().epoch },
            Phase::Revoking { .. } => Event::Found { proof: None, share: Share::Small, waited: u64::MAX },
            Phase::Fenced(_) => Event::Offered {
                pod: world.pods[1].clone(),
                activation: world.draw(1),
                hand_over: World::hand_over(),
            },
        };
        let done = matches!(event, Event::Offered { .. });
        (world.record, _) = step(&world.record, event);
        if done {
            break;
        }
    }
    world.disks[1].latched = None;
    if system.boot(&mut world).is_none() {
        return false;
    }
    let fresh = world.processes.len() - 1;
    let mut asked = world.record.floor;
    for _ in 0..4 {
        if system.sees(&mut world, fresh, asked).is_none() {
            return false;
        }
        asked = asked.max(Height(world.record.floor.0));
    }
    world.processes[fresh].gate.hold().is_some_and(|hold| hold.ceiling > hold.start) && !world.wrongs.backwards
}
