//! `get_history`: earlier steps with arguments and rewards, a page at a time. It never contains itself: only finished
//! steps are read, and a step that reads is not finished.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::actions::error;
use super::effect::Effect;
use super::step::{Conclusion, Next, Phase};
use super::text;
use crate::wire::agent::{ActionStatus, ErrorType};
use crate::wire::journal::StepRecord;

/// Bytes of arguments that one page holds; each of its steps gets an equal share.
const MAX_PARAMS: usize = 32 * 1024;
/// Longest error message of a step in a page, in bytes.
const MAX_ERROR: usize = 300;

/// Which steps are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Page {
    /// First step, from 1.
    pub from: u32,
    /// Most steps.
    pub limit: u32,
}

impl Page {
    /// Steps of a page when the agent does not say.
    pub(super) const DEFAULT_LIMIT: u32 = 10;
    /// Most steps that an agent can ask for at once.
    pub(super) const MAX_LIMIT: u32 = 50;

    /// The last step of the page when there are `total`; unset when the page is empty.
    fn last(self, total: u32) -> Option<u32> {
        let last = total.min(self.from.saturating_add(self.limit - 1));
        (self.from <= last).then_some(last)
    }
}

/// Reads the page, when there is something to read.
pub(super) fn start(page: Page, total: u32, total_reward: f64) -> Next {
    match page.last(total) {
        Some(last) => Next::Perform(
            Effect::ReadHistory {
                first: page.from,
                last,
            },
            Phase::History(page),
        ),
        None => Next::Conclude(conclude(page, total, total_reward, &[])),
    }
}

/// After the steps were read.
pub(super) fn conclude(page: Page, total: u32, total_reward: f64, records: &[StepRecord]) -> Conclusion {
    let last = page.last(total);
    let wanted: Vec<u32> = last.map_or_else(Vec::new, |last| (page.from..=last).collect());
    if !records
        .iter()
        .map(|record| record.step)
        .eq(wanted.iter().copied())
    {
        return Conclusion::failure(error(
            ErrorType::SandboxError,
            "the record of earlier steps could not be read; try again".into(),
        ));
    }
    let next = last.filter(|last| *last < total).map(|last| last + 1);
    let share = MAX_PARAMS / records.len().max(1);
    let entries: Vec<Entry<'_>> = records
        .iter()
        .map(|record| Entry {
            record,
            params: capped(&record.params, share),
        })
        .collect();
    let mut feedback = String::from("=== History ===\n");
    let _ = match last {
        None if total == 0 => writeln!(feedback, "No step has been taken yet."),
        None => writeln!(
            feedback,
            "There is no step {} yet; the last one is {total}.",
            page.from
        ),
        Some(last) => writeln!(feedback, "Steps {} to {last} of {total}.", page.from),
    };
    for entry in &entries {
        entry.write(&mut feedback);
    }
    if let Some(next) = next {
        let _ = writeln!(
            feedback,
            "More: get_history with from = {next}, up to step {total}."
        );
    }
    Conclusion::success(
        feedback,
        json!({
            "status": "SUCCESS",
            "data": {
                "total": total,
                "next": next,
                "total_reward": total_reward,
                "steps": entries.iter().map(Entry::value).collect::<Vec<_>>(),
            },
        }),
    )
}

/// One step of a page. It shows what the agent was shown then, so a hidden grade stays hidden.
struct Entry<'a> {
    record: &'a StepRecord,
    params: Map<String, Value>,
}

