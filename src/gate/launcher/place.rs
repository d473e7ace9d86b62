//! The key of a command that a launcher starts: it is where the command looks for it only while the command may run.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Keys and key stores are small.
const MOST: usize = 1024 * 1024;

/// Where the key comes from and where the command wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The key as a Secret has it.
    pub from: PathBuf,
    /// The file for the command, on a volume of medium Memory.
    pub to: PathBuf,
}

/// Why the key is not where it should be, or still is where it should not.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It cannot be copied.
    #[error("failed to copy the key {} to {}: {error}", from.display(), to.display())]
    Copy {
        /// From here.
        from: PathBuf,
        /// To there.
        to: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It cannot be wiped.
    #[error("failed to wipe the key {}: {error}", path.display())]
    Wipe {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It would be on a disk.
    #[error(
        "refused to copy the key to {}: that is a disk, on which nothing can be wiped for sure; mount an emptyDir of medium \
         Memory there",
        path.display()
    )]
    Disk {
        /// Which file.
        path: PathBuf,
    },
}

// === impl Placement ===

impl Placement {
    /// Whether the copy would be in memory and nowhere else.
    pub fn check(&self) -> Result<(), PlaceError> {
        let folder = self.to.parent().unwrap_or(Path::new("/"));
        match crate::gate::process::medium(folder).as_str() {
            "tmpfs" | "ramfs" => Ok(()),
            _ => Err(PlaceError::Disk { path: self.to.clone() }),
        }
    }

    /// Copies the key, so that nobody but its owner can read it.
    pub fn place(&self) -> Result<(), PlaceError> {
        let failed = |error| PlaceError::Copy { from: self.from.clone(), to: self.to.clone(), error };
        self.wipe()?;
        let mut text = Zeroizing::new(vec![0; MOST + 1]);
        let length = fill(&mut File::open(&self.from).map_err(failed)?, &mut text).map_err(failed)?;
        if length > MOST {
            return Err(failed(io::Error::other(format!("it is no key of at most {MOST} bytes"))));
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.to).map_err(failed)?;
        // The mask of the process may have taken more away than it should.
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
        file.write_all(&text[..length]).map_err(failed)
    }

    /// Writes over the copy and removes it, if it is there.
    pub fn wipe(&self) -> Result<(), PlaceError> {
        let failed = |error| PlaceError::Wipe { path: self.to.clone(), error };
        let mut file = match OpenOptions::new().write(true).open(&self.to) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let mut left = file.metadata().map_err(failed)?.len();
        let zeros = [0; 4096];
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
            file.write_all(&zeros[..some]).map_err(failed)?;
            left -= some as u64;
        }
        file.sync_all().map_err(failed)?;
        fs::remove_file(&self.to).map_err(failed)
    }
}

/// Fills a buffer that never grows, for that would leave copies behind.
fn fill(file: &mut File, text: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < text.len() {
        match file.read(&mut text[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_copied_for_its_owner_alone_and_wiped_whoever_else_has_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let placement = Placement { from: folder.path().join("from"), to: folder.path().join("to") };
        fs::write(&placement.from, "secret").unwrap();
        placement.wipe().unwrap();
        placement.place().unwrap();
        assert_eq!(fs::metadata(&placement.to).unwrap().permissions().mode() & 0o777, 0o600);
        let mut open = File::open(&placement.to).unwrap();
        placement.place().unwrap();
        let mut text = String::new();
        open.read_to_string(&mut text).unwrap();
        assert_eq!(text, "\0".repeat(6), "the copy before was written over");
        assert_eq!(fs::read_to_string(&placement.to).unwrap(), "secret");
        placement.wipe().unwrap();
        assert!(!placement.to.exists());
    }

    #[test]
    fn a_disk_is_no_place_for_a_key() {
        let to = |to: &str| Placement { from: "/from".into(), to: to.into() }.check();
        assert!(to("/dev/shm/key").is_ok());
        assert!(to("/proc/key").is_err());
    }
}
