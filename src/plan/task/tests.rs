use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::*;
use crate::plan::pod::{Ids, PodOptions, prepare_job};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const PROGRAM: &[u8] = b"def prepare(raw, public, private): pass\n";
const CLAIMS: &str = "{prepare: {configMapKeyRef: {name: code, key: prepare.py}}, public: {persistentVolumeClaim: \
                      {claimName: open}}, private: {persistentVolumeClaim: {claimName: closed, subPath: a}}}";
const EACH: &str = "{prepare: {configMapKeyRef: {name: code, key: prepare.py}}}";
const MAPS: &str = "{public: {configMap: {name: small}}, private: {configMap: {name: small}}}";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn task(data: &str, network: &str) -> Task {
    let text = format!(
        "{{apiVersion: mledojo.dev/v1alpha1, kind: Task, metadata: {{name: iris, namespace: lab, uid: t-1, generation: 2}}, \
         spec: {{title: Irises, description: Tell them apart., domain: Tabular, data: {data}, environment: {{image: a, \
         network: {network}}}, evaluation: {{metric: {{builtin: Accuracy}}}}}}}}"
    );
    serde_saphyr::from_str(&text).unwrap()
}

fn settings() -> Settings {
    Settings {
        pod: PodOptions {
            image: "dojo:1".into(),
            ids: Ids::Fixed,
            report: None,
        },
        archive: None,
        start_patience: 300,
        retry_delay: 10,
        keep_pods: true,
    }
}

/// What there is besides the Task.
#[derive(Default)]
struct Around {
    missing: Vec<String>,
    job: Option<Job>,
    pods: Vec<Pod>,
    unreadable: bool,
}

fn decide(task: &Task, around: &Around, now: i64) -> TaskDecision {
    let settings = settings();
    decide_task(&TaskWorld {
        task,
        prepare: task
            .spec
            .data
            .prepare
            .as_ref()
            .filter(|_| !around.unreadable)
            .map(|_| PROGRAM),
        missing: &around.missing,
        job: around.job.as_ref(),
        pods: &around.pods,
        counts: EpisodeCounts {
            total: 2,
            ..EpisodeCounts::default()
        },
        settings: &settings,
        now: at(now),
    })
}

/// Status and reason of the condition, and its message.
fn condition_of(decision: &TaskDecision) -> (String, String) {
    let condition = &decision.status.conditions[0];
    assert_eq!(
        (condition.type_.as_str(), condition.observed_generation),
        ("TaskReady", Some(2))
    );
    (
        format!("{} {}", condition.status, condition.reason),
        condition.message.clone(),
    )
}

fn job(status: Value) -> Job {
    let mut job = prepare_job(&task(CLAIMS, "None"), PROGRAM, &settings().pod).unwrap();
    job.status = serde_json::from_value(status).unwrap();
    job
}

fn ended(condition: &str) -> Job {
    job(json!({
        "conditions": [{"type": condition, "status": "True", "message": "BackoffLimitExceeded"}],
        "completionTime": at(0).to_string(),
    }))
}

/// A pod of the Job: its two containers, each with exit code and last words.
fn pod(prepare: (i32, &str), manifest: Option<(i32, &str)>, second: i64) -> Pod {
    let ended = |name: &str, (code, words): (i32, &str)| {
        json!({
            "name": name, "image": "a", "imageID": "a", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "message": words, "finishedAt": at(second).to_string()}},
        })
    };
    serde_json::from_value(json!({
        "metadata": {"name": "iris-prepare-x"},
        "status": {
            "initContainerStatuses": [ended("prepare", prepare)],
            "containerStatuses": manifest.map(|manifest| vec![ended("manifest", manifest)]),
        },
    }))
    .unwrap()
}

