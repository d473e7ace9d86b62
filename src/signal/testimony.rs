//! What one replica of an installation says of a target to another one.

use serde::{Deserialize, Serialize};

use super::{Mono, Reading};

/// How much of somebody else's words is kept (characters).
const LONGEST: usize = 160;

/// Whether a replica reaches a target now. It tells ages and no instants: each process has a clock of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Testimony {
    /// It does: `reachable` = 1.
    Reaches {
        /// How old that is (milliseconds).
        age: u64,
    },
    /// It does not: `reachable` = 0, with a witness of its own.
    Silent {
        /// How old that is (milliseconds).
        age: u64,
    },
    /// It cannot say.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Testimony {
    /// What a reading of `reachable` says.
    #[must_use]
    pub fn of(reading: &Reading, now: Mono) -> Self {
        match reading {
            Reading::Known(sample) => {
                let age = now.since(sample.observed_at);
                match sample.value.whole() {
                    Some(1) => Self::Reaches { age },
                    Some(0) => Self::Silent { age },
                    _ => Self::Unknown { why: format!("reachable is {}", sample.value) },
                }
            }
            Reading::Unknown(why) => Self::Unknown { why: bounded(&why.to_string()) },
        }
    }

    /// Reads what came over the network: a stranger's words until it is known to be one of these.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(text) {
            Ok(Self::Unknown { why }) => Ok(Self::Unknown { why: bounded(&why) }),
            Ok(said) => Ok(said),
            Err(error) => Err(format!("an answer that makes no sense: {}", bounded(&error.to_string()))),
        }
    }
}

/// One line, fit for a status.
fn bounded(text: &str) -> String {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(LONGEST).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Sample, Unknown, Value},
        *,
    };

    fn said(value: Value) -> Testimony {
        let sample = Sample { value, asked_at: Mono(10), observed_at: Mono(20) };
        Testimony::of(&Reading::Known(sample), Mono(50))
    }

    #[test]
    fn only_what_is_known_is_said_for_certain() {
        assert_eq!(said(Value::Whole(1)), Testimony::Reaches { age: 30 });
        assert_eq!(said(Value::Whole(0)), Testimony::Silent { age: 30 });
        assert!(matches!(said(Value::Whole(2)), Testimony::Unknown { .. }));
        let unknown = Testimony::of(&Reading::Unknown(Unknown::NoWitness), Mono(50));
        assert!(matches!(unknown, Testimony::Unknown { why } if why.starts_with("silent, but so is everything")));
    }

    #[test]
    fn what_was_said_is_read_and_nothing_else() {
        for testimony in [
            Testimony::Reaches { age: 7 },
            Testimony::Silent { age: u64::MAX },
            Testimony::Unknown { why: "not observed yet".into() },
        ] {
            let text = serde_json::to_vec(&testimony).unwrap();
            assert_eq!(Testimony::read(&text), Ok(testimony), "{}", String::from_utf8_lossy(&text));
        }
        assert_eq!(serde_json::to_string(&Testimony::Reaches { age: 7 }).unwrap(), r#"{"reaches":{"age":7}}"#);
        let deep = "[".repeat(60_000);
        for garbage in [
            "",
            "null",
            "{}",
            r#""silent""#,
            r#"{"silent":{}}"#,
            r#"{"silent":{"age":-1}}"#,
            r#"{"silent":{"age":1e99}}"#,
            r#"{"silent":{"age":1},"reaches":{"age":1}}"#,
            r#"{"confirms":{"age":1}}"#,
            r#"{"silent":{"age":1}} and more"#,
            "<html>",
            &deep,
        ] {
            let why = Testimony::read(garbage.as_bytes()).unwrap_err();
            assert!(why.chars().count() < 240 && !why.contains('\n'), "{garbage}: {why}");
        }
        assert!(Testimony::read(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn long_words_are_cut_and_stay_on_one_line() {
        let text = serde_json::json!({"unknown": {"why": "a\nb\u{1b}[31m".repeat(9_000)}}).to_string();
        let Ok(Testimony::Unknown { why }) = Testimony::read(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(why.chars().count(), LONGEST);
        assert!(why.starts_with("a b [31ma b"), "{why}");
    }
}
