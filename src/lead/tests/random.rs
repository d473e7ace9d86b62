//! Whatever is lost, late, deleted or restarted: never two leaders at one instant.

use proptest::prelude::*;

use crate::lead::{Answer, Candidate, Effect, Event, Input, Lease, Mono, Term, Timing, step};

/// One thing that chance does. Numbers are taken modulo whatever they choose from.
#[derive(Clone, Debug)]
enum Act {
    /// Time passes for all.
    Pass(u64),
    /// A candidate's call is carried out; its answer is on the way.
    Carry(usize),
    /// A candidate's call is answered, or its wait is over.
    Answer(usize),
    /// A call's answer, or the call itself, is lost; the call may still be carried out later.
    Lose(usize, bool),
    /// A lost call arrives after all.
    Arrive(usize),
    /// Somebody deletes the lease.
    Delete,
    /// A candidate leaves with grace, or is killed; another takes its place.
    Leave(usize),
    Kill(usize),
}

#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    revision: u64,
}

struct Person {
    candidate: Candidate,
    name: String,
    /// How far its clock is off.
    skew: u64,
    wants: Effect,
    /// The answer that is on the way.
    answer: Option<Answer>,
    woken_at: u64,
}

impl Server {
    fn carry(&mut self, name: &str, effect: &Effect) -> Answer {
        match (effect, &mut self.lease) {
            (Effect::Read, Some(lease)) => Answer::Lease(lease.clone()),
            (Effect::Read, None) => Answer::Absent,
            (Effect::Create, None) => {
                self.revision += 1;
                let (uid, version) = (format!("uid-{}", self.revision), self.revision.to_string());
                let lease = Lease { uid, version, holder: Some(name.into()), duration: 15_000 };
                Answer::Lease(self.lease.insert(lease).clone())
            }
            (Effect::Replace { version, holder }, Some(lease)) if lease.version == *version => {
                self.revision += 1;
                lease.version = self.revision.to_string();
                lease.holder.clone_from(holder);
                Answer::Lease(lease.clone())
            }
            _ => Answer::Refused,
        }
    }
}

impl Person {
    fn new(serial: usize, now: u64) -> Self {
        let name = format!("run-{serial}");
        let skew = serial as u64 * 7_919_000;
        let candidate = Candidate::new(&name, Timing::default());
        let mut person = Self { candidate, name, skew, wants: Effect::Done, answer: None, woken_at: now };
        person.tell(now, Input::Woke);
        person
    }
    fn tell(&mut self, now: u64, input: Input) {
        let event = Event { now: Mono(now + self.skew), dice: now, input };
        let (next, wants) = step(self.candidate.clone(), event);
        if let Effect::Wait(millis) = wants {
            self.woken_at = now + millis;
        }
        (self.candidate, self.wants, self.answer) = (next, wants, None);
    }
    fn calls(&self) -> bool {
        !matches!(self.wants, Effect::Wait(_) | Effect::Done)
    }
    /// What is left of its term, in true time.
    fn term(&self, now: u64) -> Term {
        let Term { from, until } = self.candidate.term();
        Term {
            from: Mono(from.0.saturating_sub(self.skew).max(now)),
            until: Mono(until.0.saturating_sub(self.skew)),
        }
    }
}

fn overlap(a: Term, b: Term) -> bool {
    a.from.max(b.from) < a.until.min(b.until)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0_u64..3_000).prop_map(Act::Pass),
        1 => (3_000_u64..16_000).prop_map(Act::Pass),
        4 => (0_usize..3).prop_map(Act::Carry),
        12 => (0_usize..3).prop_map(Act::Answer),
        2 => (0_usize..3, any::<bool>()).prop_map(|(who, late)| Act::Lose(who, late)),
        1 => (0_usize..8).prop_map(Act::Arrive),
        1 => Just(Act::Delete),
        1 => (0_usize..3).prop_map(Act::Leave),
        1 => (0_usize..3).prop_map(Act::Kill),
    ]
}

/// Plays a history and returns how often somebody was seen leading.
fn play(acts: &[Act], candidates: usize) -> Result<usize, TestCaseError> {
    let (mut server, mut now, mut late) = (Server::default(), 0_u64, Vec::<(String, Effect)>::new());
    let mut people: Vec<_> = (0..candidates).map(|serial| Person::new(serial, now)).collect();
    let (mut serial, mut led) = (candidates, 0);
    for act in acts {
        match *act {
            Act::Pass(millis) => now += millis,
            Act::Carry(who) => {
                let person = &mut people[who % candidates];
                if person.calls() && person.answer.is_none() {
                    person.answer = Some(server.carry(&person.name, &person.wants));
                }
            }
            Act::Answer(who) => {
                let person = &mut people[who % candidates];
                if person.calls() {
                    let answer = person.answer.take().unwrap_or_else(|| server.carry(&person.name, &person.wants));
                    person.tell(now, Input::Answered(answer));
                } else if person.woken_at <= now && person.wants != Effect::Done {
                    person.tell(now, Input::Woke);
                }
            }
            Act::Lose(who, arrives_later) => {
                let person = &mut people[who % candidates];
                if !person.calls() {
                    continue;
                }
                if arrives_later && person.answer.is_none() {
                    late.push((person.name.clone(), person.wants.clone()));
                } else if person.answer.is_none() {
                    server.carry(&person.name, &person.wants);
                }
                now += 3_000;
                person.tell(now, Input::Answered(Answer::Unknown));
            }
            Act::Arrive(which) if !late.is_empty() => {
                let (name, effect) = late.swap_remove(which % late.len());
                server.carry(&name, &effect);
            }
            Act::Delete => server.lease = None,
            Act::Leave(who) if matches!(people[who % candidates].wants, Effect::Wait(_)) => {
                people[who % candidates].tell(now, Input::Leave);
            }
            Act::Arrive(_) | Act::Leave(_) => {}
            Act::Kill(who) => {
                people[who % candidates] = Person::new(serial, now);
                serial += 1;
            }
        }
        for one in 0..candidates {
            led += usize::from(people[one].term(now).contains(Mono(now)));
            for other in one + 1..candidates {
                let (a, b) = (people[one].term(now), people[other].term(now));
                prop_assert!(!overlap(a, b), "two leaders: {} {a:?} and {} {b:?} at {now}", one, other);
            }
        }
    }
    Ok(led)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_never_lead_at_one_instant(acts in prop::collection::vec(act(), 1..250)) {
        play(&acts, 2)?;
    }

    #[test]
    fn nor_do_two_of_three(acts in prop::collection::vec(act(), 1..250)) {
        play(&acts, 3)?;
    }
}

#[test]
fn the_histories_are_not_idle() {
    let quiet: Vec<_> = (0..200).flat_map(|_| [Act::Pass(500), Act::Answer(0), Act::Answer(1)]).collect();
    assert!(play(&quiet, 2).unwrap() > 300);
}
