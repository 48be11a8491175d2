//! `dojo run` end to end: real relays, executors and agents, and what happens when they die.

#![allow(clippy::unwrap_used)] // a test program: a panic is its failure

mod local_support;

use std::fs;
use std::os::unix::fs::MetadataExt;

use local_support::{BASELINE, BETTER, Bench, GATE, action, code, mode, signal, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Looks, fails, reaches the baseline, improves.
fn rising() -> Vec<Value> {
    vec![
        action("request_info", &json!({"info_type": "all"})),
        code("raise ValueError('first')"),
        code(BASELINE),
        code(BETTER),
    ]
}

/// As [`rising`], with a gate before the improvement.
fn gated() -> Vec<Value> {
    vec![code(BASELINE), code(&format!("{GATE}{BASELINE}")), code(BETTER)]
}

/// Every step did what it should: an interruption is not a failure of what it interrupted.
fn assert_no_step_failed(bench: &Bench, episode: &str) {
    for record in bench.records(episode) {
        let observation = &record["reply"]["observation"];
        assert_eq!(observation["action_status"], "SUCCESS", "{observation:#}");
    }
}

fn assert_rose(bench: &Bench, episode: &str) {
    let status = &bench.episode(episode)["status"];
    assert_eq!(status["phase"], "Completed", "{status:#}");
    assert_eq!(status["outcome"], "AgentFinished");
    assert_eq!(status["reward"], 1.0);
    assert_eq!(status["medal"], "Gold");
}

fn assert_each_step_once(bench: &Bench, episode: &str, count: u64) {
    let numbers: Vec<u64> = bench.steps(episode).iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
}

#[test]
fn episodes_are_run_reported_and_kept() {
    let bench = Bench::new();
    bench.task("line", &[rising(), vec![code(BASELINE)]]);
    let run = bench.run(&["line"], &[]).expect(0);
    let rows: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(rows.len(), 3, "{}", run.stdout);
    assert!(rows[0].starts_with("NAME     TASK   AGENT    PHASE       STEPS   SCORE"));
    assert!(rows[1].starts_with("line-0   line   replay   Completed   4/6     0.0000   1.0000   Gold"));
    assert!(rows[2].starts_with("line-1   line   replay   Completed   1/6"));
    for sign in [
        "line: preparing data",
        "line-0: step 4/6, best score",
        "line-1: Completed",
    ] {
        assert!(run.stderr.contains(sign), "{sign} is not in {}", run.stderr);
    }
    assert_rose(&bench, "line-0");
    assert_each_step_once(&bench, "line-0", 4);
    let rewards: Vec<f64> = bench
        .records("line-0")
        .iter()
        .map(|record| record["reply"]["reward"].as_f64().unwrap())
        .collect();
    assert_eq!(rewards[..2], [0.0, 0.0]);
    assert!(rewards[2] > 0.0 && rewards[3] > rewards[2], "{rewards:?}");

    assert!(!run.stderr.contains("waits for its turn"), "{}", run.stderr);
    if rustix::process::geteuid().is_root() {
        // Code of other episodes runs under other users, which can pass through but not read.
        assert_eq!(mode(&bench.path("runs/line-0")), 0o711);
        for private in [
            "trajectory.jsonl",
            "result.json",
            "episode.yaml",
            "logs",
            "code",
            ".state/configuration.json",
            ".state/relay-config.json",
        ] {
            let mode = mode(&bench.path(&format!("runs/line-0/{private}")));
            assert_eq!(mode & 0o077, 0, "{private}: {mode:o}");
        }
    }

    // The provenance is that of this machine, the digest that of the file.
    let status = bench.episode("line-0")["status"].clone();
    let provenance = &status["provenance"];
    for field in ["version", "taskDigest", "dataDigest", "hardware", "sandboxLayers"] {
        assert!(!provenance[field].is_null(), "{field}: {provenance:#}");
    }
    let trajectory = bench.path("runs/line-0/trajectory.jsonl");
    let uri = status["trajectory"]["uri"].as_str().unwrap();
    assert!(uri.starts_with("file:///") && uri.ends_with("/runs/line-0/trajectory.jsonl"));
    assert_eq!(
        status["trajectory"]["size"],
        fs::metadata(&trajectory).unwrap().len()
    );
    let digest = std::process::Command::new("sha256sum")
        .arg(&trajectory)
        .output()
        .unwrap();
    let digest = String::from_utf8(digest.stdout).unwrap();
    assert_eq!(status["trajectory"]["digest"], digest[..64]);
    for file in [
        "logs/relay.log",
        "logs/exec.log",
        "logs/agent.log",
        "logs/execution_3.log",
        "code/execution_3.py",
    ] {
        assert!(bench.path(&format!("runs/line-0/{file}")).is_file(), "{file}");
    }
    bench.wait_for_silence();

    // Again: nothing is prepared or run, everything is shown; as a List this time.
    assert_eq!(bench.prepared(), 1);
    let again = bench.run(&["line"], &["-o", "json"]).expect(0);
    assert!(
        again
            .stderr
            .contains("line-0: Completed, AgentFinished, 4/6 steps, reward 1.0000; kept")
    );
    let list: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (&list["apiVersion"], &list["kind"]),
        (&json!("v1"), &json!("List"))
    );
    assert_eq!(list["items"][0]["metadata"]["name"], "line-0");
    assert_eq!(list["items"][0]["status"], status);
    let yaml = bench.run(&["line"], &["-o", "yaml"]).expect(0);
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml.stdout).unwrap(), list);
    assert_eq!(bench.prepared(), 1);
}

