//! A story as a timeline and a table, or as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    api::{Duration, Phase, policy::Mode},
    judge::VerdictKind,
    plan::Step,
    policy::{NetworkPlan, Policy},
    sim::{Event, Story, What},
};

const VERDICTS: [VerdictKind; 4] =
    [VerdictKind::Healthy, VerdictKind::Suspect, VerdictKind::Unhealthy, VerdictKind::Unknown];
const STEPS: [Step; 5] = [Step::Reroute, Step::Rejoin, Step::Restart, Step::Job, Step::Page];

/// For people.
pub fn text(policy: &Policy, network: &NetworkPlan, story: &Story, scenario: Option<&str>) -> String {
    let mut page = String::new();
    let what = match scenario {
        Some(name) => format!("scenario {name}, a block every {}", Duration::from_millis(network.block_time)),
        None => {
            "a recording: nothing that is done changes it, so steps are only written down, as in DryRun".into()
        }
    };
    let id = &policy.id;
    let _ = writeln!(page, "policy {}/{}: {what}", id.namespace, id.name);
    let begins = jiff::Timestamp::from_millisecond(story.begins_at).unwrap_or_default();
    let targets = story.tracks.len();
    let _ = writeln!(page, "{targets} targets from {begins:.0} for {}\n", Duration::from_millis(story.until));
    let width = story.tracks.keys().map(String::len).max().unwrap_or(0).max(6);
    for event in &story.events {
        let (word, more) = words(event);
        let _ = writeln!(page, "{:>9}  {:<width$}  {word:<10} {more}", clock(event.at), event.target);
    }
    let _ = writeln!(
        page,
        "\n{:<width$}  {:>8} {:>8} {:>9} {:>8}  {:>8} {:>7} {:>8} {:>4} {:>5}  held longest by",
        "target", "healthy", "suspect", "unhealthy", "unknown", "reroutes", "rejoins", "restarts", "jobs", "pages"
    );
    for (name, track) in &story.tracks {
        let share = |kind| 100.0 * ratio(track.time(kind, story.until), story.until);
        let [healthy, suspect, unhealthy, unknown] = VERDICTS.map(share);
        let [reroutes, rejoins, restarts, jobs, pages] = STEPS.map(|step| track.count(step));
        let held = track.held.iter().max_by_key(|(_, time)| **time);
        let held = held.map_or_else(
            || "-".to_owned(),
            |(guard, time)| format!("{} ({})", guard.name(), Duration::from_millis(*time)),
        );
        let _ = writeln!(
            page,
            "{name:<width$}  {healthy:>7.1}% {suspect:>7.1}% {unhealthy:>8.1}% {unknown:>7.1}%  {reroutes:>8} {rejoins:>7} {restarts:>8} {jobs:>4} {pages:>5}  {held}"
        );
    }
    if scenario.is_none() && policy.mode == Mode::DryRun {
        page.push_str("\nWhat would have got better by a step is not known: each goes on as it was recorded.\n");
    }
    page
}

/// For programs.
pub fn json(story: &Story) -> String {
    let events = story.events.iter().map(|event| {
        let (word, more) = words(event);
        json!({"atMilliseconds": event.at, "target": event.target, "what": word, "why": more})
    });
    let targets = story.tracks.iter().map(|(name, track)| {
        let verdicts = VERDICTS.map(|kind| (kind.name().to_owned(), json!(track.time(kind, story.until))));
        let steps = STEPS.map(|step| (step.name().to_owned(), json!(track.count(step))));
        let held = track.held.iter().map(|(guard, time)| (guard.name().to_owned(), json!(time)));
        json!({
            "target": name,
            "verdictMilliseconds": Value::Object(verdicts.into_iter().collect()),
            "steps": Value::Object(steps.into_iter().collect()),
            "heldMilliseconds": Value::Object(held.collect()),
        })
    });
    let page = json!({
        "beginsAt": jiff::Timestamp::from_millisecond(story.begins_at).unwrap_or_default().to_string(),
        "milliseconds": story.until,
        "events": events.collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&page).unwrap_or_default() + "\n"
}

fn words(event: &Event) -> (&'static str, String) {
    match &event.what {
        What::Verdict(kind, why) => (kind.name(), why.clone()),
        What::Held(guard, why) => ("held", format!("by {}: {why}", guard.name())),
        What::Begun(step, attempt) => (step.name(), format!("attempt {attempt}")),
        What::Ended(step, attempt, phase, why) => {
            let end = match phase {
                Phase::DryRun => "would have been done".to_owned(),
                phase => format!("{phase:?}: {why}"),
            };
            (step.name(), format!("attempt {attempt}: {end}"))
        }
    }
}

/// Hours, minutes and seconds from the beginning.
pub fn clock(at: u64) -> String {
    let seconds = at / 1000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

// For people: what a float cannot count exactly, nobody sees.
#[expect(clippy::cast_precision_loss)]
pub fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
