//! One line of a page.

use std::borrow::Cow;

use super::{Format, Labels, fast::Shape, scan};

/// A series with its newest value.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// The metric's name; empty where it is quoted among the labels.
    pub(super) name: &'a str,
    /// Its labels.
    pub labels: Labels<'a>,
    pub(super) value: &'a str,
    pub(super) time: Option<&'a str>,
    format: Format,
    exemplar: Option<Exemplar<'a>>,
}

/// A single event behind a series.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    /// Its labels.
    pub labels: Labels<'a>,
    value: &'a str,
}

impl<'a> Series<'a> {
    /// The metric's name as it stands before the braces; empty where it is quoted inside them.
    #[must_use]
    pub const fn plain_name(&self) -> &'a str {
        self.name
    }

    /// The metric's name.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        if self.name.is_empty() { self.labels.quoted_name().unwrap_or_default() } else { Cow::Borrowed(self.name) }
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> f64 {
        // It was checked; and what is no number is what it is.
        scan::number(self.value).unwrap_or(f64::NAN)
    }

    /// When it was measured, in milliseconds since the Unix epoch, if it says so.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        let time = self.time?;
        match self.format {
            Format::Text => time.parse().ok(),
            Format::OpenMetrics => {
                let millis = scan::number(time)? * 1000.0;
                // Truncated, as Prometheus does.
                #[expect(clippy::cast_possible_truncation)]
                (millis.abs() < 9e18).then_some(millis as i64)
            }
        }
    }

    /// Its exemplar.
    #[must_use]
    pub const fn exemplar(&self) -> Option<Exemplar<'a>> {
        self.exemplar
    }
}

impl Exemplar<'_> {
    /// Its value.
    #[must_use]
    pub fn value(&self) -> f64 {
        scan::number(self.value).unwrap_or(f64::NAN)
    }
}

/// The series of a line of the usual shape that begins at `at`.
#[inline]
pub(super) fn shaped(text: &str, at: usize, shape: Shape, format: Format) -> Series<'_> {
    let Shape { name, labels, value, number, end } = shape;
    let inside = if labels > name { &text[name + 1..labels] } else { "" };
    Series {
        name: &text[at..name],
        labels: Labels(inside),
        value: &text[value..number],
        time: (number < end).then(|| &text[number + 1..end]),
        format,
        exemplar: None,
    }
}

/// Reads one line; `None` if it is blank.
#[inline]
pub(super) fn series(line: &str, format: Format) -> Result<Option<Series<'_>>, &'static str> {
    let bytes = line.as_bytes();
    let start = match format {
        Format::Text => scan::blanks(bytes, 0),
        Format::OpenMetrics => 0,
    };
    if start == bytes.len() && format == Format::Text {
        return Ok(None);
    }
    let (name, mut at) = match scan::name(bytes, start) {
        Some(end) => (&line[start..end], end),
        None if bytes.get(start) == Some(&b'{') => ("", start),
        None => return Err("a metric's name is missing"),
    };
    let lenient = format == Format::Text;
    if lenient {
        at = scan::blanks(bytes, at);
    }
    let mut labels = Labels("");
    if bytes.get(at) == Some(&b'{') {
        let end = braces(bytes, at, name.is_empty(), lenient)?;
        labels = Labels(&line[at + 1..end - 1]);
        at = end;
    } else if name.is_empty() {
        return Err("a metric's name is missing");
    }
    let (value, at) = value(line, at, lenient)?;
    let mut series = Series { name, labels, value, time: None, format, exemplar: None };
    let mut rest = at;
    if lenient {
        rest = scan::blanks(bytes, rest);
        if rest < bytes.len() {
            let end = scan::word(bytes, rest);
            let time = &line[rest..end];
            if !time.bytes().all(|byte| byte.is_ascii_digit()) || time.parse::<i64>().is_err() {
                return Err("its time is no whole number of milliseconds");
            }
            series.time = Some(time);
            rest = scan::blanks(bytes, end);
        }
    } else {
        if bytes.get(rest) == Some(&b' ') && bytes.get(rest + 1) != Some(&b'#') {
            let end = scan::word(bytes, rest + 1);
            let time = &line[rest + 1..end];
            if scan::number(time).is_none_or(|time| !time.is_finite()) {
                return Err("its time is no number of seconds");
            }
            series.time = Some(time);
            rest = end;
        }
        if line[rest..].starts_with(" # {") {
            let (exemplar, end) = exemplar(line, rest + 3)?;
            series.exemplar = Some(exemplar);
            rest = end;
        }
    }
    if rest < bytes.len() {
        return Err("something follows where the line should end");
    }
    Ok(Some(series))
}

