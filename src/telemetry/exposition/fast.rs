//! The lines of which nearly every page is made, read in one go: `name value` and `name{label="value",…} value` with a
//! plain number, one blank, perhaps a plain time, and no escapes.
//!
//! Nothing is decided here. A line that is not of this shape is left to `line`, which knows all of both formats; that
//! the two agree is a property test.

use super::{
    Format,
    scan::{LABEL, LABEL_START, NAME, NAME_START, NUMBER, is, run},
};

/// Where the parts of a line stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The end of the name.
    pub name: usize,
    /// The closing brace; the end of the name where there are no labels.
    pub labels: usize,
    /// Where the value begins.
    pub value: usize,
    /// Where the value ends.
    pub number: usize,
    /// The line break; a time stands before it if the value ends before that.
    pub end: usize,
}

/// A time of more characters is left to the whole parser: shorter ones are in range, whatever their digits.
const LONGEST_TIME: usize = 18;

/// The shape of the line that begins at `at`, if it is one of these.
#[inline]
pub(super) fn shape(bytes: &[u8], at: usize, format: Format) -> Option<Shape> {
    if !is(bytes, at, NAME_START) {
        return None;
    }
    let name = run(bytes, at + 1, NAME);
    let mut place = name;
    let mut labels = name;
    if bytes.get(place) == Some(&b'{') {
        labels = braces(bytes, place + 1)?;
        place = labels + 1;
    }
    if bytes.get(place) != Some(&b' ') {
        return None;
    }
    let value = place + 1;
    let number = number(bytes, value)?;
    let end = match bytes.get(number) {
        Some(b'\n') => number,
        Some(b' ') => time(bytes, number + 1, format)?,
        _ => return None,
    };
    Some(Shape { name, labels, value, number, end })
}

/// The line break after a time that begins at `at`.
#[inline]
fn time(bytes: &[u8], at: usize, format: Format) -> Option<usize> {
    if !is(bytes, at, NUMBER) {
        return None;
    }
    let mut end = run(bytes, at + 1, NUMBER);
    if format == Format::OpenMetrics && bytes.get(end) == Some(&b'.') {
        end = run(bytes, end + 1, NUMBER);
    }
    (bytes.get(end) == Some(&b'\n') && end - at <= LONGEST_TIME).then_some(end)
}

/// The closing brace of labels that begin at `at`.
#[inline]
fn braces(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        if !is(bytes, at, LABEL_START) {
            return None;
        }
        at = run(bytes, at + 1, LABEL);
        if bytes.get(at..at + 2) != Some(b"=\"") {
            return None;
        }
        at = quote(bytes, at + 2)?;
        match bytes.get(at + 1) {
            Some(b',') => at += 2,
            Some(b'}') => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The closing quote of a value without escapes that begins at `at`.
#[inline]
fn quote(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
    (rest[stop] == b'"').then_some(at + stop)
}

/// The end of a decimal number that begins at `at`.
#[inline]
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(bytes.get(at) == Some(&b'-'));
    if !is(bytes, start, NUMBER) {
        return None;
    }
    let mut end = run(bytes, start + 1, NUMBER);
    if bytes.get(end) == Some(&b'.') {
        end = run(bytes, end + 1, NUMBER);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let digits = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if !is(bytes, digits, NUMBER) {
            return None;
        }
        end = run(bytes, digits + 1, NUMBER);
    }
    Some(end)
}

/// The line break after a comment that begins at `at`: `# HELP name …`, `# UNIT name …` or `# TYPE name …` of a type that both formats
/// know.
#[inline]
pub(super) fn comment(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let is_type = rest.starts_with(b"# TYPE ");
    if !is_type && !rest.starts_with(b"# HELP ") && !rest.starts_with(b"# UNIT ") {
        return None;
    }
    let name = at + 7;
    if !is(bytes, name, NAME_START) {
        return None;
    }
    let after = run(bytes, name + 1, NAME);
    if bytes.get(after) != Some(&b' ') {
        return None;
    }
    let words = &bytes[after + 1..];
    if !is_type {
        return memchr::memchr(b'\n', words).map(|length| after + 1 + length);
    }
    let known: [&[u8]; 4] = [b"gauge\n", b"counter\n", b"histogram\n", b"summary\n"];
    known.iter().find(|word| words.starts_with(word)).map(|word| after + word.len())
}
