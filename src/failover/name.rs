//! The name of an identity: which chain, and which key. A key has one name, so that it exists once.

use std::borrow::Cow;

/// Begins a chain id that is no name in Kubernetes, in hexadecimal digits.
const ODD: &str = "0x";

/// The name of the identity of a public key (hexadecimal digits, lower case) on a chain: `hub-4.0a1b…`. An id with anything
/// but small letters, digits, hyphens and dots in it (`evmos_9001-2`, `Oraichain`) is written in hexadecimal digits:
/// `0x4f726169636861696e.0a1b…`.
#[must_use]
pub fn identity_name(chain: &str, public_key: &str) -> String {
    if is_plain(chain) {
        return format!("{chain}.{public_key}");
    }
    let digits: Vec<_> = chain.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{ODD}{}.{public_key}", digits.concat())
}

/// The chain's id and the public key of an identity. The id may have dots, the key has none.
#[must_use]
pub fn split(identity: &str) -> Option<(Cow<'_, str>, &str)> {
    let (chain, key) = identity.rsplit_once('.')?;
    // 32 bytes, or 48 of a BLS key.
    let is_key = matches!(key.len(), 64 | 96) && key.bytes().all(is_digit);
    let chain = match chain.strip_prefix(ODD) {
        None => Cow::Borrowed(chain),
        Some(digits) => Cow::Owned(decoded(digits)?),
    };
    // One key has one name.
    (is_key && !chain.is_empty() && identity_name(&chain, key) == identity).then_some((chain, key))
}

/// The name of an identity whose chain is written in hexadecimal digits although its id can be a part of a name: a key that had
/// two names could be run twice.
#[must_use]
pub fn plain_name(identity: &str) -> Option<String> {
    let (chain, key) = identity.rsplit_once('.')?;
    let chain = decoded(chain.strip_prefix(ODD)?)?;
    let name = identity_name(&chain, key);
    (name != identity && split(&name).is_some()).then_some(name)
}

/// Whether an id can be a part of a name in Kubernetes as it is (RFC 1123).
fn is_plain(chain: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    !chain.starts_with(ODD) && chain.split('.').all(is_label)
}

const fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn decoded(digits: &str) -> Option<String> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(is_digit) {
        return None;
    }
    let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_has_a_name_and_every_name_one_chain() {
        let key = "0a".repeat(32);
        for chain in
            ["hub-4", "a.b", "evmos_9001-2", "Oraichain", "-x", "x-", "a..b", ".", "0x", "0xab", "ket te", "é"]
        {
            let name = identity_name(chain, &key);
            assert_eq!(split(&name), Some((Cow::Borrowed(chain), key.as_str())), "{name}");
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            assert!(name.bytes().all(fits), "{name}");
        }
        assert_eq!(identity_name("hub-4", &key), format!("hub-4.{key}"));
        assert_eq!(identity_name("Ab", &key), format!("0x4162.{key}"));
        assert_eq!(split(&format!("1.{}", "ab".repeat(48))).unwrap().1.len(), 96);
    }

    #[test]
    fn what_is_no_name_is_none() {
        let key = "0a".repeat(32);
        let names = [
            format!(".{key}"),
            format!("0x.{key}"),
            format!("0x4.{key}"),
            format!("0xzz.{key}"),
            format!("0xff.{key}"),
        ];
        // A second name of a chain that has a plain one, and a key in capitals.
        let others = [format!("0x6875622d34.{key}"), format!("hub-4.{}", key.to_uppercase()), "hub-4".into()];
        for name in names.iter().chain(&others) {
            assert_eq!(split(name), None, "{name}");
        }
        assert_eq!(plain_name(&others[0]), Some(format!("hub-4.{key}")));
        for name in names.iter().chain(&others[1..]) {
            assert_eq!(plain_name(name), None, "{name}");
        }
    }
}
