//! Every transition, one by one.

use crate::lead::{Answer, Candidate, Effect, Event, Input, Lease, Mono, Timing, step};

/// A candidate with its own clock and a memory of what it wants to do.
struct Person {
    candidate: Candidate,
    now: u64,
    wants: Effect,
}

fn person(name: &str) -> Person {
    let mut person =
        Person { candidate: Candidate::new(name, Timing::default()), now: 1_000_000, wants: Effect::Done };
    person.tell(Input::Woke);
    person
}

fn lease(version: u64, holder: Option<&str>) -> Lease {
    Lease { uid: "u".into(), version: version.to_string(), holder: holder.map(Into::into), duration: 15_000 }
}

fn replace(version: u64, holder: Option<&str>) -> Effect {
    Effect::Replace { version: version.to_string(), holder: holder.map(Into::into) }
}

impl Person {
    fn tell(&mut self, input: Input) -> &mut Self {
        let (next, wants) = step(self.candidate.clone(), Event { now: Mono(self.now), dice: 0, input });
        self.candidate = next;
        self.wants = wants;
        self
    }
    fn hears(&mut self, answer: Answer) -> &mut Self {
        self.tell(Input::Answered(answer))
    }
    fn sees(&mut self, version: u64, holder: Option<&str>) -> &mut Self {
        self.hears(Answer::Lease(lease(version, holder)))
    }
    fn after(&mut self, millis: u64) -> &mut Self {
        self.now += millis;
        self
    }
    fn wakes(&mut self) -> &mut Self {
        self.tell(Input::Woke)
    }
    fn leads(&self) -> bool {
        self.candidate.term().contains(Mono(self.now))
    }
    /// Leads since just now, at version 2.
    fn leading(mut self) -> Self {
        self.sees(1, None).sees(2, Some("a"));
        assert!(self.leads());
        self
    }
}

#[test]
fn a_free_lease_is_taken_at_once() {
    let mut a = person("a");
    assert_eq!(a.wants, Effect::Read);
    a.sees(1, None);
    assert_eq!(a.wants, replace(1, Some("a")));
    assert!(!a.leads(), "asking is not having");
    a.after(50).sees(2, Some("a"));
    assert!(a.leads());
    assert_eq!(a.wants, Effect::Wait(2_000));
}

#[test]
fn a_foreign_lease_is_waited_out_by_the_local_clock_alone() {
    let mut b = person("b");
    b.sees(7, Some("a"));
    for _ in 0..7 {
        assert_eq!(b.wants, Effect::Wait(2_000));
        b.after(2_000).wakes().sees(7, Some("a"));
    }
    assert_eq!(b.wants, Effect::Wait(1_000), "no longer than the lease has left");
    b.after(1_000).wakes().sees(7, Some("a"));
    assert_eq!(b.wants, replace(7, Some("b")));
}

#[test]
fn every_sign_of_life_starts_the_wait_anew() {
    let mut b = person("b");
    b.sees(7, Some("a")).after(14_999).wakes().sees(8, Some("a")).after(14_999).wakes().sees(8, Some("a"));
    assert_eq!(b.wants, Effect::Wait(1));
}

#[test]
fn a_longer_foreign_lease_is_respected_within_reason() {
    for (theirs, ours) in [(0, 15_000), (5_000, 15_000), (30_000, 30_000), (u64::MAX, 60_000)] {
        let mut b = person("b");
        let foreign = Lease { duration: theirs, ..lease(7, Some("a")) };
        b.hears(Answer::Lease(foreign.clone())).after(ours - 1).wakes().hears(Answer::Lease(foreign.clone()));
        assert_eq!(b.wants, Effect::Wait(1));
        b.after(1).wakes().hears(Answer::Lease(foreign));
        assert_eq!(b.wants, replace(7, Some("b")));
    }
}

#[test]
fn a_leader_renews_without_reading_and_leads_from_when_it_sent() {
    let mut a = person("a").leading();
    a.after(2_000).wakes();
    assert_eq!(a.wants, replace(2, Some("a")));
    a.after(2_900).sees(3, Some("a")).after(10_000 - 2_900 - 1);
    assert!(a.leads());
    a.after(1);
    assert!(!a.leads(), "counted from the sending, not from the answer");
}

