//! What executed code and agents try in a pod: to find secrets and answers, and to speak to the report server in
//! another's name. Only addresses of the cluster itself are used.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use mledojo::api::conditions::{Outcome, Phase};
use mledojo::api::status::RewardBasis;
use mledojo::wire::report::{AUDIENCE, attempt_path};
use mledojo::wire::result::EpisodeResult;
use serde_json::{Value, json};

use crate::stage::fixtures::{self, Do};
use crate::stage::{Access, EPISODE, START, Space, operator, play};

/// Python that agent and executed code both run: `look()` gives all that it can read of what is not its own.
const LOOK: &str = r#"
import json, os
PATHS = ["/var/run/secrets", "/var/run/secrets/kubernetes.io/serviceaccount/token", "/run/secrets",
         "/run/dojo/token", "/run/dojo/token/token", "/run/dojo/config", "/run/dojo/config/relay-config.json",
         "/run/dojo/state", "/run/dojo/state/trajectory.jsonl", "/run/dojo/task", "/data/private",
         "/data/private/answers.csv"]
WORDS = ("answers.csv", "leaderboard.csv", "token", "ca.crt", "trajectory.jsonl")
def look():
    found = []
    for path in PATHS:
        try:
            if os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1):
                found.append(path)
        except OSError:
            pass
    for top in ("/run", "/data", "/tmp", "/home", "/mnt", "/workspace", "/var/run"):
        for folder, _, files in os.walk(top):
            for name in files:
                path = os.path.join(folder, name)
                if name in WORDS and os.access(path, os.R_OK):
                    found.append(path)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = open(f"/proc/{pid}/cmdline", "rb").read()
            if b"\0relay\0" in line:
                found.append(f"/proc/{pid}")
        except OSError:
            pass
    return sorted(set(found))
"#;

/// What executed code does besides: a socket of its own.
const EXECUTED: &str = r#"
import socket
found = look()
try:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.append("a socket")
except OSError:
    pass
print("PROBE:" + json.dumps(found) + ":END")
"#;

/// The agent. Each line that it prints is `[probe, what came of it]`.
const AGENT: &str = r#"
import json, os, ssl, urllib.error, urllib.request
env = os.environ
exec(env["LOOK"])
def say(probe, value):
    print(json.dumps([probe, value]), flush=True)
