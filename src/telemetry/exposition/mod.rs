//! Pages of metrics in the Prometheus text format 0.0.4 and in `OpenMetrics` 1.0: ours, without a copy.
//!
//! One pass over whole lines. Every line is checked, whether anybody wants its series or not, and one that cannot be
//! read is reported with its number; the others count all the same. What is wanted is told to a closure, with slices of
//! the page itself.
//!
//! Stricter than Prometheus in one thing: a line is a line, so that a line break inside a quoted label value (which
//! both formats want escaped) is an error. More lenient in one: the order of metric families is nobody's concern here.

mod fast;
mod labels;
mod line;
mod scan;

pub use labels::{Label, Labels};
pub use line::{Exemplar, Series};

use super::text::excerpt;

/// Which of the two formats a page is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text: times in milliseconds, blanks between tokens, ends where it ends.
    Text,
    /// `OpenMetrics`: times in seconds, exemplars, ends with `# EOF`.
    OpenMetrics,
}

/// What became of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines that were read, blank ones and comments among them.
    pub lines: u64,
    /// Series that were read.
    pub series: u64,
    /// Lines that could not be read.
    pub bad: u64,
    /// The first of them: its number, counted from 1, and what is wrong with it.
    pub first_bad: Option<(u64, String)>,
    /// The page's own end was seen. Prometheus text has none.
    pub ended: bool,
}

/// A page that arrives in pieces.
#[derive(Clone, Debug)]
pub struct Reader {
    format: Format,
    summary: Summary,
}

/// A line is never longer (bytes): T17.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Who is told what stands on a page.
pub trait Sink {
    /// A series.
    fn series(&mut self, series: &Series<'_>);

    /// A line that could not be read.
    fn bad(&mut self, _line: &[u8], _why: &str) {}
}

impl<F: FnMut(&Series<'_>)> Sink for F {
    fn series(&mut self, series: &Series<'_>) {
        self(series);
    }
}

impl Format {
    /// The format that a `Content-Type` names; anything that is not `OpenMetrics` is read as Prometheus text.
    #[must_use]
    pub fn of(content_type: &str) -> Self {
        if content_type.starts_with("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }
}

impl Reader {
    /// Before the first line.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, summary: Summary::default() }
    }

    /// Reads whole lines, and tells every series.
    pub fn read(&mut self, lines: &[u8], sink: &mut impl Sink) {
        // One look at all of it is much cheaper than one at each name and value.
        match std::str::from_utf8(lines) {
            Ok(text) => self.lines(text, sink),
            Err(_) => {
                for line in lines.split_inclusive(|byte| *byte == b'\n') {
                    match std::str::from_utf8(line) {
                        Ok(text) => self.lines(text, sink),
                        Err(_) => self.bad(line, "it is not UTF-8", sink),
                    }
                }
            }
        }
    }

    /// A line that is longer than any may be; its beginning is all there is of it.
    pub fn overlong(&mut self, beginning: &[u8], sink: &mut impl Sink) {
        self.bad(beginning, "the line is too long", sink);
    }

    /// The end of the page.
    #[must_use]
    pub fn finish(self) -> Summary {
        self.summary
    }

    fn lines(&mut self, text: &str, sink: &mut impl Sink) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if !self.summary.ended {
                if let Some(shape) = fast::shape(bytes, at, self.format) {
                    self.summary.lines += 1;
                    self.summary.series += 1;
                    sink.series(&line::shaped(text, at, shape, self.format));
                    at = shape.end + 1;
                    continue;
                }
                if let Some(end) = fast::comment(bytes, at) {
                    self.summary.lines += 1;
                    at = end + 1;
                    continue;
                }
            }
            let length = memchr::memchr(b'\n', &bytes[at..]).unwrap_or(bytes.len() - at);
            // A line break is one byte of ASCII, so that both sides of it are text.
            self.line(&text[at..at + length], sink);
            at += length + 1;
        }
    }

