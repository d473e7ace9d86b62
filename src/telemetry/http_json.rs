//! Any JSON document, by JSON pointers (RFC 6901).

use std::sync::Arc;

use serde_json::Value as Json;

use super::{
    ask::{Endpoint, Trouble, document},
    clock::Clock,
    number,
    report::Report,
    source::Source,
    text::excerpt,
};
use crate::{
    policy::Pick,
    signal::{Poll, Signal, Unit, Unknown, Value},
};

/// A document of one target.
#[derive(Clone, Debug)]
pub struct HttpJson {
    endpoint: Endpoint,
    path: String,
    picks: Vec<Pick>,
    signals: Arc<[Signal]>,
}

impl HttpJson {
    /// The document at an endpoint and a path.
    #[must_use]
    pub fn new(endpoint: Endpoint, path: &str, picks: &[Pick], signals: Vec<Signal>) -> Self {
        Self { endpoint, path: path.to_owned(), picks: picks.to_vec(), signals: signals.into() }
    }
}

impl Source for HttpJson {
    fn signals(&self) -> &[Signal] {
        &self.signals
    }

    async fn poll(&mut self, clock: &dyn Clock, _asks: &[u64]) -> Poll {
        let signals = Arc::clone(&self.signals);
        let mut report = Report::begin(&signals, clock);
        let session = match self.endpoint.session() {
            Ok(session) => session,
            Err(why) => return report.unasked(&why),
        };
        let told = session.fetch(&self.path).await.and_then(|answer| match answer.status {
            200..=299 => Ok((document::<Json>(&answer.body)?, answer.latency)),
            status => Err(Trouble::invalid(&format!("HTTP {status}"))),
        });
        let (document, latency) = match told {
            Ok(told) => told,
            Err(trouble) => return report.failed(&trouble, clock),
        };
        report.answered(latency, clock);
        for Pick { signal, at, .. } in &self.picks {
            report.put(*signal, pick(&document, at, signal.unit()));
        }
        report.end()
    }
}

/// A number, a flag, a number in words, or a time, as a value of some unit.
pub(super) fn pick(document: &Json, pointer: &str, unit: Unit) -> Result<Value, Unknown> {
    let refuse = |what: &str| Err(Unknown::Invalid(excerpt(format!("{pointer}: {what}").as_bytes())));
    match document.pointer(pointer) {
        None => refuse("there is nothing of the kind in the document"),
        Some(Json::Bool(holds)) if matches!(unit, Unit::Flag | Unit::Number | Unit::Count) => {
            Ok(Value::Whole(u64::from(*holds)))
        }
        Some(Json::Number(number)) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) if unit.is_whole() && (unit != Unit::Flag || whole <= 1) => Ok(Value::Whole(whole)),
            (_, Some(number)) => number::value(number, unit),
            _ => refuse("a number out of range"),
        },
        Some(Json::String(text)) => {
            let whole = number::decimal(text).or_else(|| number::hex(text));
            match whole {
                Some(whole) if unit.is_whole() && (unit != Unit::Flag || whole <= 1) => Ok(Value::Whole(whole)),
                #[expect(clippy::cast_precision_loss)]
                Some(whole) => number::value(whole as f64, unit),
                None => match text.parse::<f64>() {
                    Ok(number) => number::value(number, unit),
                    Err(_) => refuse("words where a number should be"),
                },
            }
        }
        Some(_) => refuse("no number"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_read_however_it_is_written() {
        let document = json!({"a": 7, "b": "7", "c": "0x7", "d": 7.5, "e": true, "f": [1, {"g": "1e3"}]});
        for (pointer, unit, expected) in [
            ("/a", Unit::Height, Value::Whole(7)),
            ("/b", Unit::Height, Value::Whole(7)),
            ("/c", Unit::Count, Value::Whole(7)),
            ("/d", Unit::Seconds, Value::Micros(7_500_000)),
            ("/b", Unit::Number, Value::Micros(7_000_000)),
            ("/e", Unit::Flag, Value::Whole(1)),
            ("/f/1/g", Unit::Count, Value::Whole(1000)),
        ] {
            assert_eq!(pick(&document, pointer, unit), Ok(expected), "{pointer}");
        }
        let greatest = json!({"h": u64::MAX});
        assert_eq!(pick(&greatest, "/h", Unit::Height), Ok(Value::Whole(u64::MAX)), "not through a float");
        for (pointer, unit) in [("/x", Unit::Count), ("/f", Unit::Count), ("/d", Unit::Count), ("/a", Unit::Flag)]
        {
            assert!(pick(&document, pointer, unit).is_err(), "{pointer}");
        }
        let odd = json!({"nan": "NaN", "inf": "inf", "words": "many", "none": null});
        for pointer in ["/nan", "/inf", "/words", "/none"] {
            assert!(pick(&odd, pointer, Unit::Number).is_err(), "{pointer}");
        }
    }
}
