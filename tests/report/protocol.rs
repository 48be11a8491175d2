//! Who may report what, request by request.

use serde_json::{Value, json};

use crate::stage::{POD_TOKEN, Stage};

const ATTEMPT: &str = "/v1/namespaces/team-a/episodes/ep/attempts/1";

fn result(sequence: u64, score: Option<f64>) -> Vec<u8> {
    json!({
        "sequence": sequence,
        "steps": sequence,
        "stepLimit": 15,
        "score": score,
        "reward": score.unwrap_or(0.0),
        "basis": "Score",
        "validSubmission": score.is_some(),
        "wallSeconds": 1.0,
        "executionSeconds": 1.0,
        "cpuSeconds": 1.0,
        "peakMemoryBytes": 1,
        "trajectorySha256": "0".repeat(64),
        "trajectoryBytes": 10,
        "executor": true,
    })
    .to_string()
    .into_bytes()
}

fn put_result(stage: &Stage, token: &str, body: &[u8]) -> (u16, Value) {
    stage.ask("PUT", &format!("{ATTEMPT}/result"), token, body)
}

#[test]
fn only_the_pod_on_record_may_report() {
    let stage = Stage::new();
    for (token, status) in [
        ("nonsense", 401),
        ("user/jane", 401),
        ("pod/team-b/ep-1/pod-uid", 403),
        ("pod/team-a/ep-2/pod-uid", 403),
        ("pod/team-a/ep-1/another-uid", 403),
    ] {
        assert_eq!(put_result(&stage, token, &result(1, None)).0, status, "{token}");
        let file = format!("{ATTEMPT}/files/trajectory.jsonl?offset=0");
        assert_eq!(
            stage.ask("PUT", &file, token, &[b'x'; 1 << 20]).0,
            status,
            "{token}"
        );
        assert_eq!(
            stage.ask("GET", &format!("{ATTEMPT}/files"), token, b"").0,
            status,
            "{token}"
        );
    }
    for path in [
        "/v1/namespaces/team-a/episodes/ep/attempts/2/result",
        "/v1/namespaces/team-a/episodes/ep/attempts/x/result",
        "/v1/namespaces/team-a/episodes/ep/attempts/01/result",
        "/v1/namespaces/team-a/episodes/ep/attempts/+1/result",
        "/v1/namespaces/team-a/episodes/another/attempts/1/result",
        "/v1/namespaces/team-b/episodes/ep/attempts/1/result",
        "/v1/namespaces/team-a/episodes/..%2f..%2fsecrets/attempts/1/result",
    ] {
        assert_eq!(
            stage.ask("PUT", path, POD_TOKEN, &result(1, None)).0,
            403,
            "{path}"
        );
    }
    assert!(stage.api.world().applied.is_empty());
    assert_eq!(put_result(&stage, POD_TOKEN, &result(1, None)), (200, json!({})));
    assert_eq!(stage.api.status()["steps"], "1/15");
}

#[test]
fn a_token_is_reviewed_once_a_minute() {
    let stage = Stage::new();
    for sequence in 1..6 {
        assert_eq!(put_result(&stage, POD_TOKEN, &result(sequence, None)).0, 200);
    }
    assert_eq!(stage.api.world().token_reviews, 1);
}

#[test]
fn a_report_that_is_older_or_too_late_changes_nothing() {
    let stage = Stage::new();
    assert_eq!(put_result(&stage, POD_TOKEN, &result(5, Some(0.5))).0, 200);
    let (status, problem) = put_result(&stage, POD_TOKEN, &result(5, Some(0.9)));
    assert_eq!((status, &problem["code"]), (409, &json!("stale")));
    assert_eq!(put_result(&stage, POD_TOKEN, &result(3, Some(0.9))).0, 409);
    assert_eq!(stage.api.status()["reward"], 0.5);
    stage.api.change(|status| status["phase"] = json!("Completed"));
    assert_eq!(put_result(&stage, POD_TOKEN, &result(6, Some(0.9))).0, 410);
    stage.api.change(|status| status["attempt"] = json!(2));
    assert_eq!(put_result(&stage, POD_TOKEN, &result(6, Some(0.9))).0, 403);
    assert_eq!(stage.api.world().applied.len(), 1);
}

#[test]
fn a_pod_that_is_not_on_record_yet_comes_again() {
    let stage = Stage::new();
    stage.api.change(|status| status["pod"] = json!(null));
    assert_eq!(put_result(&stage, POD_TOKEN, &result(1, None)).0, 503);
    assert_eq!(
        put_result(&stage, "pod/team-a/other/pod-uid", &result(1, None)).0,
        403
    );
    stage
        .api
        .change(|status| status["pod"] = json!({"name": "ep-1", "uid": "pod-uid"}));
    assert_eq!(put_result(&stage, POD_TOKEN, &result(1, None)).0, 200);
}

