//! The way on, from wherever it is: shown by going it.

use mainstay::failover::{
    Event, Height, Phase, Share,
    gate::{Ask, Content, Hrs, Step},
    step,
};

use crate::{
    system::System,
    world::{Scope, World},
};

/// Whether one operator, one fresh process of the second member, to which nothing more happens, and a person where one is called,
/// get to a signature: the epoch is ended, the next one given to that member, claimed, raised, and used.
pub fn somebody_signs_again(system: &System, world: &World) -> bool {
    let scope = Scope { writes: 0, slow_operators: false, ..system.scope };
    let system = System { scope, ..system.clone() };
    let mut world = world.clone();
    world.writes.clear();
    // Nobody opens a latch, or uses a key that was punished, but a person that adopts the identity.
    if world.record.shut.is_some() || world.disks[1].latched.is_some() {
        let (above, floor, activation) = (world.tenure().epoch, world.record.bound(), world.draw(0));
        (world.record, _) = step(&world.record, Event::Adopted { above, floor, activation });
    }
    // The chain may need the key: then nobody goes on before a person says what the pod has signed that is no more.
    let share = if scope.shares { Share::Third } else { Share::Small };
    for _ in 0..4 {
        let event = match &world.record.phase {
            Phase::Active(_) => Event::Wanted { epoch: world.tenure().epoch },
            Phase::Revoking { holder, blocked: Some(_) } => Event::AdoptedAfter {
                epoch: world.tenure().epoch,
                uid: holder.pod.uid.clone(),
                floor: world.signed_last(&scope),
                activation: world.draw(0),
            },
            Phase::Revoking { .. } => Event::Found { proof: None, share, waited: u64::MAX },
            Phase::Fenced(_) => Event::Offered {
                pod: world.pods[1].clone(),
                activation: world.draw(1),
                hand_over: World::hand_over(),
            },
        };
        (world.record, _) = step(&world.record, event);
        if matches!(world.record.phase, Phase::Active(_)) {
            break;
        }
    }
    let before = world.processes.len();
    if system.boot(&mut world).is_none() || world.processes.len() == before {
        return false;
    }
    let (fresh, next) = (before, Height(world.record.floor.0 + 1));
    for _ in 0..3 {
        if system.sees(&mut world, fresh, next).is_none() {
            return false;
        }
    }
    let ask = Ask {
        at: Hrs { height: next, round: 0, step: Step::Prevote },
        content: Content { what: [0; 32], when: 0 },
    };
    let (_, signs) = system.mistake.decides(&world.processes[fresh].gate, &ask, &scope.limits());
    signs && !world.wrongs.backwards
}