#[test]
fn a_lost_answer_extends_nothing_and_the_next_look_settles_it() {
    let mut a = person("a").leading();
    a.after(2_000).wakes().after(3_000).hears(Answer::Unknown);
    assert_eq!(a.wants, Effect::Wait(2_000));
    a.after(2_000).wakes();
    assert_eq!(a.wants, Effect::Read);
    a.sees(3, Some("a"));
    assert!(a.leads(), "7 s after the last confirmed renewal");
    assert_eq!(a.wants, replace(3, Some("a")));
    a.after(3_000).hears(Answer::Unknown);
    assert!(!a.leads(), "10 s after it, whatever the API server holds");
    a.after(2_000).wakes().sees(4, Some("a")).sees(5, Some("a"));
    assert!(a.leads());
}

#[test]
fn a_refused_write_is_looked_into() {
    let mut b = person("b");
    b.sees(1, None).hears(Answer::Refused);
    assert_eq!(b.wants, Effect::Wait(2_000));
    b.after(2_000).wakes().sees(2, Some("a"));
    assert_eq!(b.wants, Effect::Wait(2_000));
    assert!(!b.leads());
}

#[test]
fn a_leader_whose_lease_was_taken_stands_back() {
    let mut a = person("a").leading();
    a.after(2_000).wakes().hears(Answer::Refused).after(2_000).wakes().sees(3, Some("b"));
    assert_eq!(a.wants, Effect::Wait(2_000));
    a.after(6_000);
    assert!(!a.leads());
}

#[test]
fn a_new_lease_is_on_probation() {
    let mut a = person("a");
    a.hears(Answer::Absent);
    assert_eq!(a.wants, Effect::Create);
    a.sees(1, Some("a"));
    for version in 2..=8 {
        assert!(!a.leads(), "someone may still lead under the deleted lease");
        a.after(2_000).wakes().sees(version, Some("a"));
    }
    a.after(1_000);
    assert!(a.leads());
}

#[test]
fn a_lease_made_by_a_lost_create_is_on_probation_too() {
    let mut a = person("a");
    a.hears(Answer::Absent).after(3_000).hears(Answer::Unknown).after(2_000).wakes().sees(1, Some("a"));
    a.sees(2, Some("a")).after(1);
    assert!(!a.leads());
}

#[test]
fn so_is_one_that_a_long_lost_create_made_after_all() {
    let mut a = person("a");
    a.hears(Answer::Absent).hears(Answer::Unknown).after(2_000).wakes().sees(1, Some("b"));
    a.after(2_000).wakes().hears(Answer::Lease(Lease { uid: "v".into(), ..lease(5, Some("a")) }));
    a.hears(Answer::Lease(Lease { uid: "v".into(), ..lease(6, Some("a")) }));
    assert!(!a.leads());
}

#[test]
fn a_deleted_lease_ends_the_term_at_its_deadline_and_a_new_one_begins_after_probation() {
    let mut a = person("a").leading();
    a.after(2_000).wakes().hears(Answer::Refused).after(2_000).wakes().hears(Answer::Absent);
    assert_eq!(a.wants, Effect::Create);
    assert!(a.leads(), "nobody else can lead before our deadline");
    a.hears(Answer::Lease(Lease { uid: "v".into(), ..lease(9, Some("a")) }));
    assert!(!a.leads());
}

#[test]
fn a_leaver_stops_leading_and_frees_the_lease() {
    let mut a = person("a").leading();
    a.tell(Input::Leave);
    assert!(!a.leads());
    assert_eq!(a.wants, replace(2, None));
    a.sees(3, None);
    assert_eq!(a.wants, Effect::Done);
}

#[test]
fn a_leaver_tries_again_but_not_for_ever() {
    let mut a = person("a").leading();
    a.tell(Input::Leave).hears(Answer::Unknown);
    assert_eq!(a.wants, Effect::Read);
    a.sees(2, Some("a"));
    assert_eq!(a.wants, replace(2, None));
    a.hears(Answer::Unknown);
    assert_eq!(a.wants, Effect::Done);
}

#[test]
fn a_leaver_frees_nothing_that_is_not_its_own() {
    let mut b = person("b");
    b.sees(7, Some("a")).tell(Input::Leave);
    assert_eq!(b.wants, Effect::Done);

    let mut on_probation = person("a");
    on_probation.hears(Answer::Absent).sees(1, Some("a")).tell(Input::Leave);
    assert_eq!(on_probation.wants, Effect::Done, "who finds a lease free leads at once");
}

#[test]
fn retries_spread_but_stay_near_the_retry_period() {
    for dice in [0, 1, 499, 500, 501, u64::MAX] {
        let event = Event { now: Mono(1), dice, input: Input::Answered(Answer::Unknown) };
        let (_, wants) = step(Candidate::new("a", Timing::default()), event);
        assert!(matches!(wants, Effect::Wait(2_000..=2_500)), "{wants:?}");
    }
}
