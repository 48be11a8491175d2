//! The quickstart, applied as the README says, beside the same four episodes on this machine.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use mledojo::api::conditions::{Outcome, Phase};
use mledojo::api::{Episode, EpisodeStatus};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::stage::recorder::Recorder;
use crate::stage::{Access, EPISODE, SOON, Space, play, until, variable};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/quickstart");
const DOJO: &str = env!("CARGO_BIN_EXE_dojo");

/// Score and reward by episode, as the local runner has them.
async fn local_standings() -> BTreeMap<String, (Option<f64>, Option<f64>)> {
    let fresh;
    let out = if let Some(out) = variable("DOJO_QUICKSTART_RUNS") {
        PathBuf::from(out)
    } else {
        fresh = tempfile::tempdir().unwrap();
        // Executed code runs under another user where the runner is root.
        std::fs::set_permissions(fresh.path(), Permissions::from_mode(0o755)).unwrap();
        fresh.path().join("runs")
    };
    // What is finished there stays as it is.
    let output = Command::new(DOJO)
        .args(["run", MANIFESTS, "--output", "json", "--out"])
        .arg(&out)
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "dojo run: {}", output.status);
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let episodes: Vec<Episode> = serde_json::from_value(list["items"].clone()).unwrap();
    episodes
        .into_iter()
        .map(|episode| {
            let status = episode.status.unwrap_or_default();
            (episode.metadata.name.unwrap(), (status.score, status.reward))
        })
        .collect()
}

/// Runs `dojo` as the user of a kubeconfig; unset: as the administrator.
async fn dojo(space: &Space, arguments: &[&str], kubeconfig: Option<&Path>) -> Output {
    let mut command = Command::new(DOJO);
    command.args(arguments).args(["--namespace", &space.name]);
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    command.output().await.unwrap()
}

/// A kubeconfig of a service account that may do nothing.
async fn powerless(space: &Space, dir: &Path) -> PathBuf {
    let _: ServiceAccount = space.make(json!({"metadata": {"name": "powerless"}})).await;
    let token = space.token("powerless", None, None).await;
    let ours = Kubeconfig::read().unwrap();
    let current = ours.current_context.as_deref();
    let context = ours
        .contexts
        .iter()
        .find(|context| Some(context.name.as_str()) == current)
        .and_then(|context| context.context.as_ref())
        .expect("KUBECONFIG has a current context");
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": ours.clusters,
        "users": [{"name": "powerless", "user": {"token": token}}],
        "contexts": [{"name": "powerless", "context": {"cluster": context.cluster, "user": "powerless"}}],
        "current-context": "powerless",
    });
    let file = dir.join("kubeconfig");
    std::fs::write(&file, text.to_string()).unwrap();
    file
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn the_quickstart_has_the_rewards_of_the_local_runner() {
    // Its four episodes ask for a CPU each.
    play("quickstart", Access::Alone, async |space: &Space| {
        let episodes = Recorder::start(space.api::<Episode>());
        let applied = Command::new("kubectl")
            .args(["apply", "--namespace", &space.name, "--kustomize", MANIFESTS])
            .output()
            .await
            .expect("kubectl is not on the PATH");
        assert!(
            applied.status.success(),
            "kubectl apply: {}",
            String::from_utf8_lossy(&applied.stderr)
        );
        let names: Vec<String> = space
            .api::<Episode>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .into_iter()
            .filter_map(|episode| episode.metadata.name)
            .collect();
        assert_eq!(names.len(), 4, "{names:?}");
        let mut ended: BTreeMap<String, EpisodeStatus> = BTreeMap::new();
        for name in &names {
            let status = space.until_phase(name, Phase::Completed, EPISODE * 3).await;
            assert_eq!(
                status.outcome,
                Some(Outcome::AgentFinished),
                "{name}: {status:#?}"
            );
            ended.insert(name.clone(), status);
        }

        let local = local_standings().await;
        println!(
            "{:<24} {:<24} {:<24} STEPS",
            "EPISODE", "REWARD IN A POD", "REWARD ON THIS MACHINE"
        );
        for (name, status) in &ended {
            let (score, reward) = local[name];
            println!(
                "{name:<24} {:<24} {:<24} {}",
                format!("{:?}", status.reward),
                format!("{reward:?}"),
                status.steps.as_deref().unwrap_or_default()
            );
            assert_eq!((status.score, status.reward), (score, reward), "{name}");
        }
        live_rewards(&episodes);

        let name = &names[0];
        trajectory_is_the_one_on_record(space, name, &ended[name]).await;
        let logs = dojo(space, &["logs", name], None).await;
        assert!(
            logs.status.success() && !logs.stdout.is_empty(),
            "dojo logs {name}: {}",
            String::from_utf8_lossy(&logs.stderr)
        );
        nobody_else_gets_them(space, name).await;
    });
}

/// A reward was there while its episode ran.
fn live_rewards(episodes: &Recorder<Episode>) {
    let mut live: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for episode in episodes.seen() {
        let status = episode.status.unwrap_or_default();
        if let (Phase::Running, Some(reward)) = (status.phase, status.reward) {
            let rewards = live.entry(episode.metadata.name.unwrap_or_default()).or_default();
            if rewards.last() != Some(&reward) {
                rewards.push(reward);
            }
        }
    }
    println!("rewards while the episodes ran: {live:?}");
    assert!(
        !live.is_empty(),
        "no reward was seen before its episode had ended"
    );
}

async fn trajectory_is_the_one_on_record(space: &Space, name: &str, status: &EpisodeStatus) {
    let recorded = status.trajectory.as_ref().expect("a trajectory on record");
    // The relay sends its last lines while it ends.
    let file = until("the whole trajectory is in the archive", SOON, async || {
        let output = dojo(space, &["trajectory", name], None).await;
        if !output.status.success() {
            println!(
                "dojo trajectory {name}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
            return None;
        }
        (i64::try_from(output.stdout.len()).unwrap() >= recorded.size).then_some(output.stdout)
    })
    .await;
    let digest = Sha256::digest(&file)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    assert_eq!(
        digest,
        recorded.digest,
        "{name}: {} bytes at {}",
        file.len(),
        recorded.uri
    );
    println!(
        "{name}: {} bytes at {}, SHA-256 {digest}",
        file.len(),
        recorded.uri
    );
}

async fn nobody_else_gets_them(space: &Space, name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = powerless(space, dir.path()).await;
    for command in ["trajectory", "logs"] {
        let output = dojo(space, &[command, name], Some(&kubeconfig)).await;
        let words = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "dojo {command} without a right to get the Episode gives {} bytes",
            output.stdout.len()
        );
        assert!(
            ["forbidden", "403", "may not", "not allowed"]
                .iter()
                .any(|word| words.contains(word)),
            "dojo {command}: {words}"
        );
        println!("dojo {command} without rights: {}", words.trim());
    }
}