#[test]
fn what_is_private_stays_out_of_reach() {
    let bench = Bench::new();
    bench.task("line", &[vec![code(BASELINE)]]);
    bench.run(&["line"], &[]).expect(0);
    let entry = fs::read_dir(bench.path("cache/data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    assert_eq!(mode(&entry.join("private")), 0o700);
    assert_eq!(mode(&entry.join("public")) & 0o555, 0o555);
    assert_eq!(mode(&entry.join("public/train.csv")) & 0o444, 0o444);
    let state = bench.path("runs/line-0/.state");
    assert_eq!(mode(&state) & 0o066, 0);
    assert_eq!(mode(&state.join("connection.json")) & 0o007, 0);
    assert_eq!(mode(&state.join("relay")), 0o700);
}

#[test]
fn ctrl_c_stops_everything_and_the_same_command_goes_on() {
    let bench = Bench::new();
    bench.task("line", &[gated(), rising()]);
    let run = bench.start(&["line"], &[]);
    bench.wait_for_gate("line-0");
    wait_until("the other episode", || {
        bench.path("runs/line-1/episode.yaml").exists()
            && bench.episode("line-1")["status"]["phase"] == "Completed"
    });
    run.signal(Signal::INT);
    let run = run.wait().expect(130);
    assert!(
        run.stderr
            .contains("Interrupted: 1 of 2 episodes are completed. Run the same command again to continue."),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout.contains("line-0   line   replay   Pending     1/6"),
        "{}",
        run.stdout
    );
    assert_eq!(bench.episode("line-0")["status"]["reason"], "Interrupted");
    bench.wait_for_silence();
    assert_each_step_once(&bench, "line-0", 1);

    bench.open_gate("line-0");
    bench.run(&["line"], &[]).expect(0);
    assert_rose(&bench, "line-0");
    assert_each_step_once(&bench, "line-0", 3);
    assert_no_step_failed(&bench, "line-0");
    assert_each_step_once(&bench, "line-1", 4);
    assert_eq!(bench.episode("line-0")["status"]["attempt"], 1);
}

#[test]
fn an_unfinished_episode_is_not_continued_with_data_in_another_place() {
    let bench = Bench::new();
    bench.task("line", &[gated()]);
    let run = bench.start(&["line"], &[]);
    bench.wait_for_gate("line-0");
    run.signal(Signal::INT);
    run.wait().expect(130);
    let output = bench
        .command(&["line"])
        .env("DOJO_CACHE", bench.path("cache-2"))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("line-0: Infrastructure failure, DataMoved: "),
        "{told}"
    );
    bench.open_gate("line-0");
    bench.run(&["line"], &[]).expect(0);
    assert_rose(&bench, "line-0");
    assert_each_step_once(&bench, "line-0", 3);
}

#[test]
fn a_killed_relay_and_a_killed_executor_are_started_again() {
    let bench = Bench::new();
    bench.task("line", &[gated()]);
    let run = bench.start(&["line"], &[]);
    bench.wait_for_gate("line-0");
    for (role, sign) in [("relay", "relay is ready"), ("exec", "executor connected")] {
        let before = bench.read("runs/line-0/logs/relay.log").matches(sign).count();
        signal(bench.role(role, "line-0").unwrap(), Signal::KILL);
        wait_until(&format!("another {role}"), || {
            bench.read("runs/line-0/logs/relay.log").matches(sign).count() > before
        });
    }
    bench.open_gate("line-0");
    run.wait().expect(0);
    assert_rose(&bench, "line-0");
    assert_each_step_once(&bench, "line-0", 3);
    bench.wait_for_silence();
}

#[test]
fn a_killed_runner_leaves_nobody_behind_and_the_same_command_goes_on() {
    let bench = Bench::new();
    bench.task("line", &[gated()]);
    let run = bench.start(&["line"], &[]);
    bench.wait_for_gate("line-0");
    assert!(bench.role("agent", "line-0").is_some());
    run.signal(Signal::KILL);
    drop(run);
    // At once: the second run has to wait for the processes of the first.
    bench.open_gate("line-0");
    bench.run(&["line"], &[]).expect(0);
    assert_rose(&bench, "line-0");
    assert_each_step_once(&bench, "line-0", 3);
    assert_no_step_failed(&bench, "line-0");
    bench.wait_for_silence();
}

#[test]
fn nobody_outlives_a_killed_runner() {
    let bench = Bench::new();
    bench.task("line", &[gated()]);
    let run = bench.start(&["line"], &[]);
    bench.wait_for_gate("line-0");
    run.signal(Signal::KILL);
    drop(run);
    bench.wait_for_silence();
}

#[test]
fn an_episode_that_fails_does_not_keep_the_others_from_completing() {
    let bench = Bench::new();
    bench.task("line", &[rising()]);
    bench.task_with(
        "broken",
        "def prepare(raw, public, private):\n    1 / 0\n",
        "",
        &[rising()],
    );
    let run = bench.run(&["broken", "line"], &[]).expect(1);
    assert!(
        run.stdout.contains("broken-0   broken   replay   Failed"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains(
        "broken-0: Task failure, PrepareFailed: prepare ended with exit code 1: ZeroDivisionError"
    ));
    assert_rose(&bench, "line-0");

    // Repaired: what failed is tried again, what is completed is kept.
    bench.write("in/broken/prepare.py", &bench.prepare());
    bench.run(&["broken", "line"], &[]).expect(0);
    assert_rose(&bench, "broken-0");
    assert_eq!(bench.episode("broken-0")["status"]["attempt"], 2);
}

#[test]
fn answers_that_cannot_be_graded_against_are_the_fault_of_the_task() {
    let bench = Bench::new();
    let broken = bench
        .prepare()
        .replace("answers.write(\"id,y\\n\")", "answers.write(\"id,z\\n\")");
    let broken = broken.replace(
        "answers.write(f\"{i},{2 * x + 1}\\n\")",
        "answers.write(f\"{i},what\\n\")",
    );
    bench.task_with("line", &broken, "", &[rising()]);
    let run = bench.run(&["line"], &[]).expect(1);
    assert!(
        run.stdout.contains("line-0: Task failure, TaskBroken: "),
        "{}",
        run.stdout
    );
    let status = &bench.episode("line-0")["status"];
    assert_eq!(
        (&status["phase"], &status["failure"]["class"]),
        (&json!("Failed"), &json!("Task"))
    );
    assert!(status["reward"].is_null());
    bench.wait_for_silence();
}

/// An Episode with a command of its own.
fn container(name: &str, command: &[&str], env: &Value) -> String {
    let spec = json!({
        "taskRef": {"name": "line"},
        "agent": {"container": {"image": "example.org/agent:1", "command": command, "env": env}},
        "seed": 7,
    });
    let episode = json!({
        "apiVersion": "mledojo.dev/v1alpha1", "kind": "Episode", "metadata": {"name": name}, "spec": spec,
    });
    format!("---\n{}\n", serde_json::to_string(&episode).unwrap())
}

const AGENT: &str = r#"
import json, os, sys, urllib.request

def step(action, **params):
    request = urllib.request.Request(
        os.environ["DOJO_URL"] + "/v1/step",
        data=json.dumps({"action": action, "params": params}).encode(),
        headers={"Authorization": "Bearer " + os.environ["DOJO_TOKEN"], "Content-Type": "application/json"},
    )
    return json.load(urllib.request.urlopen(request))

assert os.environ["GREETING"] == "hello" and os.environ["DOJO_SEED"] == "7"
assert step("request_info", info_type="all")["observation"]["action_status"] == "SUCCESS"
reply = step("execute_code", code=open(sys.argv[1]).read())
assert reply["reward"] == 1.0, reply
"#;

#[test]
fn any_command_can_be_the_agent() {
    let bench = Bench::new();
    bench.task("line", &[]);
    bench.write("in/line/agent.py", AGENT);
    bench.write("in/line/better.py", BETTER);
    let env = json!([{"name": "GREETING", "value": "hello"}]);
    let documents = bench.read("in/line/all.yaml")
        // Relative to the folder of the Episode.
        + &container("own", &["python3", "agent.py", "better.py"], &env)
        + &container("crash", &["python3", "-c", "import sys; print('no idea'); sys.exit(3)"], &json!([]))
        + &container("missing", &["no-such-program"], &json!([]));
    bench.write("in/line/all.yaml", &documents);
    let run = bench.run(&["line"], &[]).expect(0);
    assert_rose(&bench, "own");
    assert_eq!(bench.steps("own").len(), 2);
    for (name, remark) in [
        ("crash", "crash: its agent ended with exit code 3 (log: "),
        ("missing", "missing: its agent ended with exit code 2 (log: "),
    ] {
        let status = &bench.episode(name)["status"];
        assert_eq!(status["outcome"], "AgentFailed");
        assert_eq!(
            (&status["reward"], &status["reason"]),
            (&json!(0.0), &json!("NoValidSubmission"))
        );
        assert!(run.stdout.contains(remark), "{remark} is not in {}", run.stdout);
    }
    assert!(bench.read("runs/crash/logs/agent.log").contains("no idea"));
}

#[test]
fn a_spent_budget_completes_the_episode() {
    let bench = Bench::new();
    let mut many = rising();
    many.extend(rising());
    bench.task("line", &[many]);
    bench.run(&["line"], &[]).expect(0);
    let status = &bench.episode("line-0")["status"];
    assert_eq!(
        (&status["outcome"], &status["steps"]),
        (&json!("StepsExhausted"), &json!("6/6"))
    );
    assert_eq!(status["reward"], 1.0);
}

#[test]
fn another_configuration_is_refused_with_its_name_until_the_user_wants_it_fresh() {
    let bench = Bench::new();
    bench.task("line", &[rising()]);
    bench.run(&["line"], &[]).expect(0);
    let mut other = rising();
    other.pop();
    let task = bench.read("in/line/all.yaml").replace("steps: 6", "steps: 5");
    bench.task("line", &[other]);
    bench.write("in/line/all.yaml", &task);
    let run = bench.run(&["line"], &[]).expect(2);
    for part in [
        "Task spec.limits.steps was 6, is 5",
        "file line-code/actions-0.yaml has another content",
        "--out DIR",
        "--fresh",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    assert_rose(&bench, "line-0");
    bench.run(&["line"], &["--fresh"]).expect(0);
    assert_eq!(bench.episode("line-0")["status"]["steps"], "3/5");
}

#[test]
fn an_executor_that_is_killed_again_and_again_costs_the_agent_the_rest_of_the_episode() {
    let bench = Bench::new();
    let mut actions = vec![code(BASELINE)];
    actions.extend((0..12).map(|_| code(GATE)));
    bench.task("line", &[actions]);
    let task = bench.read("in/line/all.yaml").replace("steps: 6", "steps: 20");
    bench.write("in/line/all.yaml", &task);
    let run = bench.start(&["line"], &[]);
    let sign = bench.path("runs/line-0/workspace/at-the-gate");
    for _ in 0..6 {
        wait_until("the gate", || sign.exists());
        fs::remove_file(&sign).unwrap();
        signal(bench.role("exec", "line-0").unwrap(), Signal::KILL);
    }
    let run = run.wait().expect(0);
    assert!(
        run.stdout
            .contains("the executor ended with exit code 137 the last of 6 times"),
        "{}",
        run.stdout
    );
    let status = &bench.episode("line-0")["status"];
    assert_eq!(status["outcome"], "AgentFailed", "{status:#}");
    assert!(status["reward"].as_f64().unwrap() > 0.0);
    bench.wait_for_silence();
}

#[test]
fn at_one_time_run_as_many_as_the_user_wants_each_under_its_own_user() {
    let bench = Bench::new();
    bench.task("line", &[gated(), gated(), gated()]);
    let run = bench.start(&["line"], &["--parallel", "2"]);
    let gates: Vec<_> = (0..3)
        .map(|number| bench.path(&format!("runs/line-{number}/workspace/at-the-gate")))
        .collect();
    let at_gate = || gates.iter().filter(|gate| gate.exists()).count();
    wait_until("two episodes", || at_gate() == 2);
    let owners: Vec<u32> = gates
        .iter()
        .filter_map(|gate| fs::metadata(gate).ok())
        .map(|facts| facts.uid())
        .collect();
    if rustix::process::geteuid().is_root() {
        assert_ne!(owners[0], owners[1]);
        assert!(owners.iter().all(|owner| *owner >= 61_000));
    }
    let waiting = gates.iter().position(|gate| !gate.exists()).unwrap();
    assert_eq!(
        bench.episode(&format!("line-{waiting}"))["status"]["phase"],
        "Pending"
    );
    for number in (0..3).filter(|number| *number != waiting) {
        bench.open_gate(&format!("line-{number}"));
    }
    wait_until("the third episode", || gates[waiting].exists());
    bench.open_gate(&format!("line-{waiting}"));
    let run = run.wait().expect(0);
    let told: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.contains("waits for its turn"))
        .collect();
    assert_eq!(told, [format!("line-{waiting}: waits for its turn")]);
}

/// Makes a package that can be installed without a network, and gives its requirement.
fn wheel(bench: &Bench) -> String {
    let file = bench.path("tinydep-1.0-py3-none-any.whl");
    let make = "import sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1], 'w') as wheel:\n    \
            wheel.writestr('tinydep.py', 'slope = 2\\n')\n    \
            wheel.writestr('tinydep-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tinydep\\nVersion: 1.0\\n')\n    \
            wheel.writestr('tinydep-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n    \
            wheel.writestr('tinydep-1.0.dist-info/RECORD', 'tinydep.py,,\\ntinydep-1.0.dist-info/METADATA,,\\ntinydep-1.0.dist-info/WHEEL,,\\ntinydep-1.0.dist-info/RECORD,,\\n')\n";
    let made = std::process::Command::new("python3")
        .args(["-c", make])
        .arg(&file)
        .status()
        .unwrap();
    assert!(made.success());
    format!("tinydep @ file://{}", file.display())
}

#[test]
fn requirements_are_installed_once_for_preparation_and_code() {
    let bench = Bench::new();
    let requirement = wheel(&bench);
    let prepare = format!("import tinydep\n{}", bench.prepare());
    let uses = BETTER.replace("2 * float", "tinydep.slope * float");
    for task in ["one", "two"] {
        bench.task_with(
            task,
            &prepare,
            "",
            &[vec![code(&format!("import tinydep\n{uses}"))]],
        );
        let text = bench.read(&format!("in/{task}/all.yaml")).replace(
            "image: example.org/python:3",
            &format!("image: example.org/python:3\n    requirements: [\"{requirement}\"]"),
        );
        bench.write(&format!("in/{task}/all.yaml"), &text);
    }
    let run = bench.run(&["one", "two"], &[]).expect(0);
    assert_rose(&bench, "one-0");
    assert_rose(&bench, "two-0");
    assert_eq!(
        run.stderr.matches("packages are installed").count(),
        1,
        "{}",
        run.stderr
    );
    // Nothing to install from any more: the cache has it all.
    fs::remove_file(bench.path("tinydep-1.0-py3-none-any.whl")).unwrap();
    let again = bench.run(&["one"], &["--fresh"]).expect(0);
    assert!(!again.stderr.contains("installing"), "{}", again.stderr);

    // A requirement that cannot be had.
    fs::remove_dir_all(bench.path("cache/venvs")).unwrap();
    let run = bench.run(&["one"], &["--fresh"]).expect(1);
    assert!(
        run.stdout
            .contains("one-0: Task failure, RequirementsFailed: cannot install tinydep"),
        "{}",
        run.stdout
    );
    let log = run
        .stdout
        .rsplit("(log: ")
        .next()
        .unwrap()
        .trim()
        .trim_end_matches(')')
        .to_owned();
    assert!(fs::read_to_string(&log).unwrap().contains("tinydep"));
    let left = fs::read_dir(bench.path("cache/venvs")).unwrap().flatten();
    assert!(left.into_iter().all(|entry| entry.file_type().unwrap().is_file()));
}

#[test]
fn data_can_lie_in_a_folder_beside_the_task() {
    let bench = Bench::new();
    bench.task("line", &[vec![code(BETTER)]]);
    let text = bench.read("in/line/all.yaml").replace(
        "data: {prepare: {configMapKeyRef: {name: line-code, key: prepare.py}}}",
        "data: {path: ../data}",
    );
    bench.write("in/line/all.yaml", &text);
    let run = bench.run(&["line"], &[]).expect(1);
    assert!(run.stdout.contains("DataIncomplete: "), "{}", run.stdout);
    bench.write("in/data/public/train.csv", "id,x,y\n1,1,3\n");
    bench.write("in/data/public/test.csv", "id,x\n2,5\n3,7\n");
    bench.write("in/data/private/answers.csv", "id,y\n2,11\n3,15\n");
    let run = bench.run(&["line"], &[]).expect(1);
    assert!(
        run.stdout
            .contains("DataIncomplete: the private data lack leaderboard.csv: they have answers.csv"),
        "{}",
        run.stdout
    );
    bench.write("in/data/private/leaderboard.csv", "rank,score\n1,0.5\n2,1\n");
    bench.run(&["line"], &[]).expect(0);
    assert_rose(&bench, "line-0");

    // Other data are another configuration, which is seen although the YAML is the same.
    let mut state = bench.episode("line-0");
    state["status"]["phase"] = json!("Running");
    bench.write(
        "runs/line-0/episode.yaml",
        &serde_saphyr::to_string(&state).unwrap(),
    );
    bench.write("in/data/public/train.csv", "id,x,y\n1,1,4\n");
    let run = bench.run(&["line"], &[]).expect(1);
    assert!(
        run.stdout
            .contains("line-0: Infrastructure failure, DataChanged: "),
        "{}",
        run.stdout
    );
    assert_eq!(bench.steps("line-0").len(), 1);
}

/// Tries to read answers that lie below the public data.
const PEEK: &str = r#"
import os
try:
    open(os.environ["DOJO_PUBLIC"] + "/closed/answers.csv").read()
except OSError:
    open("kept-out", "w").close()
"#;

#[test]
fn answers_are_out_of_reach_even_below_the_public_data() {
    let bench = Bench::new();
    bench.task("line", &[vec![code(PEEK)]]);
    let text = bench.read("in/line/all.yaml").replace(
        "data: {prepare: {configMapKeyRef: {name: line-code, key: prepare.py}}}",
        "data: {path: ../data}",
    );
    bench.write("in/line/all.yaml", &text);
    bench.write("in/data/public/train.csv", "id,x,y\n1,1,3\n");
    bench.write("in/data/public/test.csv", "id,x\n2,5\n3,7\n");
    bench.write("in/data/public/closed/answers.csv", "id,y\n2,11\n3,15\n");
    bench.write(
        "in/data/public/closed/leaderboard.csv",
        "rank,score\n1,0.5\n2,1\n",
    );
    std::os::unix::fs::symlink("public/closed", bench.path("in/data/private")).unwrap();
    bench.run(&["line"], &[]).expect(0);
    assert!(bench.path("runs/line-0/workspace/kept-out").exists());
}

#[test]
fn a_directory_that_executed_code_has_closed_does_not_stand_against_a_fresh_start() {
    let bench = Bench::new();
    let closes =
        "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos.chmod('a/b', 0)\nos.chmod('a', 0)\n";
    bench.task("line", &[vec![code(&format!("{closes}{BASELINE}"))]]);
    bench.run(&["line"], &[]).expect(0);
    assert!(bench.path("runs/line-0/workspace/a").exists());
    bench.run(&["line"], &["--fresh"]).expect(0);
    assert_no_step_failed(&bench, "line-0");
}

#[test]
fn data_can_lie_in_config_maps() {
    let bench = Bench::new();
    bench.task("line", &[vec![code(BETTER)]]);
    let text = bench.read("in/line/all.yaml").replace(
        "data: {prepare: {configMapKeyRef: {name: line-code, key: prepare.py}}}",
        "data: {public: {configMap: {name: open}}, private: {configMap: {name: closed}}}",
    );
    let maps = json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "open"},
         "data": {"train.csv": "id,x,y\n1,1,3\n", "test.csv": "id,x\n2,5\n3,7\n"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "closed"},
         "data": {"answers.csv": "id,y\n2,11\n3,15\n", "leaderboard.csv": "rank,score\n1,0.5\n2,1\n"}},
    ]);
    let maps: Vec<String> = maps.as_array().unwrap().iter().map(Value::to_string).collect();
    bench.write(
        "in/line/all.yaml",
        &format!("{text}---\n{}\n", maps.join("\n---\n")),
    );
    bench.run(&["line"], &[]).expect(0);
    assert_rose(&bench, "line-0");
}

