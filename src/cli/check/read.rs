//! YAML and JSON as kubectl reads them, with the line of every field.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// One document of a file.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// What is written.
    pub value: Value,
    places: BTreeMap<String, u64>,
}

/// Why a file is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, where it is known.
    pub line: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// The documents of a file, up to the first that is no YAML.
#[must_use]
pub fn documents(text: &str) -> (Vec<Document>, Option<SyntaxError>) {
    let mut reader = text.as_bytes();
    let mut documents = Vec::new();
    for read in serde_saphyr::read_with_options::<_, Node>(&mut reader, serde_saphyr::Options::default()) {
        match read {
            Ok(node) => {
                let mut places = BTreeMap::new();
                let value = node.place("", &mut places);
                documents.push(Document { value, places });
            }
            Err(error) => {
                let line = error.location().map(|at| at.line());
                let message = format!("not YAML: {}", error.without_snippet());
                let error = SyntaxError { line, message };
                return (documents, Some(error));
            }
        }
    }
    (documents, None)
}

impl Document {
    /// The line of a field, or of the nearest thing around it that is written down. Elements of a list are found
    /// by number (`spec.rules[2]`) and by name (`spec.rules[slow]`).
    #[must_use]
    pub fn line(&self, path: &str) -> Option<u64> {
        let mut path = path;
        loop {
            if let Some(line) = self.places.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '[']).unwrap_or(0)];
            if path.is_empty() {
                return self.places.get("").copied();
            }
        }
    }

    /// A document inside of this one: an item of a `List`.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        let prefix = format!("items[{index}]");
        let places = self.places.iter().filter_map(|(path, line)| {
            let rest = path.strip_prefix(&prefix)?;
            let rest = rest.strip_prefix('.').or(rest.is_empty().then_some(""))?;
            Some((rest.to_owned(), *line))
        });
        Self { value: self.value["items"][index].clone(), places: places.collect() }
    }
}

/// What the API server keeps: it drops a null where none is allowed, and our definitions allow none.
#[must_use]
pub fn without_nulls(mut value: Value) -> Value {
    fn prune(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, value| !value.is_null());
                map.values_mut().for_each(prune);
            }
            Value::Array(items) => items.iter_mut().for_each(prune),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    prune(&mut value);
    value
}

/// A node of YAML and where it begins.
struct Node {
    line: u64,
    content: Content,
}

enum Content {
    Leaf(Value),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The key of a map: always text, as in JSON.
struct Key {
    line: u64,
    text: String,
}

impl Node {
    /// The value of this node; on the way, the line of every path below it is written down.
    fn place(self, path: &str, places: &mut BTreeMap<String, u64>) -> Value {
        places.entry(path.to_owned()).or_insert(self.line);
        match self.content {
            Content::Leaf(value) => value,
            Content::List(nodes) => {
                let mut items = Vec::new();
                for (index, node) in nodes.into_iter().enumerate() {
                    if let Some(name) = node.name() {
                        // Paths by name are for messages that speak of names; only the last step may be one.
                        node.name_places(&format!("{path}[{name}]"), places);
                    }
                    items.push(node.place(&format!("{path}[{index}]"), places));
                }
                Value::Array(items)
            }
            Content::Map(entries) => {
                let mut map = Map::new();
                for (key, node) in entries {
                    let path = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
                    places.insert(path.clone(), key.line);
                    map.insert(key.text, node.place(&path, places));
                }
                Value::Object(map)
            }
        }
    }

    fn name(&self) -> Option<&str> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find_map(|(key, node)| match &node.content {
            Content::Leaf(Value::String(name)) if key.text == "name" => Some(name.as_str()),
            _ => None,
        })
    }

    fn name_places(&self, path: &str, places: &mut BTreeMap<String, u64>) {
        places.entry(path.to_owned()).or_insert(self.line);
        if let Content::Map(entries) = &self.content {
            for (key, _) in entries {
                places.entry(format!("{path}.{}", key.text)).or_insert(key.line);
            }
        }
    }
}

// === reading ===

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        let text = match spanned.value {
            Content::Leaf(Value::String(text)) => text,
            Content::Leaf(value) => value.to_string(),
            Content::List(_) | Content::Map(_) => return Err(de::Error::custom("a key must be a word")),
        };
        Ok(Self { line: spanned.referenced.line(), text })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML that JSON can hold")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Leaf(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("JSON has no such number"))?;
        Ok(Content::Leaf(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Leaf(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Leaf(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Content::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
kind: A
spec:
  rules:
  - {name: slow,
     above: 3}
  - name: other
    clear:
      below: 2s   # a comment
---
{\"kind\": \"B\",
 \"spec\": {\"on\": yes, off: \"no\"}}
";

    #[test]
    fn fields_have_the_line_of_their_key() {
        let (documents, error) = documents(POLICY);
        assert_eq!(error, None);
        let line = |path: &str| documents[0].line(path);
        assert_eq!(line("kind"), Some(1));
        assert_eq!(line("spec.rules[0].above"), Some(5));
        assert_eq!(line("spec.rules[slow].above"), Some(5));
        assert_eq!(line("spec.rules[1].clear.below"), Some(8));
        assert_eq!(line("spec.rules[other].clear"), Some(7));
        assert_eq!(line("spec.rules[1].signal"), Some(6), "the nearest thing around it");
        assert_eq!(documents[1].line("spec"), Some(11));
    }

    #[test]
    fn words_are_booleans_where_kubectl_thinks_so() {
        let (documents, _) = documents(POLICY);
        assert_eq!(documents[1].value, serde_json::json!({"kind": "B", "spec": {"on": true, "false": "no"}}));
    }

    #[test]
    fn a_syntax_error_has_its_place_and_what_stood_before_it_counts() {
        let (documents, error) = documents("a: 1\n---\nb: [1\nc: 2\n");
        assert_eq!(documents.len(), 1);
        assert!(error.is_some_and(|error| error.line.is_some_and(|line| line >= 3)));
        let (_, error) = super::documents("a: 1\na: 2\n");
        assert_eq!(error.and_then(|error| error.line), Some(2), "a key may stand once");
    }
}
