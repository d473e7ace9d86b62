//! Draws a story: a lane per target with its verdicts, and a mark for every step.

use std::fmt::Write;

use super::table::{clock, ratio};
use crate::{
    api::Phase,
    judge::VerdictKind,
    plan::Step,
    sim::{Story, What},
};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const LANE: f64 = 34.0;
const BAR: f64 = 16.0;

/// The picture, as SVG. It follows the reader's preference for light or dark.
pub fn draw(policy: &str, story: &Story) -> String {
    let lanes = u32::try_from(story.tracks.len()).unwrap_or(u32::MAX);
    let bottom = TOP + LANE * f64::from(lanes);
    let height = bottom + 58.0;
    let x = |at: u64| LEFT + ratio(at, story.until) * (WIDTH - LEFT - RIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>What {} would have done</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"20\" y=\"30\">{}</text>\n",
        escaped(policy),
        escaped(policy)
    );
    for tick in 0..=6_u64 {
        let at = story.until * tick / 6;
        let _ = writeln!(
            svg,
            "<line class=\"tick\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"time\" x=\"{0:.1}\" y=\"{2}\">{3}</text>",
            x(at),
            TOP - 8.0,
            TOP - 14.0,
            clock(at)
        );
    }
    for (lane, (name, track)) in (0_u32..).zip(&story.tracks) {
        let y = TOP + LANE * f64::from(lane) + 8.0;
        let _ =
            writeln!(svg, "<text class=\"name\" x=\"20\" y=\"{:.1}\">{}</text>", y + 12.5, escaped(&short(name)));
        let ends = track.verdicts.iter().skip(1).map(|(at, _)| *at).chain([story.until]);
        for ((from, kind), to) in track.verdicts.iter().zip(ends) {
            let _ = writeln!(
                svg,
                "<rect class=\"{}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>",
                class(*kind),
                x(*from),
                (x(to) - x(*from)).max(0.5)
            );
        }
        for event in story.events.iter().filter(|event| event.target == *name) {
            let What::Ended(step, attempt, phase, why) = &event.what else { continue };
            if matches!(phase, Phase::Withdrawn | Phase::Superseded) {
                continue;
            }
            // The mark stands where the step began, as far as that is known.
            let begun = story.events.iter().find_map(|other| match other.what {
                What::Begun(_, number) if other.target == *name && number == *attempt => Some(other.at),
                _ => None,
            });
            let at = begun.unwrap_or(event.at);
            let _ = writeln!(
                svg,
                "<g class=\"step\"><title>{} {}: {phase:?} {}</title><circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"7\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
                clock(at),
                step.name(),
                escaped(why),
                x(at),
                y + BAR / 2.0,
                x(at),
                y + BAR / 2.0 + 3.5,
                letter(*step)
            );
        }
    }
    let mut at = LEFT;
    for (class, label) in [("good", "healthy"), ("wait", "suspect"), ("bad", "unhealthy"), ("rest", "unknown")] {
        let y = bottom + 22.0;
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{at}\" y=\"{y:.1}\" width=\"14\" height=\"14\"/>\
             <text class=\"key\" x=\"{}\" y=\"{:.1}\">{label}</text>",
            at + 20.0,
            y + 11.5
        );
        at += 110.0;
    }
    let _ = writeln!(
        svg,
        "<text class=\"key\" x=\"{at}\" y=\"{:.1}\">O out of rotation · I back in · R restart · P page</text>\n</svg>",
        bottom + 33.5
    );
    svg
}

const STYLE: &str = "\
.page{fill:#fff}.title{font:600 16px system-ui,sans-serif;fill:#1b1f24}.name,.key{font:13px system-ui,sans-serif;fill:#1b1f24}
.time{font:11px system-ui,sans-serif;fill:#57606a;text-anchor:middle}.tick{stroke:#d0d7de}
.good{fill:#2da44e}.wait{fill:#d4a72c}.bad{fill:#cf222e}.rest{fill:#8c959f}
.step circle{fill:#0a3069;stroke:#fff;stroke-width:1.5}.step text{font:600 10px system-ui,sans-serif;fill:#fff;text-anchor:middle}
@media(prefers-color-scheme:dark){.page{fill:#0d1117}.title,.name,.key{fill:#e6edf3}.time{fill:#8b949e}.tick{stroke:#30363d}}
";

const fn class(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Healthy => "good",
        VerdictKind::Suspect => "wait",
        VerdictKind::Unhealthy => "bad",
        VerdictKind::Unknown => "rest",
    }
}

const fn letter(step: Step) -> &'static str {
    match step {
        Step::Reroute => "O",
        Step::Rejoin => "I",
        Step::Restart => "R",
        Step::Job => "J",
        Step::Failover => "F",
        Step::Page => "P",
    }
}

/// What fits beside a lane.
fn short(name: &str) -> String {
    if name.chars().count() <= 18 { name.to_owned() } else { name.chars().take(17).chain(['…']).collect() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
