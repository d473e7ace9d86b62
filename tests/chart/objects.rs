//! Finds its way in what the chart renders.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

/// The files of a folder by their names.
pub fn files(folder: &str) -> BTreeMap<String, String> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("failed to read {folder}: {error}"))
        .map(|file| file.expect("a file"))
        .map(|file| {
            let name = file.file_name().into_string().expect("a plain name");
            (name, fs::read_to_string(file.path()).expect("a text file"))
        })
        .collect()
}

pub fn by_name(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    objects.into_iter().map(|object| (text(&object["metadata"]["name"]), object)).collect()
}

pub fn key(object: &Value) -> (String, String, String) {
    let metadata = &object["metadata"];
    (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

pub fn one(all: &[Value], kind: &str) -> Value {
    all.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}")).clone()
}

pub fn named(all: &[Value], kind: &str, name: &str) -> Value {
    let mut of_kind = all.iter().filter(|object| object["kind"] == kind);
    of_kind.find(|object| object["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {kind} {name}")).clone()
}

pub fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().expect("a selector").iter().all(|(label, value)| &labels[label] == value)
}
