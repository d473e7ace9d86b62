//! Draws a healing: what the node, the verdict and the remediation did, second by second.

use std::fmt::Write;

/// When things happened, in seconds since the node hung.
#[derive(Clone, Copy, Debug)]
pub struct Healing {
    /// The first request that it did not answer was sent.
    pub breach: f64,
    /// The rule's hold was over.
    pub detected: f64,
    /// The removal was accepted.
    pub removed: f64,
    /// The new pod was made: the old one's grace period was over.
    pub made: f64,
    /// The new pod's process ran.
    pub started: f64,
    /// Healthy, with a head that rises.
    pub healthy: f64,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 58.0;
const LANE: f64 = 44.0;
const BAR: f64 = 28.0;

/// One stretch of a lane: from, to, class, label.
type Bar<'a> = (f64, f64, &'a str, &'a str);

/// The picture, as SVG. It follows the reader's preference for light or dark.
pub fn draw(pod: &str, healing: &Healing) -> String {
    let Healing { breach, detected, removed, made, started, healthy } = *healing;
    let end = (healthy * 1.12).max(healthy + 2.0);
    let lanes: [(&str, Vec<Bar<'_>>); 3] = [
        (
            "node",
            vec![
                (0.0, removed, "bad", "hung"),
                (removed, made, "rest", "hung, grace period"),
                (made, started, "wait", ""),
                (started, end, "good", "running"),
            ],
        ),
        (
            "verdict",
            vec![
                (0.0, breach, "good", ""),
                (breach, detected, "wait", "Suspect: hold of 10 s"),
                (detected, healthy, "bad", "Unhealthy until proven otherwise"),
                (healthy, end, "good", "Healthy"),
            ],
        ),
        ("remediation", vec![(detected, healthy, "act", "verifying"), (healthy, end, "good", "done")]),
    ];
    let bottom = TOP + LANE * 3.0 + 8.0;
    let height = bottom + 56.0;
    let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - RIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"t d\">\n\
         <title id=\"t\">A hung full node and its healing</title>\n\
         <desc id=\"d\">{pod} hangs at 0 s. The first unanswered request is sent at {breach:.1} s, the hold is over at \
         {detected:.1} s, the removal is accepted at {removed:.1} s, the new pod is made at {made:.1} s, and the node is \
         healthy at {healthy:.1} s.</desc>\n{STYLE}\n<text class=\"head\" x=\"16\" y=\"26\">{pod}: hung, found, made anew, \
         proven healthy in {healthy:.1} s</text>\n"
    );
    let mut tick = 0.0;
    while tick <= end {
        let at = x(tick);
        let _ = writeln!(svg, "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>");
        let _ = writeln!(svg, "<text class=\"axis\" x=\"{at:.1}\" y=\"{:.1}\">{tick:.0} s</text>", bottom + 16.0);
        tick += 5.0;
    }
    for (index, (name, bars)) in (0_u32..).zip(&lanes) {
        let y = TOP + LANE * f64::from(index) + (LANE - BAR) / 2.0;
        let _ = writeln!(svg, "<text class=\"lane\" x=\"16\" y=\"{:.1}\">{name}</text>", y + 19.0);
        for (from, to, class, label) in bars {
            let (left, width) = (x(*from), x(*to) - x(*from));
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"3\"/>"
            );
            // About seven units a letter: a label that does not fit is left out, the description has it.
            if f64::from(u32::try_from(label.len()).unwrap_or(0)) * 7.0 < width {
                let _ = writeln!(
                    svg,
                    "<text class=\"in\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                    left + 8.0,
                    y + 19.0
                );
            }
        }
    }
    let at = x(removed);
    let _ = writeln!(
        svg,
        "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{bottom}\"/>",
        TOP - 8.0
    );
    let _ = writeln!(
        svg,
        "<text class=\"note\" x=\"{at:.1}\" y=\"{:.1}\">journal, seat, eviction accepted at {removed:.1} s</text>",
        TOP - 12.0
    );
    let _ = writeln!(
        svg,
        "<text class=\"axis\" x=\"{WIDTH}\" dx=\"-{RIGHT}\" y=\"{:.1}\" style=\"text-anchor:end\">one run of the \
         demonstration, times from the journal and the API server</text>",
        bottom + 42.0
    );
    svg + "</svg>\n"
}

const STYLE: &str = "<style>
  svg { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; }
  text { fill: #1f2328; } .head { font-size: 15px; font-weight: 600; } .axis { fill: #59636e; font-size: 12px; text-anchor: middle; }
  .lane { font-weight: 600; } .in { fill: #1f2328; font-size: 12px; } .note { text-anchor: middle; font-size: 12px; }
  .grid { stroke: #d1d9e0; } .mark { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 3 3; }
  .good { fill: #a7e3b5; } .wait { fill: #ffd98a; } .bad { fill: #ffb3ad; } .rest { fill: #e3c6c3; } .act { fill: #b6d6ff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .axis { fill: #9198a1; } .in { fill: #e6edf3; }
    .grid { stroke: #3d444d; } .mark { stroke: #e6edf3; }
    .good { fill: #1c5c2e; } .wait { fill: #6d4f08; } .bad { fill: #7d2a26; } .rest { fill: #4b3230; } .act { fill: #1f4673; }
  }
</style>";
