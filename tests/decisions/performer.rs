//! Performs what the machine asks for in the toy world, and fails in every way there is. The ways to break the
//! machine itself are here too: the sweep must catch each of them.

use mainstay::{
    api::Phase,
    plan::Approval,
    remedy::{Doubt, Effect, End, Event, Outcome, SeatOutcome, State, resume, step},
};

use super::{
    story::What,
    world::{REMEDIATION, TARGET, World},
};

/// What goes wrong with one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    No,
    /// The process dies before it.
    DiesBefore,
    /// The process dies after it, before the answer.
    DiesAfter,
    /// It happens, and the answer is lost.
    AnswerLost,
    /// It does not happen, and nobody says so.
    NeverSent,
    /// An act that happens later than its sender is told "unknown".
    Late,
    /// The process dies, and what it resumes from is an old entry of a cache.
    StaleResume,
}

pub const FAULTS: [Fault; 6] =
    [Fault::DiesBefore, Fault::DiesAfter, Fault::AnswerLost, Fault::NeverSent, Fault::Late, Fault::StaleResume];

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    /// The announcement is not written.
    SkipsTheJournal,
    /// Whatever pod has the name is removed.
    IgnoresPreconditions,
    /// The first look has to do.
    SkipsTheLastLook,
    /// An unknown outcome is tried again without a look, and without the version.
    TriesAgainBlindly,
    /// Asking twice takes twice.
    TakesAnew,
    /// The seat is not given back.
    KeepsTheSeat,
    /// Everything is given back, whatever was done.
    GivesAllBack,
    /// Nothing is given back, whatever was not done.
    GivesNothingBack,
    /// The journal is written without a look at who else wrote.
    WritesBlindly,
    /// A resumed process trusts that nobody else acts.
    TrustsTheJournal,
    /// A step that was only written down counts as a seat.
    SimulatesASeat,
    /// The time of the act says whether it happened, and the end does not repeat it.
    AsksTheWitness,
    /// Acts although the mode no longer allows it.
    IgnoresTheMode,
    /// Takes what people have not said for a yes.
    TakesSilenceForYes,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Performer {
    mistake: Mistake,
    at: Option<(State, Effect)>,
    /// The version of the entry as it knows it.
    read: u64,
    /// Whether its last journal write was the announcement.
    announced: bool,
    /// What its last look since the announcement allowed.
    allowed: bool,
    looked: Option<Event>,
    takes: u32,
    pub done: bool,
}

impl Performer {
    pub fn new(mistake: Mistake) -> Self {
        Self { mistake, at: None, read: 0, announced: false, allowed: false, looked: None, takes: 0, done: false }
    }

    /// One unit of work: one effect with its answer, or getting up after a death. An error is a broken invariant.
    pub fn unit(&mut self, world: &mut World, fault: Fault) -> Result<(), String> {
        world.tick();
        let Some((state, effect)) = self.at.clone() else {
            self.get_up(world, world.journal.len() - 1);
            return Ok(());
        };
        match fault {
            Fault::DiesBefore => {
                self.at = None;
                return Ok(());
            }
            Fault::StaleResume => {
                self.get_up(world, world.journal.len().saturating_sub(2));
                return Ok(());
            }
            Fault::No | Fault::DiesAfter | Fault::AnswerLost | Fault::NeverSent | Fault::Late => {}
        }
        let event = match (fault, &effect) {
            (Fault::NeverSent, _) => nobody_knows(&effect, world.now),
            (Fault::Late, Effect::Act { resource_version }) if world.story.what != What::Page => {
                self.may_act(world)?;
                world.in_flight.push((TARGET.into(), resource_version.parse().unwrap_or(0)));
                nobody_knows(&effect, world.now)
            }
            _ => {
                let event = self.perform(&effect, world)?;
                if fault == Fault::AnswerLost { self.without_answer(&effect, world) } else { event }
            }
        };
        if fault == Fault::DiesAfter {
            self.at = None;
            return Ok(());
        }
        let (mut state, mut effect) = step(&world.order(), &state, event);
        if self.mistake == Mistake::SkipsTheLastLook
            && matches!((&state, &effect), (State::Checking { doubt: Doubt::None, .. }, Effect::Look))
            && let Some(seen) = self.looked.clone()
        {
            (state, effect) = step(&world.order(), &state, seen);
        }
        self.at = match effect {
            Effect::Later(millis) => {
                world.now += i64::try_from(millis).expect("a short time");
                None
            }
            Effect::Nothing => {
                self.done = true;
                None
            }
            effect => Some((state, effect)),
        };
        Ok(())
    }

    fn get_up(&mut self, world: &World, version: usize) {
        let entry = &world.journal[version];
        if entry.phase.is_final() && !entry.finalizer {
            self.done = true;
            return;
        }
        let mut end = End::of(entry.phase, &entry.reason, entry.acted_at);
        if self.mistake == Mistake::AsksTheWitness {
            end.acted = entry.acted_at.is_some();
        }
        let (mut state, effect) = resume(entry.phase, entry.deadline, &end);
        if let (Mistake::TrustsTheJournal, State::Checking { doubt, .. }) = (self.mistake, &mut state) {
            *doubt = Doubt::None;
        }
        (self.read, self.announced, self.allowed) = (entry.version, false, false);
        self.at = Some((state, effect));
    }

