//! The architecture test: which room may import which, what pure rooms may not touch, and how long a file may be.
//! It reads the sources as text; ARCHITECTURE.md has the same table in prose.

#![allow(clippy::unwrap_used)] // a test program: a panic is its failure

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room, the rooms that it may import, and whether it is pure (no clients, files, sockets, processes, threads, clock).
const ROOMS: &[(&str, &[&str], bool)] = &[
    ("api", &[], true),
    ("wire", &["api"], true),
    ("env", &["api", "wire"], true),
    ("grade", &["api"], true),
    ("plan", &["api", "wire"], true),
    (
        "relay",
        &["api", "wire", "env", "grade", "metrics", "telemetry"],
        false,
    ),
    ("exec", &["api", "wire", "metrics", "telemetry"], false),
    ("agent", &["api", "wire", "metrics", "telemetry"], false),
    ("local", &["api", "wire", "plan", "metrics", "telemetry"], false),
    (
        "operator",
        &["api", "wire", "plan", "metrics", "telemetry"],
        false,
    ),
    ("metrics", &[], false),
    ("telemetry", &[], false),
    (
        "cli",
        &[
            "api",
            "wire",
            "env",
            "grade",
            "plan",
            "relay",
            "exec",
            "agent",
            "local",
            "operator",
            "metrics",
            "telemetry",
        ],
        false,
    ),
];

/// What a pure room may not name.
const EFFECTS: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "std::os",
    "std::io::stdin",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "getrandom",
    "rustix::",
    "nix::",
    "hyper::",
    "axum::",
    "kube::Api",
    "kube::Client",
    "println!",
    "eprintln!",
];

/// Lines of code (no blanks, no comments, no unit tests) that one file may have.
const MAX_LINES: usize = 400;

/// The part of a source that is compiled into the product, without comments: an item behind `#[cfg(test)]` is left out,
/// what follows it is not. Sources are formatted, so an item ends where its indentation does.
fn product_code(source: &str) -> Vec<&str> {
    let mut lines = source.lines();
    let mut code = Vec::new();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        if text.starts_with("#[cfg(test)]") {
            let indent = &line[..line.len() - text.len()];
            let end = format!("{indent}}}");
            for skipped in lines.by_ref() {
                let attribute = skipped.trim_start().starts_with("#[");
                let one_line = skipped.starts_with(indent) && skipped.ends_with([';', '}']) && !attribute;
                if skipped == end || one_line && !skipped[indent.len()..].starts_with(' ') {
                    break;
                }
            }
        } else if !text.is_empty() && !text.starts_with("//") {
            code.push(line);
        }
    }
    code
}

/// What stands behind each `prefix` (`crate::` or `std::`): one name, or the outermost names of a group.
fn behind<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let name = |text: &'a str| {
        let text = text.trim_start();
        let end = text
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        &text[..end]
    };
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    names.push(name(&group[start..at]));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Every breach of the rules in one source of `room`.
fn breaches(room: &str, source: &str) -> Vec<String> {
    let Some((_, may_import, pure)) = ROOMS.iter().find(|(name, ..)| *name == room) else {
        return vec![format!("room `{room}` is not in the table of rooms")];
    };
    let code = product_code(source);
    let text = code.join("\n");
    let mut found = Vec::new();
    for imported in behind(&text, "crate::") {
        let is_room = ROOMS.iter().any(|(name, ..)| *name == imported);
        if is_room && imported != room && !may_import.contains(&imported) {
            found.push(format!("`{room}` may not import `{imported}`"));
        }
    }
    if *pure {
        let standard = behind(&text, "std::");
        for effect in EFFECTS {
            let grouped = effect
                .strip_prefix("std::")
                .is_some_and(|rest| !rest.contains("::") && standard.contains(&rest));
            if grouped || text.contains(effect) {
                found.push(format!("pure room `{room}` touches `{effect}`"));
            }
        }
    }
    if code.len() > MAX_LINES {
        found.push(format!(
            "{} lines of code: over {MAX_LINES}, so it is two rooms",
            code.len()
        ));
    }
    found
}

fn sources() -> BTreeMap<PathBuf, (String, String)> {
    fn walk(dir: &Path, room: Option<&str>, found: &mut BTreeMap<PathBuf, (String, String)>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                walk(&path, Some(room.unwrap_or(&stem)), found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                if room.is_none() && (stem == "lib" || stem == "main") || stem == "tests" {
                    continue;
                }
                let room = room.unwrap_or(&stem).to_owned();
                found.insert(path.clone(), (room, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        None,
        &mut found,
    );
    found
}

#[test]
fn every_source_keeps_to_its_room() {
    let all: Vec<String> = sources()
        .iter()
        .flat_map(|(path, (room, source))| {
            breaches(room, source)
                .into_iter()
                .map(move |breach| format!("{}: {breach}", path.display()))
        })
        .collect();
    assert!(all.is_empty(), "{} breaches:\n{}", all.len(), all.join("\n"));
}

#[test]
fn no_module_is_called_util() {
    for path in sources().keys() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            !matches!(stem, "util" | "utils" | "helpers" | "common_utils"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_breach_of_each_rule_is_seen() {
    assert_eq!(breaches("api", "use crate::wire::frame::Frame;").len(), 1);
    assert_eq!(
        breaches("grade", "fn f() { let _ = crate::env::Engine::new; }").len(),
        1
    );
    assert_eq!(breaches("local", "use crate::relay::run;").len(), 1);
    assert_eq!(breaches("plan", "let now = Instant::now();").len(), 1);
    assert_eq!(breaches("env", "use std::fs;").len(), 1);
    assert_eq!(
        breaches("env", "let a = 1;\n".repeat(MAX_LINES + 1).as_str()).len(),
        1
    );
    assert_eq!(breaches("attic", "").len(), 1);
    assert_eq!(breaches("env", "use std::{collections::BTreeMap, fs};").len(), 1);
    assert_eq!(
        breaches(
            "exec",
            "use crate::{\n    env::{Engine, Now},\n    wire::frame,\n};"
        )
        .len(),
        1
    );
    assert_eq!(
        breaches("env", "#[cfg(test)]\nmod tests;\n\nuse std::fs;").len(),
        1
    );
    assert_eq!(
        breaches(
            "env",
            "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n\nuse std::fs;"
        )
        .len(),
        1
    );
    assert!(breaches("relay", "use crate::env::Engine; // and\nuse std::fs;").is_empty());
    assert!(
        breaches(
            "env",
            "// std::fs is not for us\n#[cfg(test)]\nmod tests { use std::fs; }"
        )
        .is_empty()
    );
}