#[test]
fn a_suspended_episode_is_left_alone() {
    let bench = Bench::new();
    bench.task("line", &[rising(), rising()]);
    let text = bench.read("in/line/all.yaml");
    let at = text.find("name: line-0}").unwrap();
    let text = format!(
        "{}{}",
        &text[..at],
        text[at..].replacen("spec:\n", "spec:\n  suspend: true\n", 1)
    );
    bench.write("in/line/all.yaml", &text);
    bench.run(&["line"], &[]).expect(1);
    assert_eq!(bench.episode("line-0")["status"]["phase"], "Suspended");
    assert!(!bench.path("runs/line-0/trajectory.jsonl").exists());
    assert_rose(&bench, "line-1");
    bench.write("in/line/all.yaml", &text.replace("  suspend: true\n", ""));
    bench.run(&["line"], &[]).expect(0);
    assert_rose(&bench, "line-0");
}

#[test]
fn an_agent_of_the_user_does_not_outlive_a_killed_runner() {
    let bench = Bench::new();
    bench.task("line", &[]);
    let sleeper = "import time; open('up', 'w'); time.sleep(600)";
    let documents =
        bench.read("in/line/all.yaml") + &container("own", &["python3", "-c", sleeper], &json!([]));
    bench.write("in/line/all.yaml", &documents);
    let run = bench.start(&["line"], &[]);
    wait_until("the agent", || bench.path("in/line/up").exists());
    run.signal(Signal::KILL);
    drop(run);
    bench.wait_for_silence();
}
