//! Holds the invariants of `ARCHITECTURE.md`: which room may import which, and what the pure rooms may not do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Every room and the rooms it may import. A line here is a decision; a missing one is a wall.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("policy", &["api", "signal"]),
    ("signal", &["api"]),
    ("judge", &["api", "policy", "signal", "network"]),
    ("network", &["api", "policy", "signal"]),
    ("plan", &["api", "policy", "signal", "judge", "network"]),
    ("remedy", &["api", "plan"]),
    ("failover", &["api"]),
    ("config", &["api"]),
    ("gate", &["api", "failover", "serve", "telemetry"]),
    ("telemetry", &["api", "policy", "signal"]),
    ("lead", &["signal"]),
    ("notify", &["config", "serve", "signal"]),
    ("sim", &["api", "judge", "plan", "policy", "remedy", "signal", "world"]),
    ("world", &["api", "judge", "network", "plan", "policy", "remedy", "signal", "telemetry"]),
    ("serve", &["signal"]),
    ("effect", &["api", "failover", "plan", "signal", "controller", "remedy", "world"]),
    (
        "controller",
        &[
            "api",
            "config",
            "effect",
            "failover",
            "gate",
            "judge",
            "lead",
            "network",
            "notify",
            "plan",
            "policy",
            "remedy",
            "serve",
            "signal",
            "telemetry",
            "world",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "config",
            "controller",
            "effect",
            "failover",
            "gate",
            "judge",
            "network",
            "plan",
            "policy",
            "remedy",
            "signal",
            "sim",
            "telemetry",
            "world",
        ],
    ),
];

const PURE: &[&str] = &["policy", "signal", "judge", "network", "plan", "remedy", "failover", "world", "sim"];

/// Parts of rooms with I/O that are pure nevertheless: what is signed is decided without a socket, a file or a clock.
const PURE_PARTS: &[&str] =
    &["gate/privval/", "gate/answer.rs", "gate/encoding.rs", "gate/arbiter.rs", "gate/commit.rs", "gate/first.rs"];

/// What a pure room may not mention outside its tests, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("tokio::", "a pure room does no I/O"),
    ("reqwest::", "a pure room does no I/O"),
    ("kube::", "a pure room knows no cluster"),
    ("k8s_openapi::", "built-in types stay at the door"),
    ("std::fs", "a pure room does no I/O"),
    ("std::net::Tcp", "a pure room does no I/O"),
    ("::now(", "time is an argument"),
    ("rand::", "dice are an argument"),
    ("HashMap", "its order is not a fact"),
    ("HashSet", "its order is not a fact"),
    ("async ", "a pure room does not wait"),
    (".unwrap()", "a pure room does not panic"),
    ("f64", "states compare exactly"),
];

const MOST_LINES: usize = 400;

#[test]
fn no_room_imports_what_its_wall_forbids() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_IMPORT.iter().map(|(room, may)| (*room, may.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for (room, file, text) in rooms() {
        let Some(may) = allowed.get(room.as_str()) else {
            panic!("{} is in no room that this test knows: add `{room}` to MAY_IMPORT", file.display());
        };
        for (number, line) in code(&text) {
            for other in allowed.keys().filter(|other| **other != room && !may.contains(**other)) {
                let imports = line.contains(&format!("crate::{other}::"))
                    || line.trim_start().starts_with(&format!("{other}::"))
                        && line.trim_end().ends_with([',', '{'])
                        && inside_crate_use(&text, number);
                if imports {
                    wrong.push(format!("{}:{number}: {room} may not import {other}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_brain_is_pure() {
    let mut wrong = Vec::new();
    for (room, file, text) in rooms() {
        let inside = file.to_string_lossy();
        let part = PURE_PARTS.iter().any(|part| inside.contains(&format!("/src/{part}")));
        if !part && !PURE.contains(&room.as_str()) {
            continue;
        }
        for (number, line) in code(&text) {
            for (word, why) in FORBIDDEN {
                if line.contains(word) {
                    wrong.push(format!("{}:{number}: `{word}`: {why}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn built_in_types_stay_at_the_door() {
    let mut wrong = Vec::new();
    for (room, file, text) in rooms() {
        let door = room == "effect" || file.ends_with("controller/observe.rs");
        for (number, line) in code(&text) {
            let mentions = ["api::core::v1::Pod", "core::v1::{Pod", "StatefulSet}", "apps::v1::StatefulSet"];
            if !door && mentions.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{number}: a built-in type beyond the door", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nobody_calls_the_eviction_that_drops_its_preconditions() {
    for (_, file, text) in rooms() {
        for (number, line) in code(&text) {
            assert!(!line.contains(".evict("), "{}:{number}: post a typed Eviction", file.display());
        }
    }
}

#[test]
fn only_effects_write_to_the_cluster() {
    let writes = [".delete(", ".create(&", "api.replace(", ".replace_status(", ".patch(", ".patch_status("];
    let mut wrong = Vec::new();
    for (room, file, text) in rooms() {
        // The lease is leadership's own, and `cli` acts with the caller's credentials.
        // A gate writes its own record, behind a policy that lets it do nothing else.
        let own = file.ends_with("gate/registry.rs");
        if own || ["effect", "lead", "cli"].contains(&room.as_str()) {
            continue;
        }
        for (number, line) in code(&text) {
            if writes.iter().any(|write| line.contains(write)) {
                wrong.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "a write outside effect/:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_short() {
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let lines = read(&file).lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(wrong.is_empty(), "a second idea deserves a file of its own:\n{}", wrong.join("\n"));
}

/// Every source file of the product with its room.
fn rooms() -> Vec<(String, PathBuf, String)> {
    let src = at("src");
    let mut found = Vec::new();
    for path in rust_files("src") {
        let inside = path.strip_prefix(&src).expect("below src");
        let mut parts = inside.components().map(|part| part.as_os_str().to_string_lossy());
        let room = parts.clone().next().expect("a name").into_owned();
        if room == "main.rs" || room == "lib.rs" || parts.any(|part| part.starts_with("tests")) {
            continue;
        }
        let text = read(&path);
        found.push((room, path, text));
    }
    assert!(found.len() > 40, "the house was not found: {} files", found.len());
    found.sort();
    found
}

fn at(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("a readable file")
}

/// Every file of Rust below a folder of the package.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![at(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The lines of a file that are code: no comments, no tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| !line.contains("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether a line stands inside `use crate::{ … };`.
fn inside_crate_use(text: &str, number: usize) -> bool {
    let before: Vec<&str> = text.lines().take(number - 1).collect();
    before.iter().rev().take_while(|line| !line.ends_with(';')).any(|line| line.starts_with("use crate::{"))
}
