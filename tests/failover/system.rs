//! All that can happen in the toy cluster, in every order, and what must stay true of it.

use mainstay::failover::{
    Epoch, Event, Height, Phase, Share, Shut,
    gate::{self, Disk, Hrs, Step},
};
use stateright::{Model, Property};

use crate::{
    mistakes::Mistake,
    recovery,
    world::{Restores, Scope, World, Wrongs},
};

/// Never one height, round and step with two contents.
pub const ONCE: &str = "nothing is signed twice";
/// Every height is signed by one process of one epoch.
pub const APART: &str = "every height has one owner";
/// A record that knows less is a restored one.
pub const FORWARD: &str = "every write makes the record know more";
/// Who else has a key has it whoever holds the place.
pub const SHUT: &str = "nobody goes on with a key that is shut";
/// Nothing that happens by itself shuts a gate.
pub const OPEN: &str = "a gate latches only on a record that was restored";
/// Whatever happened, there is a way on.
pub const RECOVERS: &str = "somebody can sign again";
/// The model gets anywhere.
pub const HANDS_OVER: &str = "a second epoch signs";

#[derive(Clone, Debug)]
pub struct System {
    pub scope: Scope,
    pub mistake: Mistake,
    /// Whether every state is asked for a way on.
    pub recovers: bool,
}

impl std::fmt::Display for System {
    /// The mistake, and what is other than in the smallest scope.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = |scope: &Scope| -> Vec<String> {
            let all = format!("{scope:?}");
            all.trim_start_matches("Scope { ").trim_end_matches(" }").split(", ").map(str::to_owned).collect()
        };
        let (here, small) = (words(&self.scope), words(&Scope::SMALL));
        let other: Vec<_> = here.iter().filter(|word| !small.contains(word)).map(String::as_str).collect();
        write!(out, "{:?} {{{}}}", self.mistake, other.join(", "))
    }
}

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// A process starts in the pod that the record names, and sees the record.
    Boot,
    /// A process sees the record, and its node has asked for so much.
    Sees(usize, Height),
    /// A node asks for a signature.
    Asks(usize, Height, Step, u8),
    /// A process is told to stop in good order.
    Stop(usize),
    /// A process is shown a foreign signature, true or not.
    Foreign(usize),
    /// An operator acts on what it believes, true or not.
    Operator(Event),
    /// A person makes sure that this pod has stopped for good, reads what it signed, and adopts the identity after it.
    Buried(usize),
    /// A request arrives.
    Arrives(usize),
    /// A pod is deleted by force, and its processes run on.
    Twin(usize),
    /// A volume is lost.
    Lost(usize),
    /// A copy is made of a volume.
    Kept(usize),
    /// And comes back.
    RolledBack,
    /// A copy is made of the record.
    KeptRecord,
    /// Or of a process.
    KeptProcess(usize),
    /// And comes back.
    Restored,
}

impl System {
    pub fn of(scope: Scope) -> Self {
        Self { scope, mistake: Mistake::None, recovers: false }
    }

    pub fn place(&self, at: Hrs) -> usize {
        let height = usize::try_from(at.height.0 - 1).expect("few");
        height * self.scope.steps + usize::from(at.step == Step::Precommit)
    }

    /// What operators may believe.
    fn beliefs(&self, world: &World) -> Vec<Event> {
        let epoch = world.tenure().epoch;
        let mut all =
            vec![Event::Wanted { epoch }, Event::Found { proof: None, share: Share::Small, waited: u64::MAX }];
        if self.scope.shares {
            all.push(Event::Found { proof: None, share: Share::Unknown, waited: u64::MAX });
        }
        if epoch < Epoch(self.scope.epochs) {
            // The two are alike: whoever is first is the first one.
            let members = if epoch == Epoch(0) { 0..1 } else { 0..2 };
            all.extend(members.map(|member| Event::Offered {
                pod: world.pods[member].clone(),
                activation: world.draw(member),
                hand_over: World::hand_over(),
            }));
        }
        if self.scope.slashes {
            all.push(Event::Shut(Shut::Punished));
        }
        all
    }

    /// How far a node is. Where the chain's head is taken for something, no node is further than the height after it.
    fn works_on_at_most(&self, world: &World) -> u64 {
        let highest = self.scope.heights.saturating_sub(self.scope.window);
        match self.scope.restores {
            Restores::RecordThenAdopted => highest.min(world.head(&self.scope).0 + 1),
            _ => highest,
        }
    }