#[test]
fn a_task_is_ready_when_everything_that_it_names_is_there() {
    let missing = Around {
        missing: vec![
            "ConfigMap `code` is not there".into(),
            "Claim `x` is not there".into(),
        ],
        ..Around::default()
    };
    let unreadable = Around {
        unreadable: true,
        ..Around::default()
    };
    let fine = Around::default();
    for (data, around, expected, part) in [
        (EACH, &fine, "True Ready", ""),
        (MAPS, &fine, "True Ready", ""),
        (
            "{path: ./iris}",
            &fine,
            "False LocalData",
            "spec.data.path \"./iris\"",
        ),
        (
            EACH,
            &missing,
            "False MissingReference",
            "ConfigMap `code` is not there; Claim `x`",
        ),
        (CLAIMS, &missing, "False MissingReference", "Claim `x`"),
        (
            EACH,
            &unreadable,
            "False MissingReference",
            "key `prepare.py` of ConfigMap `code`",
        ),
        (CLAIMS, &unreadable, "False MissingReference", "key `prepare.py`"),
    ] {
        let decision = decide(&task(data, "None"), around, 0);
        let (condition, message) = condition_of(&decision);
        assert_eq!(condition, expected, "{data}");
        assert!(message.contains(part), "{data}: {message}");
        assert_eq!(
            decision.status.digest.is_some(),
            expected == "True Ready",
            "{data}"
        );
        assert_eq!(decision.status.episodes.unwrap().total, 2);
        assert_eq!(decision.job, None, "{data}");
    }
    let digest = decide(&task(EACH, "None"), &fine, 0).status.digest;
    assert_eq!(digest, Some(task_digest(&task(EACH, "None"), Some(PROGRAM))));
}

#[test]
fn data_on_claims_are_prepared_by_a_job_before_any_episode_starts() {
    let task = task(CLAIMS, "None");
    let name = prepare_job_name(&task, PROGRAM).unwrap();
    let around = |job: Option<Job>, pods: Vec<Pod>| Around {
        job,
        pods,
        ..Around::default()
    };
    let mut deleted = ended("Failed");
    deleted.metadata.deletion_timestamp = serde_json::from_value(json!(at(0).to_string())).unwrap();
    let mut other = ended("Complete");
    other.metadata.name = Some("iris-prepare-ffffffff".into());
    let cases = [
        (
            "no Job yet",
            around(None, vec![]),
            0,
            "False Preparing",
            "is made",
            true,
            None,
        ),
        (
            "a Job of an earlier Task",
            around(Some(other), vec![]),
            0,
            "False Preparing",
            "is made",
            true,
            None,
        ),
        (
            "it runs",
            around(Some(job(json!({"active": 1}))), vec![]),
            0,
            "False Preparing",
            "prepares the data",
            false,
            None,
        ),
        (
            "it is deleted",
            around(Some(deleted), vec![]),
            0,
            "False Preparing",
            "made again",
            false,
            Some(2),
        ),
        (
            "it failed, and its newest pod says why",
            around(
                Some(ended("Failed")),
                vec![
                    pod((1, "the first"), None, 5),
                    pod((1, "no space"), None, 9),
                    pod((1, "the second"), None, 7),
                ],
            ),
            0,
            "False PrepareFailed",
            "`prepare` ended with exit code 1: no space; mend",
            false,
            None,
        ),
        (
            "it failed without a pod",
            around(Some(ended("Failed")), vec![]),
            0,
            "False PrepareFailed",
            "BackoffLimit",
            false,
            None,
        ),
        (
            "done, its pod is not seen yet",
            around(Some(ended("Complete")), vec![]),
            5,
            "False Preparing",
            "awaited",
            false,
            Some(2),
        ),
        (
            "done, and its pod is gone",
            around(
                Some(ended("Complete")),
                vec![pod((0, ""), Some((0, "no digest")), 5)],
            ),
            90,
            "False PrepareFailed",
            "delete the Job",
            false,
            None,
        ),
        (
            "done",
            around(
                Some(ended("Complete")),
                vec![pod((1, "x"), None, 5), pod((0, ""), Some((0, DIGEST)), 9)],
            ),
            0,
            "True Ready",
            "",
            false,
            None,
        ),
    ];
    for (what, around, now, expected, part, makes, look_again) in cases {
        let decision = decide(&task, &around, now);
        let (condition, message) = condition_of(&decision);
        assert_eq!(condition, expected, "{what}: {message}");
        assert!(message.contains(part), "{what}: {message}");
        assert_eq!(decision.look_again, look_again, "{what}");
        let made = decision.job.map(|job| job.metadata.name.unwrap());
        assert_eq!(made, makes.then(|| name.clone()), "{what}");
        let data = decision.status.data.map(|data| (data.digest, data.job));
        let ready = expected == "True Ready";
        assert_eq!(data, ready.then(|| (DIGEST.into(), name.clone())), "{what}");
    }
}

