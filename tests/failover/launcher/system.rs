//! The world of launchers: clocks that tick and may skip, machines that pause, orphans that the kubelet takes for dead.

use std::sync::Arc;

use mainstay::failover::{
    Activation, Boot, Epoch, Event, HandOver, Height, Held, Holder, Phase, Pod, Proof, Record, Share, Timing,
    gate::{Launcher, Me, lasts},
    off::Watch,
    step,
};
use stateright::{Model, Property};

use super::machine::Node;
use crate::world::pod;

pub const ALONE: &str = "never two commands run at once";
pub const TAKES_OVER: &str = "the second member's command runs";
/// What every clock shows: remaining times are kept, and not instants, so that there are few states.
const NOW: u64 = 100;
const HOLD: u64 = 2;
/// Clocks without a fault.
pub const EXACT: [u64; 2] = [3, 3];

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    WaitsOneLess,
    CountsFromTheReply,
    TakesForceDeleteForProof,
    HolderByMember,
    SealsBeforeTheEnd,
    ComesBackAfterItsSeal,
    /// A renewal of its Lease does not spoil a taint.
    IgnoresTheLease,
    /// A taint that was there before anybody looked counts.
    TrustsAnOldTaint,
    /// No mistake of ours: whoever taints a machine that only stands still is believed.
    TaintedWhileItStands,
}

/// Launchers of `a`, `b`, and of a twin of `a`'s pod.
#[derive(Clone, Copy, Debug)]
pub struct Launchers {
    pub mistake: Mistake,
    /// How many ticks a launcher's clock may lose, whenever it likes.
    pub drift: u64,
    /// How fast clocks are, in thirds of the true pace: the launchers', and the operators'.
    pub pace: [u64; 2],
    /// How many processes there may be: the first member's, the second's, and that of a twin of the first one's pod.
    pub processes: usize,
    /// How many operators there are.
    pub operators: usize,
    /// Whether the first machine may be said to be off, and is from the beginning.
    pub taints: Option<bool>,
}

#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    launcher: Launcher,
    /// Until when the launcher has told its keeper to let the command run, while it runs.
    runs: Option<u64>,
    /// Whether the machine stands still.
    pub paused: bool,
    /// Whether the container runtime has forgotten it: the kubelet takes it for dead.
    orphan: bool,
    dead: bool,
    /// How many ticks its clock has lost.
    lost: u64,
    /// A question on its way: its age by the launcher's clock, and what the API server answered.
    question: Option<(u64, Option<Record>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    record: Record,
    pub processes: Vec<Process>,
    /// Which of three ticks this is, where clocks have a pace.
    third: u64,
    /// For how long each operator has known of `Revoking`.
    waited: Vec<Option<u64>>,
    /// Whether the kubelet has confirmed the end of each pod.
    confirmed: Vec<bool>,
    pauses: u8,
    twin: bool,
    /// The first member's machine, and what each operator has seen of it.
    pub node: Node,
    pub watches: Vec<Watch>,
    /// For how long each operator has seen it tainted.
    pub silent: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// A tick passes; this launcher's clock misses it.
    Tick(Option<usize>),
    Asks(usize),
    Served(usize),
    Answered(usize),
    /// Its command ends by itself.
    Ends(usize),
    /// Its command ends because it was told to.
    Stops(usize),
    Pauses(usize),
    Resumes(usize),
    /// The container runtime dies, the process runs on, and the kubelet says that it has ended.
    Orphaned(usize),
    /// The kubelet kills it, and says so.
    Killed(usize),
    /// The first pod is deleted by force, and a twin is made.
    Forced,
    Wanted,
    Observes(usize),
    /// An operator is killed, and starts anew.
    Restarts(usize),
    Finds(usize),
    Offers,
    /// The first member's machine goes off for good.
    Off,
    /// Somebody says that it is off.
    Tainted,
    /// Its kubelet renews its Lease.
    Renewed,
}

fn place(which: usize) -> Arc<Pod> {
    Arc::new(if which == 2 { pod(0, 1) } else { pod(which, 0) })
}

/// How far a clock of this pace moves at a tick: one of three is skipped, or counts twice.
fn moves(pace: u64, third: u64) -> u64 {
    if third > 0 { 1 } else { pace - 2 }
}

impl Launchers {
    pub fn timing(self) -> Timing {
        let drift = if self.pace == EXACT { 0 } else { 333 };
        Timing { hold: HOLD, drift, margin: self.drift }
    }

