//! What is left of a key in our memory after it was read, by looking into all of it.

use std::{
    fs::{self, File},
    hint::black_box,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use mainstay::gate::Key;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::{Zeroize, Zeroizing};

const MASK: u8 = 0x5a;
/// How much is looked at at a time.
const STEP: usize = 1 << 16;

/// Writes a key file whose text is nowhere else, and gives back the seed and the text of the key, masked.
fn write(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = Zeroizing::new([0_u8; 64]);
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes[..32]).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&bytes[..32]).unwrap();
    bytes[32..].copy_from_slice(pair.public_key().as_ref());
    let text = Zeroizing::new(encode(&bytes[..]));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(br#"{"priv_key": {"type": "tendermint/PrivKeyEd25519", "value": ""#).unwrap();
    file.write_all(&text).unwrap();
    file.write_all(br#""}}"#).unwrap();
    // The second half of the seed, because the first two words of memory that was given back are the allocator's; and as much
    // of the text as is of the seed.
    let masked = |bytes: &[u8]| bytes.iter().map(|byte| byte ^ MASK).collect();
    (masked(&bytes[16..32]), masked(&text[..40]))
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(88);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let known = digit <= chunk.len();
            text.push(if known { DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] } else { b'=' });
        }
    }
    text
}

#[inline(never)]
fn wipe_stack() {
    let mut left = [0_u8; 16 * 1024];
    left.zeroize();
    black_box(&left);
}

/// A look into all memory that this process can write to. What it needs it has from the beginning: memory that it took
/// later might be that which was just given back.
struct Look {
    memory: File,
    maps: String,
    window: Vec<u8>,
}

impl Look {
    fn new() -> Self {
        let memory = File::open("/proc/self/mem").unwrap();
        Self { memory, maps: String::with_capacity(1 << 20), window: vec![0; STEP + 64] }
    }

    /// How often the masked bytes are in it, without their mask.
    fn find(&mut self, masked: &[u8]) -> usize {
        let Self { memory, maps, window } = self;
        let window = &mut window[..STEP + masked.len() - 1];
        maps.clear();
        File::open("/proc/self/maps").unwrap().read_to_string(maps).unwrap();
        let mut found = 0;
        for line in maps.lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            if !rest.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            for start in (from..to).step_by(STEP) {
                // The window is part of the memory: what was seen in it must not be seen again.
                window.fill(0);
                let length = window.len().min(usize::try_from(to - start).unwrap());
                if memory.seek(SeekFrom::Start(start)).is_ok() && memory.read_exact(&mut window[..length]).is_ok()
                {
                    // By hand: this looks at every byte we have, without optimisation.
                    let (first, rest) = masked.split_first().unwrap();
                    let mut at = 0;
                    while at + masked.len() <= length {
                        if window[at] == first ^ MASK {
                            let here = &window[at + 1..at + masked.len()];
                            found +=
                                usize::from(here.iter().zip(rest).all(|(byte, masked)| byte ^ MASK == *masked));
                        }
                        at += 1;
                    }
                }
            }
        }
        found
    }
}

#[test]
fn nothing_of_the_file_is_left_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("priv_validator_key.json");
    let mut look = Look::new();
    let (seed, text) = write(&path);
    // What this test itself left behind, in `ring`, is not the matter.
    wipe_stack();
    assert_eq!((look.find(&seed), look.find(&text)), (0, 0), "(seed, text) before");
    let key = Key::read(&path).unwrap();
    black_box(key.sign(b"a message"));
    assert_eq!((look.find(&seed), look.find(&text)), (0, 0), "(seed, text)");

    // And what is left is found.
    let left = fs::read(&path).unwrap();
    assert!(look.find(&text) >= 1);
    let copy: Vec<u8> = seed.iter().map(|byte| byte ^ MASK).collect();
    assert!(look.find(&seed) >= 1);
    black_box((left, copy, key));
}
