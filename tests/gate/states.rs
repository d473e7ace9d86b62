//! State files.

use std::fs;

use mainstay::gate::{
    State,
    privval::{Place, Step, canonical::Signed},
    state::{NotAState, StateError},
};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::{key, vectors::files};

fn text(name: &str) -> String {
    files()[name].as_str().unwrap().to_owned()
}

#[test]
fn a_state_that_cometbft_wrote_is_read() {
    let new = State::parse(text("new_state").as_bytes()).unwrap();
    assert_eq!(new, State { height: 0, round: 0, step: None, content: None });
    for (name, height, round, step) in
        [("state_after_precommit", 36, 2, Step::Precommit), ("state_after_proposal", 37, 0, Step::Propose)]
    {
        let state = State::parse(text(name).as_bytes()).unwrap();
        assert_eq!((state.height, state.round, state.step), (height, round, Some(step)));
        let content = state.content.unwrap();
        assert_eq!(Signed::read(&content.sign_bytes).unwrap().place, Place { height, round, step });
        let public = UnparsedPublicKey::new(&ED25519, *key().public());
        public.verify(&content.sign_bytes, &content.signature).unwrap();
    }
}

#[test]
fn a_state_that_somebody_raised_is_read() {
    let raised = State::parse(br#"{"height": "9000", "round": 0, "step": 0}"#).unwrap();
    assert_eq!((raised.height, raised.step), (9000, None));
    let raised = State::parse(br#"{"height": "9000", "round": 1, "step": 3}"#).unwrap();
    assert_eq!((raised.height, raised.round, raised.step), (9000, 1, Some(Step::Precommit)));
    assert_eq!(raised.content, None);
}

#[test]
fn what_contradicts_itself_is_no_state() {
    let whole = text("state_after_precommit");
    let wrong = |from: &str, to: &str| {
        assert!(whole.contains(from), "{whole}");
        State::parse(whole.replace(from, to).as_bytes()).unwrap_err()
    };
    for (from, to) in [
        ("\"36\"", "\"37\""),
        ("\"36\"", "\"0\""),
        ("\"step\": 3", "\"step\": 2"),
        ("\"round\": 2", "\"round\": 0"),
    ] {
        assert!(matches!(wrong(from, to), NotAState::Contradiction), "{from} {to}");
    }
    // Strings of digits and nothing else; numbers within their range; nothing missing, nothing more.
    for height in ["\"-1\"", "\"\"", "\"+36\"", "\" 36\"", "\"0x24\"", "\"9223372036854775808\""] {
        assert!(matches!(wrong("\"36\"", height), NotAState::Range("height")), "{height}");
    }
    assert!(matches!(wrong("\"step\": 3", "\"step\": 4"), NotAState::Range("step")));
    assert!(matches!(wrong("\"round\": 2", "\"round\": -2"), NotAState::Range("round")));
    for (from, to) in [
        ("\"36\"", "36"),
        ("\"round\": 2", "\"round\": \"2\""),
        ("\"step\": 3", "\"step\": 300"),
        ("\"height\"", "\"hight\""),
        ("\"step\": 3,", ""),
    ] {
        assert!(matches!(wrong(from, to), NotAState::Json(_)), "{from} {to}");
    }
    assert!(matches!(State::parse(b""), Err(NotAState::Json(_))));
    assert!(matches!(
        State::parse(br#"{"height": "1", "round": 0, "step": 3, "signbytes": "00"}"#),
        Err(NotAState::Half)
    ));
}

#[test]
fn a_state_is_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("priv_validator_state.json");
    assert!(matches!(State::read(&path), Err(StateError::Read { .. })));
    assert!(matches!(State::read(folder.path()), Err(StateError::Invalid { why: NotAState::File, .. })));
    fs::write(&path, text("state_after_proposal")).unwrap();
    assert_eq!(State::read(&path).unwrap().height, 37);
    fs::write(&path, " ".repeat(65 * 1024)).unwrap();
    let said = State::read(&path).unwrap_err().to_string();
    assert!(said.starts_with("failed to use the signing state") && said.contains("65536"), "{said}");
}