    fn answered(self, world: &mut World, which: usize) -> Option<()> {
        let (age, record) = world.processes[which].question.take()?;
        let (record, mut shown) = (record.clone()?, record?);
        let process = &mut world.processes[which];
        if let Phase::Active(holder) = &shown.phase
            && self.mistake == Mistake::HolderByMember
            && holder.pod.member == process.launcher.me.pod.member
        {
            let Me { pod, boot } = process.launcher.me.clone();
            shown.phase = Phase::Active(Holder { pod, boot: Some(boot) });
        }
        let sent = if self.mistake == Mistake::CountsFromTheReply { NOW } else { NOW - age };
        process.launcher.runs = process.runs.is_some() && self.mistake != Mistake::SealsBeforeTheEnd;
        if self.mistake == Mistake::ComesBackAfterItsSeal && shown.sealed.is_some() {
            (process.launcher.over, shown.sealed) = (false, None);
        }
        let (launcher, claim) = process.launcher.seen(&shown, sent);
        process.launcher = launcher;
        // A command that is told to end takes its time, but not more than it was given before.
        if process.launcher.may_run(NOW) {
            process.runs = process.launcher.until;
        }
        // A compare-and-swap: the record has not changed since it was served.
        if let Some(claim) = claim
            && world.record == record
        {
            world.record = claim;
        }
        Some(())
    }

    fn finds(self, world: &World, operator: usize) -> Option<Record> {
        let holder = world.record.holder()?.pod.clone();
        let which = (0..self.processes).find(|which| place(*which) == holder)?;
        let proof = world.confirmed[which].then_some(Proof::KubeletConfirmed(holder.clone()));
        let proof = proof.or_else(|| self.off(world, operator, &holder).filter(|_| which == 0));
        let more = u64::from(self.mistake == Mistake::WaitsOneLess);
        let waited = world.waited[operator]? + more;
        Some(step(&world.record, Event::Found { proof, share: Share::Unknown, waited }).0)
    }

    fn ticks(self, world: &mut World, missed: Option<usize>) {
        let [launchers, operators] = self.pace.map(|pace| moves(pace, world.third));
        if self.pace != EXACT {
            world.third = (world.third + 1) % 3;
        }
        for (which, process) in world.processes.iter_mut().enumerate() {
            // A machine that stands still kills nothing.
            if process.paused || process.dead {
                continue;
            }
            if missed == Some(which) {
                process.lost += 1;
                continue;
            }
            process.launcher.until =
                process.launcher.until.map(|until| until - launchers).filter(|until| *until > NOW);
            process.runs = process.runs.map(|until| until - launchers).filter(|until| lasts(*until, NOW));
            if let Some((age, _)) = &mut process.question {
                *age += launchers;
            }
            // Whoever waits longer than a hold learns nothing.
            process.question = process.question.take().filter(|(age, _)| *age <= HOLD);
        }
        for waited in world.waited.iter_mut().flatten() {
            *waited = (*waited + operators).min(self.timing().wait());
        }
        for (silent, watch) in world.silent.iter_mut().zip(&world.watches) {
            if matches!(watch, Watch::Tainted { .. }) {
                *silent = (*silent + operators).min(self.timing().wait());
            }
        }
    }
}

impl Model for Launchers {
    type State = World;
    type Action = Happening;

