//! Our parser of pages of metrics against Prometheus' own, on Prometheus' own test inputs.

use std::{env, fs, process::Command};

use mainstay::telemetry::exposition::{Format, Series, read};

/// A series as the rival prints it: labels in order, the bits of the value, the time.
fn line(series: &Series<'_>) -> String {
    let name = ("__name__".to_owned(), series.name().into_owned());
    let labels = series.labels.iter().map(|label| (label.name.into_owned(), label.value.into_owned()));
    let mut labels: Vec<_> = std::iter::once(name)
        .chain(labels)
        .map(|(name, value)| match value.parse::<f64>() {
            // The rival writes buckets and quantiles anew: they are compared as the numbers they are.
            Ok(number) if ["le", "quantile"].contains(&name.as_str()) => {
                format!("{name}=#{:016x}", number.to_bits())
            }
            _ => format!("{name}={}", quoted(&value)),
        })
        .collect();
    labels.sort_unstable();
    let value = series.value();
    let bits = if value.is_nan() { 0x7ff8_0000_0000_0000 } else { value.to_bits() };
    let time = series.time().map_or_else(|| "-".to_owned(), |time| time.to_string());
    format!("{}\t{bits:016x}\t{time}", labels.join(","))
}

/// As Go quotes text that can be printed.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[ignore = "needs Go: make parity"]
#[test]
fn every_page_of_prometheus_own_tests_is_read_as_prometheus_reads_it() {
    let rival = env::var("PROMPARSE").expect("PROMPARSE: make parity");
    let pages = env::var("PAGES").expect("PAGES: make parity");
    let (mut files, mut series) = (0, 0);
    for path in pages.split_whitespace().map(str::to_owned).chain(own_pages()) {
        let open = path.contains(".om");
        let (word, format) = if open { ("openmetrics", Format::OpenMetrics) } else { ("text", Format::Text) };
        let page = fs::read(&path).unwrap();
        let mut ours = Vec::new();
        let summary = read(&page, format, &mut |of: &Series<'_>| ours.push(line(of)));
        let output = Command::new(&rival).args(["dump", word, &path]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let theirs: Vec<&str> = text.lines().collect();
        assert_eq!(summary.bad, 0, "{path}: {:?}", summary.first_bad);
        for (index, (one, other)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(one, other, "{path}, series {index}");
        }
        assert_eq!(ours.len(), theirs.len(), "{path}: {:?}", theirs.last());
        files += 1;
        series += ours.len();
    }
    println!("{series} series on {files} pages are the same");
    assert!(files >= 8 && series > 5_000);
}

/// Single lines, right and wrong: where Prometheus stops, ours says that the line is bad, and where it goes on, so do we.
#[ignore = "needs Go: make parity"]
#[test]
fn what_prometheus_refuses_is_bad_and_what_it_takes_is_not() {
    let rival = env::var("PROMPARSE").expect("PROMPARSE: make parity");
    let file = tempfile::NamedTempFile::new().unwrap();
    for (format, word, lines) in [(Format::Text, "text", TEXT), (Format::OpenMetrics, "openmetrics", OPEN)] {
        for of in lines {
            let page = if format == Format::Text { format!("{of}\n") } else { format!("{of}\n# EOF\n") };
            fs::write(file.path(), &page).unwrap();
            let output = Command::new(&rival).args(["dump", word]).arg(file.path()).output().unwrap();
            let theirs = String::from_utf8(output.stdout).unwrap();
            let mut ours = Vec::new();
            let summary = read(page.as_bytes(), format, &mut |series: &Series<'_>| ours.push(line(series)));
            assert_eq!(summary.bad > 0, theirs.contains("ERROR"), "{word}: {of}\n{theirs}{summary:?}");
            if summary.bad == 0 {
                assert_eq!(ours, theirs.lines().collect::<Vec<_>>(), "{word}: {of}");
            }
        }
    }
}

/// The pages that are tests of ours.
fn own_pages() -> impl Iterator<Item = String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/telemetry/metrics");
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().path().to_string_lossy().into_owned())
}

/// Without blanks before the name: both take them, but the rival then counts them to the name.
const TEXT: &[&str] = &[
    "a 1",
    "a 1 1395066363000",
    "a\t1",
    "a{} 1",
    "a{b=\"c\"} 1",
    "a{b=\"c\",} 1",
    "a{ b = \"c\" , d=\"e\" } 1",
    "a {b=\"c\"} 1",
    "a{b=\"c\\\"d\\\\e\\nf\"} 1",
    "{\"a.b\"} 1",
    "{\"a.b\",c=\"d\"} 1",
    "{c=\"d\",\"a.b\"} 1",
    "{\"a\",\"b c\"=\"d\"} 1",
    "a NaN",
    "a nan",
    "a +Inf",
    "a -inf",
    "a infinity",
    "a 1e5",
    "a 1.5e-5",
    "a .5",
    "a 5.",
    "a +5",
    "a 1_000",
    "a 0x10",
    "a 0x1p-2",
    "a",
    "a ",
    "a x",
    "a{b} 1",
    "a{b=c} 1",
    "a{b=\"c} 1",
    "a{b=\"c\" 1",
    "1a 1",
    "a 1 x",
    "a 1 2 3",
    "a 1 1.5",
    "{} 1",
    "{b=\"c\"} 1",
    "{\"a\",\"b\"} 1",
    "# TYPE a gauge",
    "# TYPE a color",
    "# TYPE a",
    "# HELP a words",
    "# HELP a",
    "#HELP",
    "# anything",
    "#",
    "# TYPE 1a gauge",
    "é 1",
    "a{é=\"b\"} 1",
    "a{b=\"é\"} 1",
    "a:b 1",
    ":a 1",
    "a{b:c=\"d\"} 1",
    "# TYPE \"a.b\" gauge",
    "a{b=\"c\"}1",
    "a{b=\"c\"}  1  5 ",
];

const OPEN: &[&str] = &[
    "a 1",
    "a 1 1.5",
    "a 1 1e3",
    "a{b=\"c\"} 1",
    "a{b=\"c\",d=\"e\"} 1",
    "a_total 1 # {} 2",
    "a_total 1 # {b=\"c\"} 2",
    "a_total 1 # {b=\"c\"} 2 3.5",
    "a_total 1 4 # {b=\"c\",d=\"e\"} 2 3.5",
    "# TYPE a counter",
    "# UNIT a_seconds seconds",
    "# HELP a words",
    "{\"a.b\",c=\"d\"} 1",
    " a 1",
    "a  1",
    "a 1 ",
    "a{ b=\"c\"} 1",
    "# nothing",
    "a",
    "a x",
    "a 1 x",
    "a_total 1 # {b=\"c\"}",
    "a_total 1 # b",
    "a_total 1 # {b=\"c\"} x",
    "a NaN",
    "a +Inf",
    "a 1 NaN",
    "a 1 +Inf",
];
