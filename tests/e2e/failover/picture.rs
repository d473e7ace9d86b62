//! Draws who signed what, and when.

use std::fmt::Write;

use super::oracle::Line;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 34.0;

/// The signatures of one key, by two members.
pub struct Panel<'a> {
    /// What it is of.
    pub title: String,
    pub lines: &'a [Line],
    /// Instants with their names (milliseconds since the epoch).
    pub instants: Vec<(i64, String)>,
    /// Heights with their names.
    pub heights: Vec<(u64, String)>,
    /// From when on (milliseconds since the epoch).
    pub since: i64,
}

/// All of them one under the other, as SVG. It follows the reader's preference for light or dark.
pub fn draw(panels: &[Panel<'_>]) -> String {
    let height = HEIGHT * f64::from(u32::try_from(panels.len()).unwrap_or(1));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"t\">\n\
         <title id=\"t\">Which member signed which height, and when</title>\n{STYLE}\n"
    );
    let mut top = 0.0;
    for panel in panels {
        panel.draw(&mut svg, top);
        top += HEIGHT;
    }
    svg.push_str("</svg>\n");
    svg
}

// === impl Panel ===

impl Panel<'_> {
    fn draw(&self, svg: &mut String, top: f64) {
        let lines: Vec<_> = self.lines.iter().filter(|line| line.at >= self.since).collect();
        let (Some(end), Some(low), Some(high)) = (
            lines.iter().map(|line| line.at).max(),
            lines.iter().map(|line| line.height).min(),
            lines.iter().map(|line| line.height).max(),
        ) else {
            return;
        };
        let high = self.heights.iter().map(|(height, _)| *height).chain([high]).max().unwrap_or(high);
        #[expect(clippy::cast_precision_loss, reason = "a picture")]
        let share = |part: i64, whole: i64| part as f64 / whole.max(1) as f64;
        let x = |at: i64| LEFT + share(at - self.since, end - self.since) * (WIDTH - LEFT - RIGHT);
        let height = |of: u64| i64::try_from(of - low.min(of)).unwrap_or(0);
        let floor = top + HEIGHT - BOTTOM;
        let y = |of: u64| floor - share(height(of), height(high)) * (HEIGHT - TOP - BOTTOM);

        let _ = writeln!(svg, "<text class=\"head\" x=\"16\" y=\"{:.1}\">{}</text>", top + 24.0, self.title);
        for (of, name) in &self.heights {
            let at = y(*of);
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
                WIDTH - RIGHT
            );
            let _ = writeln!(
                svg,
                "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
                WIDTH - RIGHT + 6.0,
                at + 4.0
            );
        }
        for (row, (at, name)) in (0_u32..).zip(&self.instants) {
            let (at, row) = (x(*at), top + TOP + f64::from(row % 3) * 13.0);
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{floor}\"/>",
                top + TOP - 8.0
            );
            let _ = writeln!(svg, "<text class=\"axis\" x=\"{:.1}\" y=\"{row:.1}\">{name}</text>", at + 4.0);
        }
        for of in [low, high] {
            let _ = writeln!(
                svg,
                "<text class=\"axis end\" x=\"{}\" y=\"{:.1}\">{of}</text>",
                LEFT - 8.0,
                y(of) + 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"axis end\" x=\"{:.1}\" y=\"{:.1}\">{:.0} s</text>",
            WIDTH - RIGHT,
            floor + 18.0,
            share(end - self.since, 1000)
        );
        for line in lines {
            let class = if line.member == "a" { "a" } else { "b" };
            let (x, y) = (x(line.at), y(line.height));
            let _ = writeln!(svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\"/>");
        }
    }
}

const STYLE: &str = "<style>
svg { font-family: system-ui, sans-serif; font-size: 11px; background: #fff; }
.head { font-size: 14px; font-weight: 600; fill: #1b1f24; }
.axis { fill: #57606a; } .end { text-anchor: end; }
.mark { stroke: #8c959f; stroke-dasharray: 3 3; }
.a { fill: #0969da; } .b { fill: #bc4c00; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; } .head { fill: #e6edf3; } .axis { fill: #8b949e; } .a { fill: #58a6ff; } .b { fill: #f0883e; }
}
</style>";
