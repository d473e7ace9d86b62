//! Words of strangers, made fit for logs, Events and status.

/// How many characters of somebody else's words are kept.
const KEPT: usize = 200;

/// The beginning of `bytes` as one printable line of at most 200 characters: what is not UTF-8 is replaced, control
/// and invisible characters (NUL, line ends, terminal escapes, text direction overrides) are escaped.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    // A character has at most four bytes; looking no further keeps a large body cheap.
    let head = &bytes[..bytes.len().min(4 * (KEPT + 1))];
    let mut text = String::new();
    let mut length = 0;
    for character in String::from_utf8_lossy(head).chars() {
        let printed: String = match character {
            '"' | '\'' => character.to_string(),
            other => other.escape_debug().collect(),
        };
        length += printed.chars().count();
        if length >= KEPT {
            text.push('…');
            return text;
        }
        text.push_str(&printed);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        assert_eq!(excerpt("height \"7\" isn't größer".as_bytes()), "height \"7\" isn't größer");
    }

    #[test]
    fn long_words_are_cut() {
        let text = excerpt(&[b'a'; 10_000]);
        assert_eq!(text.chars().count(), KEPT);
        assert!(text.ends_with('…'));
    }

    /// T17
    #[test]
    fn what_could_harm_a_log_is_escaped() {
        assert_eq!(excerpt(b"a\0b\nc\x1b[31m"), "a\\0b\\nc\\u{1b}[31m");
        assert_eq!(excerpt("\u{202e}evil".as_bytes()), "\\u{202e}evil");
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}