def ask(url, token=None, body=None, context=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer " + token
    method = "PUT" if body else "GET"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        return urllib.request.urlopen(request, context=context, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return "unreachable: " + str(error)
def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from texts(item)

say("agent", look())
body = json.dumps({"action": "execute_code", "params": {"code": env["LOOK"] + env["EXECUTED"]}}).encode()
headers = {"Authorization": "Bearer " + env["DOJO_TOKEN"], "Content-Type": "application/json"}
reply = json.load(urllib.request.urlopen(urllib.request.Request(env["DOJO_URL"] + "/v1/step", body, headers)))
answer = next(text for text in texts(reply) if "PROBE:[" in text)
say("executed", json.loads("[" + answer.split("PROBE:[")[1].split(":END")[0]))

trusted = ssl.create_default_context(cadata=env["CA"])
result, report = env["SERVER"] + env["ATTEMPT"] + "/result", env["REPORT"].encode()
for probe, token in (("nobody", None), ("nonsense", "nonsense"), ("wrong-audience", env["WRONG_AUDIENCE"]),
                     ("other-pod", env["OTHER_POD"]), ("no-pod", env["NO_POD"]), ("own", env["OWN"])):
    say("report-" + probe, ask(result, token, report, trusted))
files = env["SERVER"] + env["FILES"]
say("files-nobody", ask(files, None, None, trusted))
say("files-no-right", ask(files, env["NO_RIGHT"], None, trusted))
untrusted = ssl._create_unverified_context()
say("api", ask("https://kubernetes.default.svc" + env["PODS"], env["OWN"], None, untrusted))
"#;

/// A report of the greatest reward, but one that is older than everything on record.
fn report() -> String {
    let result = EpisodeResult {
        sequence: 0,
        outcome: Some(Outcome::AgentFinished),
        task_error: None,
        sandbox_error: None,
        steps: 1,
        step_limit: 20,
        score: Some(0.0),
        reward: 1.0,
        basis: RewardBasis::HumanRank,
        valid_submission: true,
        places: Vec::new(),
        medal: None,
        above_median: None,
        wall_seconds: 1.0,
        execution_seconds: 1.0,
        cpu_seconds: 1.0,
        peak_memory_bytes: 1,
        trajectory_sha256: "0".repeat(64),
        trajectory_bytes: 1,
        executor: true,
        layers: Vec::new(),
    };
    String::from_utf8(result.to_bytes()).unwrap()
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn code_and_agents_find_no_secret_and_speak_for_nobody() {
    play("attacks", Access::Shared, async |space: &Space| {
        space
            .make_files(fixtures::code(&[Do::Submit(0.35), Do::Sleep(500)]))
            .await;
        space.make_task(fixtures::task("tiny")).await;
        for name in ["victim", "other"] {
            space.make_episode(fixtures::replay(name, "tiny")).await;
        }
        let victim = space
            .until_status("victim", "has reported a reward", START, |status| {
                status.phase == Phase::Running && status.sequence.is_some() && status.reward.is_some()
            })
            .await;
        let other = space.until_running("other").await.pod.expect("its pod");
        let own = victim.pod.as_ref().expect("its pod");

        let authorities: Api<ConfigMap> = Api::namespaced(space.client.clone(), &space.operator);
        let authorities = authorities.get(&format!("{}-ca", operator::NAME)).await.unwrap();
        let certificates = authorities.data.unwrap()["ca.crt"].clone();
        let variables = [
            ("LOOK", LOOK.to_owned()),
            ("EXECUTED", EXECUTED.to_owned()),
            ("CA", certificates),
            (
                "SERVER",
                format!("https://{}.{}.svc:8443", operator::NAME, space.operator),
            ),
            ("ATTEMPT", attempt_path(&space.name, "victim", 1)),
            (
                "FILES",
                format!("/v1/namespaces/{}/episodes/victim/files?attempt=1", space.name),
            ),
            ("PODS", format!("/api/v1/namespaces/{}/pods", space.name)),
            ("REPORT", report()),
            ("WRONG_AUDIENCE", space.token("default", None, Some(own)).await),
            (
                "OTHER_POD",
                space.token("default", Some(AUDIENCE), Some(&other)).await,
            ),
            ("NO_POD", space.token("default", Some(AUDIENCE), None).await),
            ("OWN", space.token("default", Some(AUDIENCE), Some(own)).await),
            ("NO_RIGHT", space.token("default", None, None).await),
        ]
        .map(|(name, value)| json!({"name": name, "value": value}));
        let attacker = fixtures::with(
            fixtures::container("attacker", "tiny", AGENT),
            json!({"agent": {"container": {"env": variables}}}),
        );
        space.make_episode(attacker).await;
        let status = space.until_phase("attacker", Phase::Completed, EPISODE).await;
        let log = space.agent_log("attacker", 1).await;
        assert_eq!(status.outcome, Some(Outcome::AgentFinished), "{log}");
        let found: BTreeMap<String, Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        println!("{}", serde_json::to_string_pretty(&found).unwrap());

        for probe in ["agent", "executed"] {
            assert_eq!(found[probe], json!([]), "{probe} can read what is not its own");
        }
        for (probe, codes) in [
            ("report-nobody", &[401][..]),
            ("report-nonsense", &[401]),
            ("report-wrong-audience", &[401, 403]),
            ("report-other-pod", &[403]),
            ("report-no-pod", &[401, 403]),
            // Known, and refused only because it is an old report.
            ("report-own", &[409]),
            ("files-nobody", &[401]),
            ("files-no-right", &[403]),
        ] {
            let code = found[probe].as_u64().unwrap_or_default();
            assert!(
                codes.contains(&code),
                "{probe}: {}, wanted {codes:?}",
                found[probe]
            );
        }
        // A NetworkPolicy that is enforced keeps the agent from the API server altogether.
        let api = &found["api"];
        assert!(
            api == 401 || api.as_str().is_some_and(|why| why.starts_with("unreachable")),
            "a report token at the API server: {api}"
        );
        let after = space.status("victim").await;
        assert_eq!(
            after.reward, victim.reward,
            "another's report was taken: {after:#?}"
        );
    });
}