impl Entry<'_> {
    fn status(&self) -> ActionStatus {
        self.record.reply.observation.action_status
    }

    fn raw_score(&self) -> Option<f64> {
        self.record
            .reply
            .observation
            .result
            .pointer("/submission/raw_score")?
            .as_f64()
    }

    fn error(&self) -> Option<(ErrorType, String)> {
        let error = self.record.reply.observation.error.as_ref()?;
        Some((
            error.error_type,
            text::clip(&error.error, MAX_ERROR, 0).into_owned(),
        ))
    }

    fn seconds(&self) -> f64 {
        super::budget::seconds(self.record.duration_ms)
    }

    fn value(&self) -> Value {
        let mut value = json!({
            "step": self.record.step,
            "action": text::name(&self.record.action),
            "params": self.params,
            "status": self.status(),
            "reward": self.record.reply.reward,
            "duration_seconds": self.seconds(),
        });
        if let Some(raw_score) = self.raw_score() {
            value["raw_score"] = raw_score.into();
        }
        if let Some((error_type, error)) = self.error() {
            value["error_type"] = json!(error_type);
            value["error"] = error.into();
        }
        value
    }

    fn write(&self, out: &mut String) {
        let status = match self.status() {
            ActionStatus::Success => "SUCCESS",
            ActionStatus::Failed => "FAILED",
        };
        let _ = write!(
            out,
            "--- step {}: {}, {status} in {}",
            self.record.step,
            text::name(&self.record.action),
            text::duration(self.seconds()),
        );
        if let Some(raw_score) = self.raw_score() {
            let _ = write!(out, ", raw score {}", text::score(raw_score));
            let _ = write!(out, ", reward {}", text::score(self.record.reply.reward));
        }
        out.push_str(" ---\n");
        if let Some((error_type, error)) = self.error() {
            let _ = writeln!(out, "{error_type:?}: {error}");
        }
        for (name, value) in &self.params {
            match value {
                Value::String(text) if text.contains('\n') => {
                    let _ = writeln!(out, "{name}:");
                    text::push_block(out, text);
                }
                value => {
                    let _ = writeln!(out, "{name}: {value}");
                }
            }
        }
    }
}

/// Arguments in at most about `most` bytes: text is cut with the cut marked, other values are replaced by their size.
fn capped(params: &Map<String, Value>, most: usize) -> Map<String, Value> {
    let mut left = most;
    let mut kept = Map::new();
    for (at, (name, value)) in params.iter().enumerate() {
        if left == 0 {
            kept.insert("…".into(), format!("{} more left out", params.len() - at).into());
            break;
        }
        let name = text::name(name);
        let value = match value {
            Value::String(text) => text::clip(text, left, 0).into_owned().into(),
            value => {
                let json = value.to_string();
                if json.len() <= left {
                    value.clone()
                } else {
                    Value::from(format!("[{} bytes left out]", json.len()))
                }
            }
        };
        let size = match &value {
            Value::String(text) => text.len(),
            value => value.to_string().len(),
        };
        left = left.saturating_sub(name.len() + size);
        kept.insert(name, value);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_with_the_last_step() {
        let page = |from, limit| Page { from, limit };
        assert_eq!(page(1, 10).last(0), None);
        assert_eq!(page(1, 10).last(3), Some(3));
        assert_eq!(page(1, 10).last(23), Some(10));
        assert_eq!(page(21, 10).last(23), Some(23));
        assert_eq!(page(24, 10).last(23), None);
        assert_eq!(page(u32::MAX, 50).last(u32::MAX), Some(u32::MAX));
    }

    #[test]
    fn long_arguments_are_cut_and_the_cut_is_marked() {
        let params = json!({"code": "x".repeat(100), "other": [1, 2, 3]});
        let kept = capped(params.as_object().unwrap(), 60);
        assert_eq!(kept["code"], format!("{}… [40 bytes left out]", "x".repeat(60)));
        assert_eq!(kept["…"], "1 more left out");
        let whole = capped(params.as_object().unwrap(), 200);
        assert_eq!(Value::Object(whole), params);
    }

    #[test]
    fn arguments_of_any_shape_stay_bounded() {
        let many: Map<String, Value> = (0..100_000)
            .map(|n| (format!("{n}-{}", "é".repeat(200)), json!([n, n])))
            .collect();
        assert!(Value::Object(capped(&many, 640)).to_string().len() < 1_000);
        let deep = json!({"a": {"b": vec!["c"; 100_000]}});
        let kept = capped(deep.as_object().unwrap(), 640);
        assert_eq!(kept["a"], "[400007 bytes left out]");
    }
}