    fn may_restore(&self, world: &World) -> bool {
        match self.scope.restores {
            Restores::Never => false,
            Restores::Record | Restores::RecordThenAdopted => world.kept_record.is_some(),
            Restores::Process => world.kept_process.is_some(),
            Restores::RecordThatAllKnow => {
                let knows =
                    |disk: &Disk| disk.known.is_some_and(|known| known.progress == world.record.progress());
                world.kept_record.is_some()
                    && world.processes.iter().all(|process| knows(&process.gate.disk))
                    && world.disks.iter().all(knows)
            }
        }
    }
}

impl Model for System {
    type State = World;
    type Action = Happening;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.scope)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Happening>) {
        if world.wrongs != Wrongs::default() {
            return;
        }
        let scope = &self.scope;
        for (which, process) in world.processes.iter().enumerate() {
            let highest = process.gate.hold().map_or(0, |_| self.works_on_at_most(world));
            actions.extend((0..=highest).map(|asked| Happening::Sees(which, Height(asked))));
            for height in (1..=scope.heights).filter(|_| process.gate.hold().is_some()) {
                for step in [Step::Prevote, Step::Precommit].into_iter().take(scope.steps) {
                    let at = Hrs { height: Height(height), round: 0, step };
                    // The first content is as good as any other.
                    let contents = if world.signed[self.place(at)].is_some() { 0..2 } else { 0..1 };
                    actions.extend(contents.map(|content| Happening::Asks(which, Height(height), step, content)));
                }
            }
            if world.stops < scope.stops && !process.gate.stopping {
                actions.push(Happening::Stop(which));
            }
            if world.foreign < scope.foreign {
                actions.push(Happening::Foreign(which));
            }
        }
        if world.next_boot < scope.boots && world.wanted().is_some() {
            actions.push(Happening::Boot);
        }
        for member in 0..2 {
            if world.twins < scope.twins {
                actions.push(Happening::Twin(member));
            }
            if world.losses < scope.losses {
                actions.push(Happening::Lost(member));
                if world.kept.is_none() {
                    actions.push(Happening::Kept(member));
                }
            }
        }
        if world.kept.is_some() && world.losses < scope.losses {
            actions.push(Happening::RolledBack);
        }
        match scope.restores {
            Restores::Never => {}
            _ if world.restored => {}
            Restores::Process if world.kept_process.is_none() => {
                actions.extend((0..world.processes.len()).map(Happening::KeptProcess));
            }
            Restores::Record | Restores::RecordThatAllKnow | Restores::RecordThenAdopted
                if world.kept_record.is_none() =>
            {
                actions.push(Happening::KeptRecord);
            }
            _ if self.may_restore(world) => actions.push(Happening::Restored),
            _ => {}
        }
        if scope.buries && matches!(world.record.phase, Phase::Revoking { .. }) && world.tenure().epoch < Epoch(2)
        {
            actions.extend([0, 1].map(Happening::Buried));
        }
        actions.extend((0..world.writes.len()).map(Happening::Arrives));
        actions.extend(self.beliefs(world).into_iter().map(Happening::Operator));
    }

    fn next_state(&self, last: &World, happening: Happening) -> Option<World> {
        let mut world = last.clone();
        self.happens(&mut world, happening)?;
        world.processes.sort_unstable();
        world.forget(&self.scope);
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_: &Self, world: &World| !world.wrongs.doubled),
            Property::always(APART, |_: &Self, world: &World| !world.wrongs.shared),
            Property::always(FORWARD, |_: &Self, world: &World| !world.wrongs.backwards),
            Property::always(SHUT, |_: &Self, world: &World| !world.wrongs.reopened),
            Property::always(OPEN, |system: &Self, world: &World| {
                system.scope.restores != Restores::Never
                    || world
                        .processes
                        .iter()
                        .all(|process| process.gate.disk.latched != Some(gate::Latch::Restored))
            }),
            Property::always(RECOVERS, |system: &Self, world: &World| {
                !system.recovers || recovery::somebody_signs_again(system, world)
            }),
            Property::sometimes(HANDS_OVER, |_: &Self, world: &World| {
                world.signed_in(1) > 0 && world.signed_in(2) > 0
            }),
        ]
    }
}
