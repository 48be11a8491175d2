//! The table that `kubectl get` would print, from the printer columns of the CRD.

mod age;
mod path;

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;
use kube::CustomResourceExt;
use serde::Serialize;
use serde_json::Value;

/// A table of text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    /// Headings in capitals, `NAME` first.
    pub columns: Vec<String>,
    /// One row for each resource, one cell for each column.
    pub rows: Vec<Vec<String>>,
}

/// Blanks between two columns, as kubectl has them.
const GAP: usize = 3;
/// Least width of a column with its gap, as kubectl has it.
const LEAST_WIDTH: usize = 6;

impl Table {
    /// Lined-up text as kubectl prints it: columns three blanks apart, each line ended by a newline. Unlike kubectl's, a
    /// line has no blanks at its end.
    pub fn render(&self) -> String {
        let lines = || std::iter::once(&self.columns).chain(&self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = lines().filter_map(|line| line.get(column));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or_default();
                (widest + GAP).max(LEAST_WIDTH)
            })
            .collect();
        let mut text = String::new();
        for line in lines() {
            let padded: String = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            text.push_str(padded.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The table of these resources at `now`; `wide` as with `kubectl get -o wide`.
pub fn table<K: CustomResourceExt + Serialize>(resources: &[K], now: Timestamp, wide: bool) -> Table {
    let columns: Vec<CustomResourceColumnDefinition> = K::crd()
        .spec
        .versions
        .into_iter()
        .next()
        .and_then(|version| version.additional_printer_columns)
        .unwrap_or_default()
        .into_iter()
        .filter(|column| wide || column.priority.unwrap_or_default() == 0)
        .collect();
    let rows = resources
        .iter()
        .map(|resource| {
            let value = serde_json::to_value(resource).unwrap_or_default();
            let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let cells = columns.iter().map(|column| cell(column, &value, now));
            std::iter::once(name).chain(cells).collect()
        })
        .collect();
    let headings = columns.iter().map(|column| column.name.to_uppercase());
    Table {
        columns: std::iter::once("NAME".to_owned()).chain(headings).collect(),
        rows,
    }
}

/// A cell; blank where the resource has nothing at that place.
fn cell(column: &CustomResourceColumnDefinition, resource: &Value, now: Timestamp) -> String {
    let Some(value) = path::find(resource, &column.json_path) else {
        return String::new();
    };
    match (column.type_.as_str(), value) {
        ("date", Value::String(date)) => date
            .parse::<Timestamp>()
            .map_or_else(|_| "<invalid>".into(), |date| age::between(date, now)),
        (_, Value::String(text)) => text.clone(),
        (_, Value::Null) => String::new(),
        (_, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Episode, Task};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn episode(name: &str, status: &str) -> Episode {
        let text = format!(
            "{{apiVersion: mledojo.dev/v1alpha1, kind: Episode, metadata: {{name: {name}, creationTimestamp: \
             2026-11-24T11:58:45Z}}, spec: {{taskRef: {{name: iris}}, agent: {{}}}}, status: {status}}}"
        );
        serde_saphyr::from_str(&text).unwrap()
    }

    #[test]
    fn the_table_has_the_columns_of_the_crd_and_lines_up() {
        let done = "{agent: replay, phase: Completed, steps: 3/15, display: {score: '0.99123', reward: '0.8765'}, \
                    medal: Gold, node: laptop, attempt: 1, outcome: AgentFinished}";
        let episodes = [
            episode("breast-cancer-replay", done),
            episode("b", "{agent: replay}"),
        ];
        assert_eq!(
            table(&episodes, now(), false).render(),
            "\
NAME                   TASK   AGENT    PHASE       STEPS   SCORE     REWARD   MEDAL   GPU   AGE
breast-cancer-replay   iris   replay   Completed   3/15    0.99123   0.8765   Gold          75s
b                      iris   replay   Pending                                              75s
"
        );
        assert_eq!(
            table(&episodes[..1], now(), true).render(),
            "\
NAME                   TASK   AGENT    PHASE       STEPS   SCORE     REWARD   MEDAL   GPU   AGE   NODE     ATTEMPT   OUTCOME
breast-cancer-replay   iris   replay   Completed   3/15    0.99123   0.8765   Gold          75s   laptop   1         AgentFinished
"
        );
    }

    #[test]
    fn a_table_of_tasks_finds_the_condition_that_it_shows() {
        let mut task: Task = serde_saphyr::from_str(
            "{apiVersion: mledojo.dev/v1alpha1, kind: Task, metadata: {name: iris}, spec: {title: Irises, \
             description: Tell them apart., domain: Tabular, data: {path: /data}, environment: {image: a}, \
             evaluation: {metric: {builtin: Accuracy}}}, status: {conditions: [{type: Other, status: Unknown, \
             reason: A, message: '', lastTransitionTime: 2026-11-24T11:00:00Z}, {type: TaskReady, status: 'True', \
             reason: A, message: '', lastTransitionTime: 2026-11-24T11:00:00Z}]}}",
        )
        .unwrap();
        task.metadata.creation_timestamp = Some(Time("2026-11-23T12:00:00Z".parse().unwrap()));
        assert_eq!(
            table(&[task], now(), false).render(),
            "NAME   DOMAIN    METRIC     READY   EPISODES   AGE\niris   Tabular   Accuracy   True               24h\n"
        );
    }

    #[test]
    fn an_empty_table_has_its_headings() {
        let text = table::<Episode>(&[], now(), false).render();
        assert!(
            text.starts_with("NAME   TASK") && text.lines().count() == 1,
            "{text}"
        );
    }
}
