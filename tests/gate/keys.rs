//! Key files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use mainstay::gate::{
    Key,
    encoding::{base64, hex, to_hex},
    key::{KeyError, NotAKey},
};
use proptest::prelude::*;

use crate::{key, signer, vectors::files};

fn text() -> String {
    files()["key"].as_str().unwrap().to_owned()
}

fn secret() -> String {
    let file: serde_json::Value = serde_json::from_str(&text()).unwrap();
    file["priv_key"]["value"].as_str().unwrap().to_owned()
}

fn write(path: &Path, mode: u32) {
    fs::write(path, text()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_of_its_owner_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o400, 0o700] {
        let path = folder.path().join(format!("{mode:o}.json"));
        write(&path, mode);
        assert_eq!(Key::read(&path).unwrap().public(), key().public());
    }
    // As the files of a Secret are.
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink(folder.path().join("600.json"), &link).unwrap();
    assert!(Key::read(&link).is_ok());
}

#[test]
fn a_key_that_others_can_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("priv_validator_key.json");
    for mode in [0o640, 0o644, 0o604, 0o440, 0o660, 0o666, 0o620, 0o601] {
        write(&path, mode);
        let error = Key::read(&path).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { .. }), "{mode:o}: {error:?}");
        let said = error.to_string();
        assert!(said.contains(&format!("{mode:04o}")) && said.contains("chmod 600"), "{said}");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
}

/// Only root can give a file away, and root reads it; the rule for everybody else is tried in `src/gate/key.rs`.
#[test]
fn root_reads_anybodys_key() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("priv_validator_key.json"), folder.path().join("copy.json"));
    write(&path, 0o600);
    if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
        return;
    }
    assert_eq!(Key::read(&path).unwrap().public(), key().public());
    assert_eq!(Key::copy(&path, &copy).unwrap().public(), key().public());
}

#[test]
fn a_copy_is_its_owners_whoever_could_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("secret.json"), folder.path().join("key.json"));
    write(&from, 0o444);
    // What an earlier start left behind is replaced, also where others can read it.
    for before in [None, Some(0o644), Some(0o400)] {
        if let Some(mode) = before {
            fs::write(folder.path().join("key.json.new"), "half").unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(Key::copy(&from, &to).unwrap().public(), key().public());
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(Key::read(&to).unwrap().public(), key().public());
    }
    fs::remove_file(&from).unwrap();
    fs::write(&from, "{}").unwrap();
    let error = Key::copy(&from, &to).unwrap_err();
    assert!(matches!(error, KeyError::Invalid { .. }), "{error}");
    assert!(Key::read(&to).is_ok(), "what is no key replaces none");
    assert!(matches!(Key::copy(folder.path(), &to), Err(KeyError::Invalid { why: NotAKey::File, .. })));
    write(&folder.path().join("good.json"), 0o600);
    let nowhere = folder.path().join("none/key.json");
    assert!(matches!(Key::copy(&folder.path().join("good.json"), &nowhere), Err(KeyError::Write { .. })));
}

#[test]
fn what_is_no_file_is_no_key() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Key::read(&folder.path().join("none")), Err(KeyError::Read { .. })));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(Key::read(folder.path()), Err(KeyError::Invalid { why: NotAKey::File, .. })));
    let large = folder.path().join("large");
    write(&large, 0o600);
    fs::write(&large, text() + &" ".repeat(4096)).unwrap();
    assert!(matches!(Key::read(&large), Err(KeyError::Invalid { why: NotAKey::File, .. })));
}

#[test]
fn what_does_not_fit_together_is_no_key() {
    let other = {
        // Another key's public half, with an address that belongs to neither.
        let file: serde_json::Value = serde_json::from_str(&text()).unwrap();
        file["pub_key"]["value"].as_str().unwrap().to_owned()
    };
    let wrong = |from: &str, to: &str| Key::parse(text().replace(from, to).as_bytes()).unwrap_err();
    let address = key().address();
    assert_eq!(wrong(&address, &address.replace(|c: char| c.is_ascii_digit(), "A")), NotAKey::Address);
    assert_eq!(wrong("PrivKeyEd25519", "PrivKeySecp256k1"), NotAKey::Kind);
    assert_eq!(wrong("PubKeyEd25519", "PubKeySecp256k1"), NotAKey::PubKey);
    assert_eq!(wrong(&other, &other.to_lowercase()), NotAKey::PubKey);
    assert_eq!(wrong(&secret(), &secret()[4..]), NotAKey::Encoding);
    assert_eq!(wrong(&secret(), &secret().replace('=', "-")), NotAKey::Encoding);
    // The first digit is of the seed, so that the second half is another key's.
    let changed = if secret().starts_with('A') { "B" } else { "A" }.to_owned() + &secret()[1..];
    assert_eq!(wrong(&secret(), &changed), NotAKey::Halves);
    assert!(matches!(wrong("priv_key", "private_key"), NotAKey::Json { .. }));
}

#[test]
fn pub_key_and_address_may_be_absent() {
    let text = format!(r#"{{"priv_key": {{"type": "tendermint/PrivKeyEd25519", "value": "{}"}}}}"#, secret());
    assert_eq!(Key::parse(text.as_bytes()).unwrap().public(), key().public());
}

#[test]
fn no_error_and_no_debug_output_tells_the_key() {
    let (text, secret) = (text(), secret());
    let mut said = vec![format!("{:?}", key()), format!("{:?}", signer())];
    // The text cut anywhere, the secret where something else should be, and the other way round.
    let mut broken: Vec<String> = (0..text.len()).map(|end| text[..end].to_owned()).collect();
    broken.push(format!("\"{secret}\""));
    broken.push(format!(r#"{{"priv_key": "{secret}"}}"#));
    broken.push(format!(r#"{{"priv_key": {{"type": "{secret}", "value": 5}}}}"#));
    broken.push(format!(r#"{{"priv_key": {{"{secret}": "{secret}"}}}}"#));
    broken.push(text.replace("PrivKeyEd25519", &secret));
    broken.push(text.replace(&secret, &(secret.clone() + "=")));
    for text in broken {
        let error = Key::parse(text.as_bytes()).unwrap_err();
        said.push(format!("{error} {error:?}"));
    }
    for words in said {
        assert!(!words.contains(&secret[..12]) && !words.contains(&secret[20..32]), "{words}");
    }
}

#[test]
fn base_64_is_that_of_the_standard() {
    // RFC 4648, section 10.
    let mut out = [0; 4];
    assert!(base64("Zm9vYg==", &mut out));
    assert_eq!(&out, b"foob");
    let mut out = [0; 5];
    assert!(base64("Zm9vYmE=", &mut out));
    assert_eq!(&out, b"fooba");
    let mut out = [0; 6];
    assert!(base64("Zm9vYmFy", &mut out));
    assert_eq!(&out, b"foobar");
    for wrong in ["", "Zm9vYmE", "Zm9vYmE=\n", "Zm9vYmF=", "Zm9v=mE=", "Zm9vYm-=", "Zm9vYmE==", "====", "ZZm9vYmE"]
    {
        assert!(!base64(wrong, &mut [0; 5]), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hexadecimal_digits_go_both_ways(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(hex(&to_hex(&bytes)), Some(bytes));
    }

    #[test]
    fn no_text_makes_the_decoders_panic(text in ".{0,100}") {
        let _ = hex(&text);
        let _ = base64(&text, &mut [0; 64]);
        let _ = Key::parse(text.as_bytes());
        let _ = mainstay::gate::State::parse(text.as_bytes());
    }
}
