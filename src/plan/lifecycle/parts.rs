//! Which writer owns which fields of a status. Each applies its own part, so that neither can set the other's back.

use serde_json::{Map, Value};

use crate::api::conditions::Phase;
use crate::api::status::EpisodeStatus;

/// What follows from the relay's reports alone: while the episode runs it is the report server's.
const LIVE: &[&str] = &[
    "steps",
    "sequence",
    "score",
    "reward",
    "rewardBasis",
    "display",
    "places",
    "medal",
    "aboveMedian",
    "usage",
    "trajectory",
];

/// The part of `status` that the controller applies over what is recorded: all of it at the end, all but the live fields
/// before.
pub fn controller_part(recorded: Option<&EpisodeStatus>, status: &EpisodeStatus) -> Value {
    let mut fields = fields_of(status);
    if !status.phase.is_final() {
        // Until the first report `0/15` is the controller's word.
        let reported = recorded.is_some_and(|recorded| recorded.sequence.is_some());
        let counts_steps =
            !reported || matches!(status.phase, Phase::Pending | Phase::Starting | Phase::Suspended);
        fields.retain(|name, _| !LIVE.contains(&name.as_str()) || counts_steps && name == "steps");
    }
    Value::Object(fields)
}

/// The part of a status that the report server applies: the live fields.
pub fn live_part(status: &EpisodeStatus) -> Value {
    let mut fields = fields_of(status);
    fields.retain(|name, _| LIVE.contains(&name.as_str()));
    Value::Object(fields)
}

/// Whether the controller has nothing to write: what is on record is what it would apply.
pub fn same_controller_part(recorded: Option<&EpisodeStatus>, new: &EpisodeStatus) -> bool {
    recorded.is_some_and(|recorded| {
        controller_part(Some(recorded), recorded) == controller_part(Some(recorded), new)
    })
}

fn fields_of(status: &EpisodeStatus) -> Map<String, Value> {
    // A struct of texts and numbers always has a JSON form.
    match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{DisplayStatus, UsageStatus};

    fn status(phase: Phase) -> EpisodeStatus {
        EpisodeStatus {
            phase,
            attempt: Some(2),
            steps: Some("3/15".into()),
            sequence: Some(6),
            score: Some(0.5),
            reward: Some(0.25),
            display: Some(DisplayStatus::default()),
            usage: Some(UsageStatus::default()),
            ..EpisodeStatus::default()
        }
    }

    fn names(part: &Value) -> Vec<&str> {
        part.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn the_live_fields_are_the_report_servers_until_the_end() {
        let before = ["phase", "attempt", "steps"];
        let all = [
            "phase", "attempt", "sequence", "steps", "score", "reward", "display", "usage",
        ];
        for (phase, expected) in [
            (Phase::Pending, before.as_slice()),
            (Phase::Starting, &before),
            (Phase::Suspended, &before),
            (Phase::Running, &["phase", "attempt"]),
            (Phase::Completed, &all),
            (Phase::Failed, &all),
            (Phase::Cancelled, &all),
        ] {
            let status = status(phase);
            assert_eq!(
                names(&controller_part(Some(&status), &status)),
                expected,
                "{phase:?}"
            );
        }
        let running = status(Phase::Running);
        assert_eq!(
            names(&controller_part(None, &running)),
            before,
            "until the first report"
        );
        assert_eq!(
            names(&live_part(&status(Phase::Running))),
            ["sequence", "steps", "score", "reward", "display", "usage"]
        );
    }

    #[test]
    fn no_field_is_left_to_nobody_and_only_steps_change_hands() {
        for phase in [Phase::Pending, Phase::Running] {
            let status = status(phase);
            let (ours, theirs) = (controller_part(Some(&status), &status), live_part(&status));
            for name in names(&Value::Object(fields_of(&status))) {
                let owners = [&ours, &theirs]
                    .iter()
                    .filter(|part| !part[name].is_null())
                    .count();
                let shared = name == "steps" && phase == Phase::Pending;
                assert_eq!(owners, if shared { 2 } else { 1 }, "{phase:?} {name}");
            }
        }
    }

    #[test]
    fn a_change_of_a_live_field_is_nothing_for_the_controller_to_write() {
        let recorded = status(Phase::Running);
        let mut new = recorded.clone();
        new.reward = None;
        new.steps = Some("0/15".into());
        assert!(same_controller_part(Some(&recorded), &new));
        new.attempt = Some(3);
        assert!(!same_controller_part(Some(&recorded), &new));
        assert!(!same_controller_part(None, &recorded));
    }
}