#[test]
fn steps_alone_are_held_back_and_a_better_reward_is_not() {
    let stage = Stage::new();
    assert_eq!(put_result(&stage, POD_TOKEN, &result(1, None)), (200, json!({})));
    let (status, taken) = put_result(&stage, POD_TOKEN, &result(2, None));
    let again = taken["againIn"].as_u64().unwrap();
    assert_eq!(status, 200);
    assert!((50..=61).contains(&again), "{again}");
    assert_eq!(stage.api.status()["steps"], "1/15");
    assert_eq!(
        put_result(&stage, POD_TOKEN, &result(3, Some(0.25))),
        (200, json!({}))
    );
    let status = stage.api.status();
    assert_eq!(
        (&status["steps"], &status["reward"]),
        (&json!("3/15"), &json!(0.25))
    );
    let uri = status["trajectory"]["uri"].as_str().unwrap();
    assert!(
        uri.ends_with("/archive/team-a/ep/episode-uid/1/trajectory.jsonl"),
        "{uri}"
    );
    let world = stage.api.world();
    assert_eq!(world.applied.len(), 2);
    for field in ["phase", "attempt", "pod", "conditions"] {
        assert!(
            world.applied.iter().all(|status| status.get(field).is_none()),
            "{field}"
        );
    }
}

#[test]
fn a_write_that_others_get_ahead_of_is_decided_anew() {
    let stage = Stage::new();
    stage.api.world().interferences = 2;
    assert_eq!(put_result(&stage, POD_TOKEN, &result(1, None)).0, 200);
    stage.api.world().interferences = 3;
    assert_eq!(put_result(&stage, POD_TOKEN, &result(2, Some(0.5))).0, 503);
    stage.api.world().interferences = 0;
    assert_eq!(stage.api.status()["sequence"], 1);
    assert_eq!(put_result(&stage, POD_TOKEN, &result(2, Some(0.5))).0, 200);
    assert_eq!(stage.api.status()["sequence"], 2);
}

#[test]
fn bodies_and_paths_have_limits() {
    let stage = Stage::new();
    assert_eq!(put_result(&stage, POD_TOKEN, &[b' '; 5000]).0, 413);
    assert_eq!(put_result(&stage, POD_TOKEN, b"{}").0, 400);
    let put = |path: &str, body: &[u8]| stage.ask("PUT", &format!("{ATTEMPT}/files/{path}"), POD_TOKEN, body);
    assert_eq!(put("logs/a.log?offset=0", &[b'x'; (1 << 20) + 1]).0, 413);
    assert_eq!(put("logs/a.log", b"x").0, 400);
    assert_eq!(put("logs/a.log?offset=-1", b"x").0, 400);
    for path in ["..%2f..%2fx", ".pieces/x", "logs%2f%2e%2e%2fx", "a%00b", "%2fetc"] {
        assert_eq!(put(&format!("{path}?offset=0"), b"x").0, 400, "{path}");
    }
    assert_eq!(put("k?offset=0", b"abc"), (200, json!({"size": 3})));
    let long = "x".repeat(255);
    for path in ["k/00000000000000000000", &long] {
        assert_eq!(put(&format!("{path}?offset=0"), b"x").0, 400, "{path}");
    }
    assert_eq!(put("logs/a.log?offset=7", b"x"), (409, json!({"size": 0})));
    assert_eq!(put("logs/a.log?offset=0", b"abc"), (200, json!({"size": 3})));
    assert_eq!(put("logs/a.log?offset=0", b"abc"), (200, json!({"size": 3})));
    assert_eq!(
        stage.ask("GET", &format!("{ATTEMPT}/files"), POD_TOKEN, b""),
        (
            200,
            json!({"attempt": 1, "files": [{"path": "k", "size": 3}, {"path": "logs/a.log", "size": 3}]})
        )
    );
}

#[test]
fn without_an_archive_results_are_taken_and_files_are_not() {
    let stage = Stage::with(|_| {}, false);
    assert_eq!(put_result(&stage, POD_TOKEN, &result(1, Some(0.5))).0, 200);
    assert!(stage.api.status().get("trajectory").is_none());
    let (status, problem) = stage.ask("GET", &format!("{ATTEMPT}/files"), POD_TOKEN, b"");
    assert_eq!((status, &problem["code"]), (404, &json!("no_archive")));
}