    #[inline]
    fn line(&mut self, line: &str, sink: &mut impl Sink) {
        if self.summary.ended {
            return self.bad(line.as_bytes(), "something follows the end of the page", sink);
        }
        let told = match line.as_bytes().first() {
            None => Ok(None),
            Some(b'#') => self.comment(line).map(|()| None),
            Some(_) => line::series(line, self.format),
        };
        match told {
            Ok(Some(series)) => {
                self.summary.lines += 1;
                self.summary.series += 1;
                sink.series(&series);
            }
            Ok(None) => self.summary.lines += 1,
            Err(why) => self.bad(line.as_bytes(), why, sink),
        }
    }

    /// Comments say what people should know of a metric. Its type says nothing of its meaning (geth calls everything a
    /// gauge), so only the shape is checked.
    fn comment(&mut self, line: &str) -> Result<(), &'static str> {
        match self.format {
            Format::OpenMetrics => {
                if line == "# EOF" {
                    self.summary.ended = true;
                    return Ok(());
                }
                let known = ["# HELP ", "# TYPE ", "# UNIT "].iter().find_map(|word| line.strip_prefix(word));
                line::metadata(known.ok_or("OpenMetrics has no comments but HELP, TYPE, UNIT and EOF")?)
            }
            Format::Text => {
                let words = line[1..].trim_start_matches([' ', '\t']);
                let blank = |rest: &&str| rest.starts_with([' ', '\t']);
                // Without a blank after the sign, `#HELP` is a comment like any other.
                let spaced = line.as_bytes().get(1).is_some_and(|byte| matches!(byte, b' ' | b'\t'));
                if !spaced {
                    return Ok(());
                }
                if let Some(rest) = words.strip_prefix("HELP").filter(blank) {
                    line::metadata(rest.trim_start_matches([' ', '\t']))
                } else if let Some(rest) = words.strip_prefix("TYPE").filter(blank) {
                    line::type_of(rest.trim_start_matches([' ', '\t']))
                } else {
                    Ok(())
                }
            }
        }
    }

    #[cold]
    fn bad(&mut self, line: &[u8], why: &str, sink: &mut impl Sink) {
        sink.bad(line, why);
        self.summary.lines += 1;
        self.summary.bad += 1;
        if self.summary.first_bad.is_none() {
            let beginning = &line[..line.len().min(60)];
            self.summary.first_bad = Some((self.summary.lines, format!("{why}: {}", excerpt(beginning))));
        }
    }
}

