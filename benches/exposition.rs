//! How fast a page of metrics becomes signals, beside Prometheus' own parser on the same pages in the same run.
//!
//! `promparse` (in `PROMPARSE`) is the rival: "series" is its parser alone, "labels" is what a scrape does with a series
//! that it has not seen before. Pages (arguments) are read from memory, on one core each.

#![allow(clippy::disallowed_methods, missing_docs)]

use std::{
    env, fs,
    hint::black_box,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use mainstay::{
    api::policy::Exporter,
    signal::{Mono, Wall},
    telemetry::{Gauger, exposition::Format},
};

const DURING: Duration = Duration::from_secs(3);
/// What the project promises.
const LEAST: f64 = 1000.0;
const TIMES: f64 = 4.0;

fn main() -> ExitCode {
    let Ok(rival) = env::var("PROMPARSE") else {
        eprintln!("name the rival: PROMPARSE=$(cluster tool promparse)");
        return ExitCode::from(2);
    };
    let pages: Vec<String> = env::args().skip(1).collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    println!(
        "{:<34} {:>7} {:>10} {:>9} {:>9} {:>14} {:>14}",
        "page", "kB", "mainstay", "series", "labels", "times series", "times labels"
    );
    let (mut least, mut times, mut version) = (f64::INFINITY, f64::INFINITY, String::new());
    for path in &pages {
        let Ok(page) = fs::read(path) else {
            eprintln!("failed to read {path}");
            return ExitCode::from(2);
        };
        let open = path.contains(".om");
        // Turn and turn about, so that a busy moment hits both.
        let rounds: Vec<(f64, [f64; 2])> = (0..3)
            .map(|_| {
                let ours = measure(&page, if open { Format::OpenMetrics } else { Format::Text });
                let (theirs, of) = ask(&rival, path, open);
                version = of;
                (ours, theirs)
            })
            .collect();
        let best = |of: fn(&(f64, [f64; 2])) -> f64| rounds.iter().map(of).fold(0.0, f64::max);
        let (ours, series, labels) = (best(|round| round.0), best(|round| round.1[0]), best(|round| round.1[1]));
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        println!(
            "{name:<34} {:>7} {ours:>10.0} {series:>9.0} {labels:>9.0} {:>14.1} {:>14.1}",
            page.len() / 1000,
            ours / series,
            ours / labels
        );
        (least, times) = (least.min(ours), times.min(ours / series));
    }
    println!("all in MB/s, the best of 3 rounds of {} s; rival: prometheus {version}", DURING.as_secs());
    println!(
        "the slowest page: {least:.0} MB/s (promised {LEAST}), {times:.1} times the rival (promised {TIMES})"
    );
    ExitCode::from(u8::from(least < LEAST || times < TIMES))
}

/// Megabytes a second, from bytes to signals.
fn measure(page: &[u8], format: Format) -> f64 {
    let mut gauger = Gauger::new(Exporter::EthereumExecution);
    let (begun, mut bytes) = (Instant::now(), 0_u64);
    while begun.elapsed() < DURING / 3 {
        for _ in 0..16 {
            black_box(gauger.page(black_box(page), format, Mono(0), Wall(0)));
            bytes += page.len() as u64;
        }
    }
    #[expect(clippy::cast_precision_loss)]
    let megabytes = bytes as f64 / 1e6;
    megabytes / begun.elapsed().as_secs_f64()
}

/// The rival's megabytes a second, both ways, and its version.
fn ask(rival: &str, path: &str, open: bool) -> ([f64; 2], String) {
    let format = if open { "openmetrics" } else { "text" };
    let seconds = (DURING.as_secs_f64() / 3.0).to_string();
    let output = Command::new(rival).args(["bench", format, path, &seconds]).output().expect("the rival runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        |word: &str| text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_default().trim().to_owned();
    let speed = |word: &str| line(word).split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    ([speed("series"), speed("labels")], line("version"))
}
