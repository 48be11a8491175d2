//! `request_info`: what the agent may know of the task. Nothing here comes from the private data.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::actions::Info;
use super::budget::seconds;
use super::effect::{PublicFacts, TreeEntry};
use super::step::Conclusion;
use super::text;
use crate::api::evaluation::{Direction, Feedback};
use crate::wire::config::RelayConfig;

/// Entries of one directory that are listed.
const MAX_ENTRIES: usize = 10;
/// Longest directory listing and longest sample, in bytes each.
const MAX_TEXT: usize = 16 * 1024;

/// Answers a request for one kind of information, or for all.
pub(super) fn conclude(config: &RelayConfig, public: &PublicFacts, wanted: Option<Info>) -> Conclusion {
    let mut data = Map::new();
    let mut feedback = String::from("=== Task information ===\n");
    for info in Info::ALL
        .into_iter()
        .filter(|info| wanted.is_none_or(|wanted| wanted == *info))
    {
        let (value, prose) = describe(config, public, info);
        let _ = writeln!(feedback, "--- {} ---", info.name());
        text::push_block(&mut feedback, &prose);
        data.insert(info.name().into(), value);
    }
    Conclusion::success(feedback, json!({"status": "SUCCESS", "data": data}))
}

/// One kind of information as a value and as text.
fn describe(config: &RelayConfig, public: &PublicFacts, info: Info) -> (Value, String) {
    let file = &config.evaluation.submission.file;
    match info {
        Info::Overview => same(config.task.description.clone()),
        Info::SampleSubmission => match &public.sample_submission {
            Some(sample) => same(text::clip(sample, MAX_TEXT, 0).into_owned()),
            None => (Value::Null, "The task has no sample_submission.csv.\n".into()),
        },
        Info::DataStructure => same(listing(&public.tree)),
        Info::DataPath => (
            config.public_dir.as_str().into(),
            format!(
                "{} (read-only; executed code has it in the environment variable DOJO_PUBLIC)\n",
                config.public_dir
            ),
        ),
        Info::OutputPath => (
            config.workspace_dir.as_str().into(),
            format!(
                "{} (executed code runs here; write {file} into it)\n",
                config.workspace_dir
            ),
        ),
        Info::Name => same(config.task.name.clone()),
        Info::Metadata => metadata(config),
    }
}

fn same(prose: String) -> (Value, String) {
    (prose.as_str().into(), prose)
}

fn metadata(config: &RelayConfig) -> (Value, String) {
    let evaluation = &config.evaluation;
    let limits = &config.limits;
    let submission = &evaluation.submission;
    let boards: Vec<_> = evaluation
        .leaderboards
        .iter()
        .map(|board| board.name.as_str())
        .collect();
    let max_bytes = submission.size_limit();
    let hidden_percent = evaluation.holdout.as_ref().map(|holdout| holdout.percent);
    let metric = format!("{:?}", evaluation.metric.builtin);
    let direction = evaluation.improves();
    let value = json!({
        "title": config.task.title,
        "domain": config.task.domain,
        "metric": metric,
        "direction": direction,
        "submission": {"file": submission.file, "id_column": submission.id_column, "max_bytes": max_bytes},
        "leaderboards": boards,
        "hidden_percent": hidden_percent,
        "feedback": evaluation.feedback,
        "step_reward": evaluation.step_reward,
        "episode_reward": evaluation.reward,
        "limits": {
            "steps": limits.steps,
            "wall_clock_seconds": seconds(limits.wall_clock_ms),
            "action_timeout_seconds": seconds(limits.action_timeout_ms),
            "validation_timeout_seconds": seconds(limits.validation_timeout_ms),
        },
        "network": config.network,
    });
    let mut lines = vec![
        format!("title: {}", config.task.title),
        format!("domain: {:?}", config.task.domain),
        format!("metric: {metric} ({})", direction_words(direction)),
        match &submission.id_column {
            Some(id) => format!("submission: {}, rows aligned by the column {id}", submission.file),
            None => format!(
                "submission: {}, rows in the order of the test data",
                submission.file
            ),
        },
        format!("largest submission: {}", text::size(max_bytes)),
    ];
    if !boards.is_empty() {
        lines.push(format!("leaderboards: {}", text::list(&boards)));
    }
    if let Some(percent) = hidden_percent {
        lines.push(format!(
            "hidden rows: {percent} % of the test rows count only at the end; scores during the episode are on the others"
        ));
    }
    lines.push(format!("feedback on a submission: {:?}", evaluation.feedback));
    lines.push(match evaluation.feedback {
        Feedback::Full | Feedback::Score => format!(
            "reward: {:?} per step, {:?} for the episode",
            evaluation.step_reward, evaluation.reward
        ),
        Feedback::Validity => format!(
            "reward: {:?} for the episode; each step shows 0",
            evaluation.reward
        ),
    });
    lines.push(format!(
        "limits: {} steps, {} of wall clock, {} per execute_code, {} per validate_code",
        limits.steps,
        text::duration(seconds(limits.wall_clock_ms)),
        text::duration(seconds(limits.action_timeout_ms)),
        text::duration(seconds(limits.validation_timeout_ms)),
    ));
    lines.push(format!("network of executed code: {:?}", config.network));
    (value, lines.join("\n"))
}