/// Reads a whole page.
pub fn read(page: &[u8], format: Format, sink: &mut impl Sink) -> Summary {
    let mut reader = Reader::new(format);
    reader.read(page, sink);
    reader.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(page: &str, format: Format) -> (Vec<String>, Summary) {
        let mut told = Vec::new();
        let summary = read(page.as_bytes(), format, &mut |series: &Series<'_>| {
            let labels: Vec<_> =
                series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
            told.push(format!("{}[{}] {} {:?}", series.name(), labels.join(";"), series.value(), series.time()));
        });
        (told, summary)
    }

    #[test]
    fn both_formats_are_read() {
        let page = "# HELP a words\n# TYPE a gauge\na 1\n\n a{b = \"c\" , d=\"e\\\"f\\n\\\\\",} 2e3 1500\n{\"x.y\",\"z z\"=\"1\"} +Inf\n";
        let (told, summary) = all(page, Format::Text);
        assert_eq!(told, ["a[] 1 None", "a[b=c;d=e\"f\n\\] 2000 Some(1500)", "x.y[z z=1] inf None"]);
        assert_eq!((summary.lines, summary.series, summary.bad), (6, 3, 0));
        let page = "# TYPE a counter\n# UNIT a seconds\na_total{b=\"c\"} 17 1520879607.789 # {id=\"7\"} 4.5 1520879607\na 1\n# EOF\n";
        let (told, summary) = all(page, Format::OpenMetrics);
        assert_eq!(told, ["a_total[b=c] 17 Some(1520879607789)", "a[] 1 None"]);
        assert!(summary.ended && summary.bad == 0, "{summary:?}");
    }

    #[test]
    fn a_bad_line_is_reported_and_the_others_count() {
        let page = "a 1\nb{c=\"d\" 2\ne one\nf 3\n";
        let (told, summary) = all(page, Format::Text);
        assert_eq!(told, ["a[] 1 None", "f[] 3 None"]);
        assert_eq!((summary.lines, summary.bad), (4, 2));
        let (line, why) = summary.first_bad.unwrap();
        assert_eq!((line, why.as_str()), (2, "a label's name is missing: b{c=\"d\" 2"));
    }

    #[test]
    fn every_kind_of_bad_line_is_found() {
        for line in [
            "1a 2",
            "a",
            "a ",
            "a b",
            "a{",
            "a{b}",
            "a{b=c} 1",
            "a{b=\"c} 1",
            "a{b=\"c\"}",
            "a{\"b\"} 1",
            "{} 1",
            "{a=\"b\"} 1",
            "{\"a\",\"b\"} 1",
            "a 1 x",
            "a 1 2 3",
            "a 0x10",
            "a 1_000",
            "a 1 -5",
            "é 1",
            "# TYPE a color",
            "# TYPE 1 gauge",
            "a{é=\"1\"} 2",
            "a\u{0} 1",
        ] {
            let (_, summary) = all(line, Format::Text);
            assert_eq!((summary.bad, summary.series), (1, 0), "{line}");
        }
        for line in ["# hello", " a 1", "a  1", "a 1 ", "a 1 NaN", "a{b=\"c\",, } 1", "a 1 # {b=\"c\"}", ""] {
            let (_, summary) = all(&format!("{line}\n# EOF\n"), Format::OpenMetrics);
            let expected = u64::from(!line.is_empty());
            assert_eq!(summary.bad, expected, "{line:?}");
        }
        assert_eq!(all("# EOF\na 1\n", Format::OpenMetrics).1.bad, 1);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            cases: 2000, failure_persistence: None, ..proptest::prelude::ProptestConfig::default()
        })]

        /// The short way and the long way agree on every line that the short way takes.
        #[test]
        fn the_fast_way_decides_nothing(line in LINES) {
            let page = format!("{line}\n");
            for format in [Format::Text, Format::OpenMetrics] {
                if let Some(shape) = fast::shape(page.as_bytes(), 0, format) {
                    let short = line::shaped(&page, 0, shape, format);
                    let long = line::series(&line, format).unwrap().unwrap();
                    let parts = |series: &Series<'_>| {
                        (series.name().into_owned(), series.labels.as_str().to_owned(), series.value().to_bits(), series.time())
                    };
                    proptest::prop_assert_eq!(shape.end, line.len());
                    proptest::prop_assert_eq!(parts(&short), parts(&long));
                }
                if let Some(end) = fast::comment(page.as_bytes(), 0) {
                    proptest::prop_assert_eq!(end, line.len());
                    proptest::prop_assert_eq!(all(&line, format).1.bad, 0);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_harm(page in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            for format in [Format::Text, Format::OpenMetrics] {
                let mut told = 0;
                let summary = read(&page, format, &mut |series: &Series<'_>| {
                    told += 1;
                    let _all = (series.name().len(), series.value(), series.time(), series.labels.iter().count());
                });
                proptest::prop_assert_eq!(summary.series, told);
                proptest::prop_assert!(summary.bad <= summary.lines);
            }
        }
    }

    /// Lines that are right, nearly right, and comments.
    const LINES: &str = concat!(
        r#"([a-z_:][a-z0-9_:]{0,6}|[0-9]a|)(\{([a-z]{1,3}="[a-z\\"é ]{0,4}",?){0,3}\}?)?[ \t]{0,2}"#,
        r#"(-?[0-9]{1,4}(\.[0-9]{0,3})?(e[+-]?[0-9]{0,2})?|NaN|\+Inf|0x1|1_0)?( [0-9]{1,21}(\.[0-9]{0,3})?)?"#,
        r#"|# (TYPE|HELP|UNIT) [a-z1]{1,4} (gauge|counter|untyped|summary|x y)"#
    );

    #[test]
    fn what_is_not_utf8_harms_its_own_line_only() {
        let mut told = 0;
        let summary = read(b"a 1\nb{c=\"\xff\"} 2\nd 3\n", Format::Text, &mut |_: &Series<'_>| told += 1);
        assert_eq!((told, summary.bad, summary.first_bad.unwrap().0), (2, 1, 2));
    }
}
