//! A volume that keeps what it must, and nothing more.

use std::{
    io,
    sync::{Arc, Mutex},
};

use mainstay::gate::store::{Medium, SLOT};

use crate::dice::Dice;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// A volume. Two processes may have it open.
#[derive(Clone, Default)]
pub struct Volume(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    durable: Vec<u8>,
    /// What every process reads, durable or not.
    written: Vec<u8>,
    /// All that ever was durable.
    history: Vec<Vec<u8>>,
    /// Whether it says that all is durable, and nothing is.
    lies: bool,
}

/// A volume as one process has it open.
#[derive(Clone)]
pub struct Handle {
    volume: Volume,
    /// How many operations are left.
    fuse: Arc<Mutex<Option<u64>>>,
}

impl Volume {
    /// It says that all is durable, and nothing ever is.
    pub fn lying() -> Self {
        Self(Arc::new(Mutex::new(Inside { lies: true, ..Inside::default() })))
    }

    pub fn handle(&self) -> Handle {
        Handle { volume: self.clone(), fuse: Arc::default() }
    }

    /// Somebody who had it open died within a write. With the power, of each sector that was written and not made durable
    /// there is what was or what was to be, or something of both.
    pub fn died(&self, power: bool, random: &mut Dice) {
        let mut inside = self.0.lock().unwrap();
        if !power {
            return;
        }
        let mut left = inside.durable.clone();
        left.resize(inside.written.len(), 0);
        for (at, sector) in inside.written.chunks(SECTOR).enumerate() {
            let end = match random.below(3) {
                0 => 0,
                1 => sector.len(),
                _ => usize::try_from(random.below(sector.len() as u64)).unwrap(),
            };
            left[at * SECTOR..at * SECTOR + end].copy_from_slice(&sector[..end]);
        }
        inside.durable.clone_from(&left);
        inside.written = left;
    }

    /// Somebody restores an older snapshot of it.
    pub fn roll_back(&self, random: &mut Dice) {
        let mut inside = self.0.lock().unwrap();
        if !inside.history.is_empty() {
            let at = usize::try_from(random.below(inside.history.len() as u64)).unwrap();
            let before = inside.history[at].clone();
            inside.durable.clone_from(&before);
            inside.written = before;
        }
    }

    /// A byte is another than it was; or all of them are.
    pub fn rot(&self, random: &mut Dice) {
        let mut inside = self.0.lock().unwrap();
        if inside.durable.is_empty() {
            return;
        }
        if random.one_in(3) {
            inside.durable = vec![0xa5; 2 * SLOT];
        } else {
            let at = usize::try_from(random.below(inside.durable.len() as u64)).unwrap();
            inside.durable[at] ^= 1 << random.below(8);
        }
        let durable = inside.durable.clone();
        inside.written = durable;
    }
}

impl Handle {
    /// It fails at its operation of this number from now on.
    pub fn fail_after(&self, operations: u64) {
        *self.fuse.lock().unwrap() = Some(operations);
    }

    fn burn(&self) -> io::Result<()> {
        let mut fuse = self.fuse.lock().unwrap();
        if let Some(left) = fuse.as_mut() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(io::Error::other("the disk is gone"));
            }
        }
        Ok(())
    }
}

impl Medium for Handle {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.volume.0.lock().unwrap().written.clone())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        // A write that fails may be there all the same.
        {
            let mut inside = self.volume.0.lock().unwrap();
            let at = usize::try_from(at).unwrap();
            let length = inside.written.len().max(at + bytes.len());
            inside.written.resize(length, 0);
            inside.written[at..at + bytes.len()].copy_from_slice(bytes);
        }
        self.burn()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.burn()?;
        let mut inside = self.volume.0.lock().unwrap();
        if inside.lies {
            return Ok(());
        }
        let written = inside.written.clone();
        inside.history.push(written.clone());
        inside.durable = written;
        Ok(())
    }
}