/// The direction for a reader.
pub(super) fn direction_words(direction: Direction) -> &'static str {
    match direction {
        Direction::Maximize => "greater is better",
        Direction::Minimize => "smaller is better",
    }
}

fn listing(tree: &[TreeEntry]) -> String {
    let mut out = String::new();
    list(tree, tree.len() as u64, 0, &mut out);
    if out.is_empty() {
        out.push_str("(no files)\n");
    }
    text::clip(&out, MAX_TEXT, 0).into_owned()
}

fn list(entries: &[TreeEntry], total: u64, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let shown = &entries[..entries.len().min(MAX_ENTRIES)];
    for entry in shown {
        if out.len() > MAX_TEXT {
            return;
        }
        let name = text::one_line(&entry.name);
        let _ = match &entry.children {
            None => writeln!(out, "{indent}{name} ({})", text::size(entry.size)),
            Some(_) if entry.size == 1 => writeln!(out, "{indent}{name}/ (1 entry)"),
            Some(_) => writeln!(out, "{indent}{name}/ ({} entries)", entry.size),
        };
        if let Some(children) = &entry.children {
            list(children, entry.size, depth + 1, out);
        }
    }
    let more = total.saturating_sub(shown.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "{indent}... {more} more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> TreeEntry {
        TreeEntry {
            name: name.into(),
            size,
            children: None,
        }
    }

    fn directory(name: &str, size: u64, children: Vec<TreeEntry>) -> TreeEntry {
        TreeEntry {
            name: name.into(),
            size,
            children: Some(children),
        }
    }

    #[test]
    fn a_directory_lists_ten_entries_and_counts_the_rest() {
        let images = (0..10).map(|n| file(&format!("{n}.png"), 700)).collect();
        let tree = [
            directory("empty", 0, Vec::new()),
            directory("images", 1_200, images),
            directory("one", 1, vec![file("a\nb", 1)]),
            file("train.csv", 45_678),
        ];
        let text = listing(&tree);
        assert!(
            text.starts_with("empty/ (0 entries)\nimages/ (1200 entries)\n  0.png (700 B)\n"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "  9.png (700 B)\n  ... 1190 more\none/ (1 entry)\n  a b (1 B)\ntrain.csv (45.7 kB)\n"
            ),
            "{text}"
        );
        assert_eq!(listing(&[]), "(no files)\n");
    }

    #[test]
    fn the_root_lists_ten_entries_too() {
        let tree: Vec<_> = (10..25).map(|n| file(&format!("part-{n}.csv"), 1)).collect();
        let text = listing(&tree);
        assert!(text.ends_with("part-19.csv (1 B)\n... 5 more\n"), "{text}");
    }

    #[test]
    fn a_deep_tree_stays_bounded() {
        let mut tree = vec![file(&"x".repeat(255), 1)];
        for _ in 0..3 {
            tree = (0..10)
                .map(|n| directory(&n.to_string().repeat(200), 10, tree.clone()))
                .collect();
        }
        assert!(listing(&tree).len() < MAX_TEXT + 64);
    }
}