    fn init_states(&self) -> Vec<World> {
        let fresh = Record::adopted(Epoch(0), Activation(0), Height(0));
        let hand_over = HandOver::Launcher(Held::Command, self.timing());
        let first = Event::Offered { pod: place(0), activation: Activation(1), hand_over };
        let process = |which: usize| Process {
            launcher: Launcher::new(
                Me { pod: place(which), boot: Boot(u128::try_from(which).expect("few")) },
                Held::Command,
            ),
            runs: None,
            paused: false,
            orphan: false,
            dead: false,
            lost: 0,
            question: None,
        };
        vec![World {
            record: step(&fresh, first).0,
            processes: (0..self.processes).map(process).collect(),
            third: 0,
            waited: vec![None; self.operators],
            confirmed: vec![false; self.processes],
            pauses: 0,
            twin: false,
            node: Node { tainted: self.taints == Some(true), renewed: false, off: false, lively: false },
            watches: vec![Watch::Unseen; self.operators],
            silent: vec![0; self.operators],
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Happening>) {
        actions.extend([Happening::Tick(None), Happening::Wanted, Happening::Offers]);
        actions.extend(
            (0..self.operators)
                .flat_map(|who| [Happening::Observes(who), Happening::Restarts(who), Happening::Finds(who)]),
        );
        // What else can end a command is tried without this, and this without it: else there are too many states.
        let machines = self.taints.is_some();
        if !world.twin && !machines {
            actions.push(Happening::Forced);
        }
        self.of_the_machine(world, actions);
        for (which, process) in world.processes.iter().enumerate() {
            if process.dead || which == 2 && !world.twin {
                continue;
            }
            if process.paused {
                actions.push(Happening::Resumes(which));
                continue;
            }
            if process.lost < self.drift {
                actions.push(Happening::Tick(Some(which)));
            }
            actions.push(match process.question {
                None => Happening::Asks(which),
                Some((_, None)) => Happening::Served(which),
                Some((_, Some(_))) => Happening::Answered(which),
            });
            if process.runs.is_some() {
                if !process.launcher.may_run(NOW) {
                    actions.push(Happening::Stops(which));
                } else if !machines {
                    actions.push(Happening::Ends(which));
                }
            }
            // Time does not cover a machine that stands still, nor the kubelet an orphan: never both, that is assumed.
            if !process.orphan && which == 0 {
                if !machines {
                    actions.push(Happening::Killed(which));
                }
                if world.pauses == 0 && !machines {
                    actions.push(Happening::Orphaned(which));
                }
                if world.pauses == 0 && self.is_seen_to_run(world) {
                    actions.push(Happening::Pauses(which));
                }
            }
        }
    }

    fn next_state(&self, last: &World, happening: Happening) -> Option<World> {
        let mut world = last.clone();
        match happening {
            Happening::Tick(missed) => self.ticks(&mut world, missed),
            Happening::Asks(which) => world.processes[which].question = Some((0, None)),
            Happening::Served(which) => {
                let record = world.record.clone();
                world.processes[which].question.as_mut()?.1 = Some(record);
            }
            Happening::Answered(which) => self.answered(&mut world, which)?,
            Happening::Ends(which) => {
                let process = &mut world.processes[which];
                (process.launcher, process.runs) = (process.launcher.retired(), None);
            }
            Happening::Stops(which) => world.processes[which].runs = None,
            Happening::Pauses(which) => {
                world.pauses += 1;
                world.processes[which].paused = true;
            }
            Happening::Resumes(which) => world.processes[which].paused = false,
            Happening::Orphaned(which) => {
                world.processes[which].orphan = true;
                world.confirmed[which] = true;
            }
            Happening::Killed(which) => {
                (world.processes[which].dead, world.processes[which].runs) = (true, None);
                world.confirmed[which] = true;
            }
            Happening::Forced => {
                world.twin = true;
                world.confirmed[0] |= self.mistake == Mistake::TakesForceDeleteForProof;
            }
            Happening::Wanted => {
                world.record = step(&world.record, Event::Wanted { epoch: Epoch(1) }).0;
            }
            Happening::Observes(operator) => {
                let revoking = matches!(world.record.phase, Phase::Revoking { .. });
                world.waited[operator] = world.waited[operator].or(revoking.then_some(0));
                self.looks(&mut world, operator);
            }
            Happening::Restarts(operator) => {
                (world.waited[operator], world.watches[operator], world.silent[operator]) =
                    (None, Watch::Unseen, 0);
            }
            Happening::Finds(operator) => {
                self.looks(&mut world, operator);
                world.record = self.finds(&world, operator)?;
            }
            Happening::Offers => {
                let hand_over = HandOver::Launcher(Held::Command, self.timing());
                let offer = Event::Offered { pod: place(1), activation: Activation(2), hand_over };
                world.record = step(&world.record, offer).0;
            }
            Happening::Off => {
                world.node.off = true;
                (world.processes[0].dead, world.processes[0].runs) = (true, None);
            }
            Happening::Tainted => world.node.tainted = true,
            Happening::Renewed => {
                world.node.renewed = true;
                world.node.lively = world.watches.iter().any(|watch| matches!(watch, Watch::Tainted { .. }));
            }
        }
        if !matches!(world.record.phase, Phase::Revoking { .. }) {
            world.waited.fill(None);
        }
        // Operators are alike, where they know nothing else.
        if self.taints.is_none() {
            world.waited.sort_unstable();
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ALONE, |_: &Self, world: &World| {
                let running = |process: &&Process| process.runs.is_some() && !process.paused;
                world.processes.iter().filter(running).count() <= 1
            }),
            Property::sometimes(TAKES_OVER, |_: &Self, world: &World| world.processes[1].runs.is_some()),
        ]
    }
}
