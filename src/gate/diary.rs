//! What was signed, line by line, for people and for whoever checks afterwards: `signatures.log`. Only ever added to, and
//! written before the signature leaves. No decision rests on it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// A file that has grown to this (bytes) makes room for a new one; the one before is kept. Weeks of signatures.
const MOST: u64 = 64 * 1024 * 1024;

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When (milliseconds since the epoch, this machine's clock).
    pub at: i64,
    /// The member that signed.
    pub member: String,
    /// Its pod.
    pub pod_uid: String,
    /// The process in it, 32 hexadecimal digits.
    pub boot: String,
    /// In which epoch.
    pub epoch: u64,
    /// And which activation of it, 32 hexadecimal digits.
    pub activation: String,
    /// Height.
    pub height: u64,
    /// Round.
    pub round: u32,
    /// `proposal`, `prevote` or `precommit`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The block, in hexadecimal digits; none of a vote for nil.
    pub block: Option<String>,
    /// The time that was signed (nanoseconds since the epoch).
    pub timestamp: i128,
}

/// The file, open for adding.
#[derive(Debug)]
pub struct Diary {
    path: PathBuf,
    file: File,
    length: u64,
}

// === impl Diary ===

impl Diary {
    /// Opens the file in `folder`.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("signatures.log");
        let (file, length) = append(&path)?;
        Ok(Self { path, file, length })
    }

    /// Adds a line, in one write.
    pub fn add(&mut self, line: &Line) -> io::Result<()> {
        if self.length >= MOST {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            (self.file, self.length) = append(&self.path)?;
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.length += text.len() as u64;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if let Some(at) = length.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    // A crash may have torn the last line: what comes after it is a line of its own.
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(height: u64) -> Line {
        Line {
            at: 1,
            member: "a".into(),
            pod_uid: "u".into(),
            boot: "b".into(),
            epoch: 1,
            activation: "c".into(),
            height,
            round: 0,
            kind: "prevote".into(),
            block: None,
            timestamp: 2,
        }
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        Diary::open(folder.path()).unwrap().add(&line(1)).unwrap();
        let path = folder.path().join("signatures.log");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], &whole[..30]].concat()).unwrap();
        Diary::open(folder.path()).unwrap().add(&line(2)).unwrap();
        Diary::open(folder.path()).unwrap().add(&line(3)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let read: Vec<Option<Line>> = text.lines().map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(read, [Some(line(1)), None, Some(line(2)), Some(line(3))]);
    }
}
