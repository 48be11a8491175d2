//! The header of a submission: which column is what, in any order, each once and none too many.

use std::collections::{HashMap, HashSet};

use super::answers::Answers;
use super::csv::Table;
use super::value::{Few, counted};

/// What a column of the submission is.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// The ids.
    Id,
    /// A target, with its place among the targets of the answers.
    Target(usize),
}

/// The role of each column of the submission; fails with everything that is wrong with the header.
pub(super) fn roles(answers: &Answers, table: &Table<'_>) -> Result<Vec<Role>, String> {
    let id = answers.ids.as_ref().map(|(name, _)| (name.as_str(), Role::Id));
    let targets = answers.names.iter().enumerate();
    let needed: Vec<(&str, Role)> = id
        .into_iter()
        .chain(targets.map(|(at, name)| (name.as_str(), Role::Target(at))))
        .collect();
    let known: HashMap<&str, Role> = needed.iter().copied().collect();
    let mut found = HashSet::new();
    let (mut roles, mut repeated, mut extra) = (Vec::new(), Few::default(), Few::default());
    for name in &table.header {
        match known.get(name.as_ref()) {
            _ if !found.insert(name.as_ref()) => repeated.push(name),
            Some(role) => roles.push(*role),
            None => extra.push(name),
        }
    }
    let missing: Few = needed
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !found.contains(**name))
        .collect();

    let mut wrong = Vec::new();
    if missing.count > 0 {
        wrong.push(format!(
            "{} missing: {}",
            counted(missing.count, "column"),
            missing.list()
        ));
    }
    if extra.count > 0 {
        wrong.push(format!(
            "{} too many: {}",
            counted(extra.count, "column"),
            extra.list()
        ));
    }
    if repeated.count > 0 {
        wrong.push(format!("the header repeats {}", repeated.list()));
    }
    if wrong.is_empty() {
        return Ok(roles);
    }
    let needed: Few = needed.iter().map(|(name, _)| name).collect();
    wrong.push(format!(
        "the header must have exactly {}, in any order",
        needed.list()
    ));
    if table.header.first().is_some_and(|name| name.is_empty()) {
        wrong.push("the column without a name looks like a row index: write the file without it (pandas: index=False)".into());
    }
    if table.header.len() == 1 && table.header.iter().any(|name| name.contains([';', '\t'])) {
        wrong.push("columns must be separated by commas".into());
    }
    Err(wrong.join("; "))
}
