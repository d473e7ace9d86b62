//! What a client knew of a key's signatures when the key was taken from it (EIP-3076), kept on a disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The newest one of a folder.
#[derive(Clone, Debug)]
pub struct Exports {
    folder: PathBuf,
    key: String,
}

// === impl Exports ===

impl Exports {
    /// Those of a key (hexadecimal digits without `0x`) in a folder.
    #[must_use]
    pub fn new(folder: &Path, key: &str) -> Self {
        Self { folder: folder.to_owned(), key: key.to_owned() }
    }

    fn newest(&self) -> PathBuf {
        self.folder.join("slashing-protection.json")
    }

    /// The newest, if there is one.
    pub fn read(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.newest()) {
            Ok(text) => self.check(&text).map(|_| Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes one durable. It replaces the one before as a whole or not at all; one that tells of nothing replaces none.
    pub fn keep(&self, text: &str) -> io::Result<()> {
        if !self.check(text)? && self.newest().exists() {
            return Ok(());
        }
        let draft = self.folder.join("slashing-protection.draft");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, self.newest())?;
        File::open(&self.folder)?.sync_all()
    }

    /// Whether an interchange tells of this key.
    fn check(&self, text: &str) -> io::Result<bool> {
        let wrong = |why: &str| Err(io::Error::other(format!("it is no EIP-3076 interchange of this key: {why}")));
        let Ok(all) = serde_json::from_str::<Value>(text) else { return wrong("no JSON") };
        if all["metadata"]["interchange_format_version"].as_str().is_none() {
            return wrong("no metadata.interchange_format_version");
        }
        let Some(data) = all["data"].as_array() else { return wrong("no data") };
        let is_it = |one: &Value| {
            let key = one["pubkey"].as_str().unwrap_or_default();
            key.strip_prefix("0x").unwrap_or(key).eq_ignore_ascii_case(&self.key)
        };
        let is_some = |one: &Value, of: &str| one[of].as_array().is_some_and(|all| !all.is_empty());
        let tells = |one: &&Value| is_some(one, "signed_blocks") || is_some(one, "signed_attestations");
        let mut here = data.iter().filter(|one| is_it(one)).peekable();
        // One that has signed nothing has no entry, or an empty one; one of other keys is another's.
        if here.peek().is_none() && !data.is_empty() {
            wrong("it is of other keys")
        } else {
            Ok(here.any(|one| tells(&one)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_kept_whole_and_another_key_s_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let exports = Exports::new(folder.path(), "ab");
        assert_eq!(exports.read().unwrap(), None);
        let of = |key: &str, slot: u32| {
            format!(
                r#"{{"metadata":{{"interchange_format_version":"5"}},"data":[{{"pubkey":"{key}","signed_blocks":[{{"slot":"{slot}"}}]}}]}}"#
            )
        };
        exports.keep(&of("0xAB", 1)).unwrap();
        exports.keep(&of("0xab", 2)).unwrap();
        for odd in ["", "{}", "[]", &of("0xcd", 3), r#"{"metadata":{"interchange_format_version":"5"}}"#] {
            assert!(exports.keep(odd).is_err(), "{odd}");
        }
        exports.keep(r#"{"metadata":{"interchange_format_version":"5"},"data":[]}"#).unwrap();
        assert_eq!(exports.read().unwrap(), Some(of("0xab", 2)), "a client that has lost its memory");
        fs::write(folder.path().join("slashing-protection.json"), "{").unwrap();
        assert!(exports.read().is_err(), "what cannot be read is not nothing");
    }
}