    fn perform(&mut self, effect: &Effect, world: &mut World) -> Result<Event, String> {
        let event = match effect {
            Effect::Look => {
                let (pod, refused, simulated) = world.look();
                let approval = world.approval();
                let approved = matches!(approval, Approval::NotNeeded | Approval::Given);
                self.allowed = refused.is_none() && !simulated && approved;
                let simulated = simulated && !(self.mistake == Mistake::IgnoresTheMode && self.announced);
                let said = if self.mistake == Mistake::TakesSilenceForYes { Approval::Given } else { approval };
                let event = Event::Looked { pod, refused, simulated, approval: said, now: world.now };
                self.looked = Some(event.clone());
                event
            }
            Effect::TakeSeat { simulated } => self.take(*simulated, world),
            Effect::Write(entry) => {
                if self.mistake == Mistake::SkipsTheJournal && entry.phase == Phase::Acting {
                    return Ok(Event::Written);
                }
                let read = if self.mistake == Mistake::WritesBlindly { world.entry().version } else { self.read };
                match world.write(entry, read) {
                    Ok(version) => {
                        self.read = version;
                        (self.announced, self.allowed) = (entry.phase == Phase::Acting, false);
                        Event::Written
                    }
                    Err(why) => Event::Failed(why),
                }
            }
            Effect::Act { resource_version } => self.act(resource_version, world)?,
            Effect::Observe { .. } => Event::Observed { observation: world.observe(), now: world.now },
            Effect::Release { acted, exhausted } => {
                match self.mistake {
                    Mistake::KeepsTheSeat => {}
                    Mistake::GivesAllBack => world.release(false, *exhausted),
                    Mistake::GivesNothingBack => world.release(true, *exhausted),
                    _ => world.release(*acted, *exhausted),
                }
                Event::Released
            }
            Effect::LetGo => {
                if !world.entry().phase.is_final() {
                    return Err("let go before the end".into());
                }
                if world.seated() && !world.shared {
                    return Err("let go while the seat is held".into());
                }
                world.let_go();
                Event::LetGo
            }
            Effect::Later(_) | Effect::Nothing => Event::Failed("nothing to perform".into()),
        };
        Ok(event)
    }

    fn take(&mut self, simulated: bool, world: &mut World) -> Event {
        self.takes += 1;
        let recorded = world.ledger.actions.iter().any(|action| action.remediation == REMEDIATION);
        if self.mistake == Mistake::SimulatesASeat && recorded {
            return Event::Seated(SeatOutcome::Taken);
        }
        let uid = match self.mistake {
            Mistake::TakesAnew if self.takes > 1 => format!("{REMEDIATION}-{}", self.takes),
            _ => REMEDIATION.to_owned(),
        };
        Event::Seated(match world.take(simulated, &uid) {
            Ok(()) => SeatOutcome::Taken,
            Err((guard, why)) => SeatOutcome::Refused(guard, why),
        })
    }

    fn act(&mut self, resource_version: &str, world: &mut World) -> Result<Event, String> {
        self.may_act(world)?;
        if world.story.what == What::Page {
            return Ok(Event::Acted { outcome: world.page(), now: world.now });
        }
        if world.story.restless {
            world.pod.version += 1;
        }
        let mut version = resource_version.parse().unwrap_or(0);
        let uid = if self.mistake == Mistake::IgnoresPreconditions {
            version = world.pod.version;
            world.pod.uid.clone()
        } else {
            TARGET.to_owned()
        };
        Ok(Event::Acted { outcome: world.act(&uid, version, false), now: world.now })
    }

    fn without_answer(&self, effect: &Effect, world: &mut World) -> Event {
        if self.mistake == Mistake::TriesAgainBlindly
            && matches!(effect, Effect::Act { .. })
            && world.story.what != What::Page
        {
            let version = world.pod.version;
            return Event::Acted { outcome: world.act(TARGET, version, false), now: world.now };
        }
        nobody_knows(effect, world.now)
    }

    /// Who acts has announced it last, and has looked since, and the look allowed it.
    fn may_act(&self, world: &World) -> Result<(), String> {
        // The mistake must show in what it does, not in this.
        let trusts = self.mistake == Mistake::TrustsTheJournal;
        if !self.announced && world.story.what != What::Page && !trusts {
            return Err("an act that this process did not announce".into());
        }
        if !self.allowed {
            return Err("an act that the last look did not allow".into());
        }
        if world.entry().phase == Phase::Pending {
            return Err("an act without a journal".into());
        }
        Ok(())
    }
}

fn nobody_knows(effect: &Effect, now: i64) -> Event {
    match effect {
        Effect::Act { .. } => Event::Acted { outcome: Outcome::Unknown("no answer".into()), now },
        _ => Event::Failed("no answer".into()),
    }
}
