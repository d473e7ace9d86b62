//! Tokens of a line. Every function takes the bytes of a line and a place in it, and returns the place after the token.

/// What a byte can be.
pub(super) const NAME_START: u8 = 1;
pub(super) const NAME: u8 = 2;
pub(super) const LABEL_START: u8 = 4;
pub(super) const LABEL: u8 = 8;
pub(super) const NUMBER: u8 = 16;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation)]
        let character = byte as u8;
        table[byte] = match character {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => NAME_START | NAME | LABEL_START | LABEL,
            b':' => NAME_START | NAME,
            b'0'..=b'9' => NAME | LABEL | NUMBER,
            _ => 0,
        };
        byte += 1;
    }
    table
}

#[inline]
pub(super) fn is(bytes: &[u8], at: usize, class: u8) -> bool {
    bytes.get(at).is_some_and(|byte| CLASSES[usize::from(*byte)] & class != 0)
}

/// The end of a run of such bytes that begins at `at`.
#[inline]
pub(super) fn run(bytes: &[u8], at: usize, class: u8) -> usize {
    let Some(rest) = bytes.get(at..) else { return at };
    let other = |byte: &u8| CLASSES[usize::from(*byte)] & class == 0;
    rest.iter().position(other).map_or(bytes.len(), |length| at + length)
}

/// The end of a metric's name; `None` if none begins here.
#[inline]
pub(super) fn name(bytes: &[u8], at: usize) -> Option<usize> {
    is(bytes, at, NAME_START).then(|| run(bytes, at + 1, NAME))
}

/// The end of a label's name.
#[inline]
pub(super) fn label(bytes: &[u8], at: usize) -> Option<usize> {
    is(bytes, at, LABEL_START).then(|| run(bytes, at + 1, LABEL))
}

/// The place after the closing quote of a string that begins at `at`; `None` if there is none.
#[inline]
pub(super) fn quoted(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        // Most values are short: a search that has to get going first costs more than it saves.
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            // Whatever follows is part of the value, a quote too.
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[inline]
pub(super) fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// The end of a word.
#[inline]
pub(super) fn word(bytes: &[u8], mut at: usize) -> usize {
    while !matches!(bytes.get(at), None | Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// Whether a word is a number. What is plain digits is known at once; the rest is left to the parser of numbers,
/// which takes what Go's takes: `NaN`, `+Inf`, `infinity`, exponents, but no digits in other systems.
#[inline]
pub(super) fn is_number(word: &str) -> bool {
    let bytes = word.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = run(bytes, at, NUMBER);
    let mut digits = whole - at;
    at = whole;
    if bytes.get(at) == Some(&b'.') {
        let rest = run(bytes, at + 1, NUMBER);
        digits += rest - at - 1;
        at = rest;
    }
    (digits > 0 && at == bytes.len()) || number(word).is_some()
}

/// The value of a word.
pub(super) fn number(word: &str) -> Option<f64> {
    // Rust reads the same as Go, and no more: neither takes `0x` without an exponent, and underscores only Go does.
    word.parse().ok()
}