/// The place after the closing brace. `nameless`: a quoted string alone is the metric's name, and one is needed.
#[inline]
fn braces(bytes: &[u8], at: usize, mut nameless: bool, lenient: bool) -> Result<usize, &'static str> {
    const UNCLOSED: &str = "its labels do not end";
    let blank = |at| if lenient { scan::blanks(bytes, at) } else { at };
    let mut at = blank(at + 1);
    loop {
        if bytes.get(at) == Some(&b'}') {
            return if nameless { Err("a metric's name is missing") } else { Ok(at + 1) };
        }
        let quoted = scan::quoted(bytes, at);
        let end = quoted.or_else(|| scan::label(bytes, at)).ok_or("a label's name is missing")?;
        at = blank(end);
        match bytes.get(at) {
            Some(b'=') => {
                let from = blank(at + 1);
                at = blank(scan::quoted(bytes, from).ok_or("a label's value is not quoted, or does not end")?);
            }
            Some(b',' | b'}') if quoted.is_some() && nameless => nameless = false,
            Some(_) => return Err("a label has no value"),
            None => return Err(UNCLOSED),
        }
        match bytes.get(at) {
            Some(b',') => at = blank(at + 1),
            Some(b'}') => {}
            Some(_) if lenient => {}
            Some(_) => return Err("a comma is missing between labels"),
            None => return Err(UNCLOSED),
        }
    }
}

/// The value after a name or labels, and the place after it.
#[inline]
fn value(line: &str, at: usize, lenient: bool) -> Result<(&str, usize), &'static str> {
    const NONE: &str = "it has no value";
    let bytes = line.as_bytes();
    let from = match bytes.get(at) {
        _ if lenient => scan::blanks(bytes, at),
        Some(b' ') => at + 1,
        _ => return Err(NONE),
    };
    let end = scan::word(bytes, from);
    let value = &line[from..end];
    if value.is_empty() {
        return Err(NONE);
    }
    if scan::is_number(value) { Ok((value, end)) } else { Err("its value is no number") }
}

/// The exemplar whose brace opens at `at`, and the place after it.
fn exemplar(line: &str, at: usize) -> Result<(Exemplar<'_>, usize), &'static str> {
    let bytes = line.as_bytes();
    let end = braces(bytes, at, false, false)?;
    let labels = Labels(&line[at + 1..end - 1]);
    let (value, mut rest) = value(line, end, false)?;
    if bytes.get(rest) == Some(&b' ') {
        let end = scan::word(bytes, rest + 1);
        if scan::number(&line[rest + 1..end]).is_none_or(|time| !time.is_finite()) {
            return Err("the exemplar's time is no number of seconds");
        }
        rest = end;
    }
    Ok((Exemplar { labels, value }, rest))
}

/// `NAME text` of a HELP, TYPE or UNIT.
pub(super) fn metadata(rest: &str) -> Result<(), &'static str> {
    name_of(rest).map(|_| ())
}

/// `NAME type` in Prometheus text.
pub(super) fn type_of(rest: &str) -> Result<(), &'static str> {
    match name_of(rest)?.trim_matches([' ', '\t']) {
        "counter" | "gauge" | "histogram" | "summary" | "untyped" => Ok(()),
        _ => Err("it is of no known type"),
    }
}

/// What follows the name.
fn name_of(rest: &str) -> Result<&str, &'static str> {
    let bytes = rest.as_bytes();
    let end = scan::quoted(bytes, 0).or_else(|| scan::name(bytes, 0)).ok_or("a metric's name is missing")?;
    match bytes.get(end) {
        None | Some(b' ' | b'\t') => Ok(&rest[end..]),
        Some(_) => Err("a metric's name is missing"),
    }
}