#[test]
fn prepared_data_stay_prepared_until_another_program_or_place_is_named() {
    let mut task = task(CLAIMS, "None");
    let done = Around {
        job: Some(ended("Complete")),
        pods: vec![pod((0, ""), Some((0, DIGEST)), 9)],
        ..Around::default()
    };
    task.status = Some(decide(&task, &done, 0).status);
    let later = decide(&task, &Around::default(), 500);
    assert_eq!(
        Some(&later.status),
        task.status.as_ref(),
        "the Job may go, and nothing is written"
    );
    assert_eq!(later.job, None);
    let missing = Around {
        missing: vec!["gone".into()],
        ..Around::default()
    };
    let meanwhile = decide(&task, &missing, 500);
    assert_eq!(meanwhile.status.data, later.status.data, "it is still known");
    let condition = &meanwhile.status.conditions[0];
    assert_eq!(condition.last_transition_time.0, at(500), "it has flipped");
    let mut moved = task.clone();
    moved.spec.data = serde_saphyr::from_str(&CLAIMS.replace("subPath: a", "subPath: b")).unwrap();
    assert_eq!(
        condition_of(&decide(&moved, &Around::default(), 0)).0,
        "False Preparing"
    );
    let mut each = task.clone();
    each.spec.data = serde_saphyr::from_str(EACH).unwrap();
    assert_eq!(decide(&each, &Around::default(), 0).status.data, None);
}

#[test]
fn references_are_what_the_task_itself_needs() {
    let key = || {
        Reference::Key(KeyRef {
            name: "code".into(),
            key: "prepare.py".into(),
        })
    };
    for (data, expected) in [
        (EACH, vec![key()]),
        (
            CLAIMS,
            vec![
                key(),
                Reference::Claim("open".into()),
                Reference::Claim("closed".into()),
            ],
        ),
        (MAPS, vec![Reference::ConfigMap("small".into())]),
        ("{path: a}", vec![]),
        (
            "{public: {image: {reference: a}}, private: {image: {reference: b}}}",
            vec![],
        ),
    ] {
        assert_eq!(references(&task(data, "None")), expected, "{data}");
    }
}

#[test]
fn pods_of_a_task_reach_names_and_the_report_server_and_more_only_where_it_says_so() {
    for (network, outside) in [("None", false), ("Loopback", false), ("Allow", true)] {
        let policy = network_policy(&task(EACH, network));
        assert_eq!(policy.metadata.name.as_deref(), Some("mle-dojo-task-iris"));
        assert_eq!(policy.metadata.owner_references.unwrap()[0].uid, "t-1");
        let spec = policy.spec.unwrap();
        let selector = spec.pod_selector.unwrap().match_labels.unwrap();
        assert_eq!(selector["mledojo.dev/task"], "iris");
        assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"]);
        assert_eq!(spec.ingress, None);
        let rules: Vec<(Vec<(String, IntOrString)>, Value)> = spec
            .egress
            .unwrap()
            .into_iter()
            .map(|rule| {
                let ports = rule.ports.unwrap_or_default();
                let ports = ports
                    .into_iter()
                    .map(|port| (port.protocol.unwrap(), port.port.unwrap()))
                    .collect();
                (ports, serde_json::to_value(rule.to).unwrap())
            })
            .collect();
        let mut expected = vec![
            (
                vec![
                    ("UDP".to_owned(), IntOrString::Int(53)),
                    ("TCP".to_owned(), IntOrString::Int(53)),
                ],
                json!([{"namespaceSelector": {}}, {"ipBlock": {"cidr": "169.254.20.10/32"}}]),
            ),
            (
                vec![("TCP".to_owned(), IntOrString::Int(8443))],
                json!([{
                    "namespaceSelector": {},
                    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "mle-dojo-operator"}},
                }]),
            ),
        ];
        if outside {
            expected.push((
                vec![],
                json!([
                    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}},
                    {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"]}},
                ]),
            ));
        }
        assert_eq!(rules, expected, "{network}");
    }
}
