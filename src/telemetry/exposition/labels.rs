//! The labels of a series, one after the other.

use std::borrow::Cow;

use super::scan;

/// The labels of a series: what stands between its braces, already checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels<'a>(pub(super) &'a str);

/// One label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label<'a> {
    /// Its name, or the whole of a quoted name.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Cow<'a, str>,
}

impl<'a> Labels<'a> {
    /// As they stand on the page, without the braces.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// The labels in their order. A quoted name of the metric among them is left out.
    pub fn iter(&self) -> impl Iterator<Item = Label<'a>> + use<'a> {
        let (text, mut at) = (self.0, 0);
        std::iter::from_fn(move || {
            loop {
                let (label, after) = next(text, at)?;
                at = after;
                if label.is_some() {
                    return label;
                }
            }
        })
    }

    /// The value of the label of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.iter().find(|label| label.name == name).map(|label| label.value)
    }

    /// The metric's name, where that stands among the labels.
    pub(super) fn quoted_name(&self) -> Option<Cow<'a, str>> {
        let (text, mut at) = (self.0, 0);
        let bytes = text.as_bytes();
        loop {
            at = skip(bytes, at);
            if at >= bytes.len() {
                return None;
            }
            if let Some(end) = scan::quoted(bytes, at)
                && bytes.get(scan::blanks(bytes, end)) != Some(&b'=')
            {
                return Some(unescape(&text[at + 1..end - 1]));
            }
            at = next(text, at)?.1;
        }
    }
}

/// The label at a place, or none where a quoted name of the metric stands, and the place after it.
fn next(text: &str, at: usize) -> Option<(Option<Label<'_>>, usize)> {
    let bytes = text.as_bytes();
    let at = skip(bytes, at);
    let (name, end) = if let Some(end) = scan::quoted(bytes, at) {
        (unescape(&text[at + 1..end - 1]), end)
    } else {
        let end = scan::label(bytes, at)?;
        (Cow::Borrowed(&text[at..end]), end)
    };
    let equal = scan::blanks(bytes, end);
    if bytes.get(equal) != Some(&b'=') {
        return Some((None, end));
    }
    let from = scan::blanks(bytes, equal + 1);
    let to = scan::quoted(bytes, from)?;
    Some((Some(Label { name, value: unescape(&text[from + 1..to - 1]) }), to))
}

fn skip(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b',')) {
        at += 1;
    }
    at
}

/// `\\`, `\"` and `\n` as what they stand for. A backslash before anything else is itself, as Prometheus has it.
fn unescape(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some(same @ ('"' | '\\')) => plain.push(same),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    Cow::Owned(plain)
}
