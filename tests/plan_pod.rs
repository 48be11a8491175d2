//! Who sees what, over every pod that can be planned from the fixtures; and one pod as it is printed.

#![allow(clippy::unwrap_used, clippy::panic)] // a test program: a panic is its failure

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, SecurityContext, Volume};
use mledojo::api::{Episode, Task};
use mledojo::local::read;
use mledojo::plan::{self, Checked, Ids, NotPlannable, Plan, PodOptions, ReportOptions};

const FIXTURES: &str = "tests/data/plan/fixtures.yaml";
const GOLDEN: &str = "tests/data/plan/pod.yaml";

/// The design, word for word: who mounts which volume, and whether it can write to it. A line that is not here is a mount
/// that must not be.
const WHO_SEES_WHAT: &[(&str, &[(&str, &str)])] = &[
    (
        "program",
        &[
            ("install", "rw"),
            ("relay", "ro"),
            ("sandbox", "ro"),
            ("agent", "ro"),
        ],
    ),
    ("task-code", &[("prepare", "ro")]),
    ("raw", &[("prepare", "rw")]),
    ("prepare-home", &[("prepare", "rw")]),
    ("public", &[("prepare", "rw"), ("relay", "ro"), ("sandbox", "ro")]),
    ("private", &[("prepare", "rw"), ("relay", "ro")]),
    ("config", &[("relay", "ro")]),
    ("report-token", &[("relay", "ro")]),
    ("state", &[("relay", "rw")]),
    ("channel", &[("relay", "rw"), ("sandbox", "ro")]),
    ("connection", &[("relay", "rw"), ("agent", "ro")]),
    ("workspace", &[("sandbox", "rw")]),
    ("scratch", &[("sandbox", "rw")]),
    ("exec-state", &[("sandbox", "rw")]),
    ("shm", &[("sandbox", "rw")]),
    ("actions", &[("agent", "ro")]),
    ("home", &[("agent", "rw")]),
];

fn fixtures() -> Checked {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = read::documents(&[root.join(FIXTURES)]).unwrap();
    plan::validate(&documents).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn options(ids: Ids) -> PodOptions {
    PodOptions {
        image: "localhost/dojo:1".into(),
        ids,
        report: None,
    }
}

/// As an operator plans: the relay reports to it.
fn reporting(ids: Ids) -> PodOptions {
    PodOptions {
        report: Some(ReportOptions {
            url: "https://mle-dojo-operator.mle-dojo-system.svc:8443".into(),
            authorities: "-----BEGIN CERTIFICATE-----\n".into(),
        }),
        ..options(ids)
    }
}

fn pod_of(task: &Task, episode: &Episode, ids: Ids) -> Pod {
    plan::cluster(task, episode, 1, &options(ids)).unwrap().pod
}

/// Every Task with every agent, under both ways of choosing users, with and without reports.
fn every_pod() -> Vec<(String, Ids, Pod)> {
    let checked = fixtures();
    let mut pods = Vec::new();
    for task in &checked.tasks {
        for episode in &checked.episodes {
            for ids in [Ids::Fixed, Ids::Assigned] {
                let mut episode = episode.resource.clone();
                episode.spec.task_ref.name = task.resource.metadata.name.clone().unwrap();
                for options in [options(ids), reporting(ids)] {
                    let how = if options.report.is_some() {
                        "reporting"
                    } else {
                        "silent"
                    };
                    let name = format!(
                        "{} {how} on {ids:?} {}",
                        episode.metadata.name.as_ref().unwrap(),
                        episode.spec.task_ref.name
                    );
                    let plan = plan::cluster(&task.resource, &episode, 1, &options).unwrap();
                    pods.push((name, ids, plan.pod));
                }
            }
        }
    }
    assert_eq!(pods.len(), 4 * 3 * 2 * 2);
    pods
}

fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().unwrap()
}

fn containers(pod: &Pod) -> Vec<&Container> {
    let spec = spec(pod);
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .collect()
}

fn named<'a>(pod: &'a Pod, name: &str) -> &'a Container {
    containers(pod)
        .into_iter()
        .find(|container| container.name == name)
        .unwrap_or_else(|| panic!("no container {name}"))
}

fn volume<'a>(pod: &'a Pod, name: &str) -> &'a Volume {
    spec(pod)
        .volumes
        .iter()
        .flatten()
        .find(|volume| volume.name == name)
        .unwrap()
}

fn security(container: &Container) -> &SecurityContext {
    container.security_context.as_ref().unwrap()
}

#[test]
fn every_container_mounts_what_the_design_gives_it_and_nothing_else() {
    let design: BTreeMap<&str, BTreeMap<&str, &str>> = WHO_SEES_WHAT
        .iter()
        .map(|(volume, who)| (*volume, who.iter().copied().collect()))
        .collect();
    for (name, _, pod) in every_pod() {
        let present: BTreeSet<String> = containers(&pod)
            .iter()
            .map(|container| container.name.clone())
            .collect();
        let mut seen: BTreeMap<String, BTreeMap<String, &str>> = BTreeMap::new();
        for container in containers(&pod) {
            for mount in container.volume_mounts.iter().flatten() {
                let access = if mount.read_only == Some(true) { "ro" } else { "rw" };
                let earlier = seen
                    .entry(mount.name.clone())
                    .or_default()
                    .insert(container.name.clone(), access);
                assert_eq!(
                    earlier, None,
                    "{name}: {} mounts {} twice",
                    container.name, mount.name
                );
            }
        }
        let volumes: BTreeSet<String> = spec(&pod)
            .volumes
            .iter()
            .flatten()
            .map(|volume| volume.name.clone())
            .collect();
        assert_eq!(
            volumes,
            seen.keys().cloned().collect(),
            "{name}: volumes without a use, or mounts without a volume"
        );
        for (volume, who) in seen {
            let expected: BTreeMap<String, &str> = design
                .get(volume.as_str())
                .unwrap_or_else(|| panic!("{name}: the design has no volume {volume}"))
                .iter()
                .filter(|(container, _)| present.contains(**container))
                .map(|(container, access)| ((*container).to_owned(), *access))
                .collect();
            assert_eq!(who, expected, "{name}: {volume}");
        }
    }
}

#[test]
fn this_program_takes_every_command_line_that_is_planned_for_it() {
    for (name, _, pod) in every_pod() {
        let mut taken = BTreeSet::new();
        for container in containers(&pod) {
            let program = container.command.iter().flatten().next();
            let image_runs_it = program.is_none();
            if image_runs_it || program.is_some_and(|program| program.ends_with("/dojo")) {
                let args = container.args.clone().unwrap_or_default();
                mledojo::cli::accepts(&args)
                    .unwrap_or_else(|error| panic!("{name}: {}: {error}", container.name));
                taken.insert(container.name.as_str());
            }
        }
        assert!(
            ["install", "relay", "sandbox", "agent"]
                .iter()
                .all(|role| taken.contains(role)),
            "{name}: {taken:?}"
        );
    }
}

#[test]
fn the_sandbox_sees_public_data_its_workspace_and_the_socket_and_no_more() {
    for (name, _, pod) in every_pod() {
        let mounts: BTreeSet<(&str, bool)> = named(&pod, "sandbox")
            .volume_mounts
            .iter()
            .flatten()
            .map(|mount| (mount.mount_path.as_str(), mount.read_only == Some(true)))
            .collect();
        let expected = BTreeSet::from([
            ("/run/dojo/bin", true),
            ("/data/public", true),
            ("/run/dojo/channel", true),
            ("/workspace", false),
            ("/run/dojo/scratch", false),
            ("/run/dojo/exec", false),
            ("/dev/shm", false),
        ]);
        assert_eq!(mounts, expected, "{name}");
        let shm = volume(&pod, "shm").empty_dir.as_ref().unwrap();
        assert_eq!(shm.medium.as_deref(), Some("Memory"), "{name}");
        assert!(shm.size_limit.is_some(), "{name}: memory without a limit");
    }
}

#[test]
fn no_secret_is_in_arguments_or_variables_and_no_volume_holds_one() {
    for (name, _, pod) in every_pod() {
        assert_eq!(spec(&pod).automount_service_account_token, Some(false), "{name}");
        assert_eq!(spec(&pod).service_account_name, None, "{name}");
        for volume in spec(&pod).volumes.iter().flatten() {
            let token = volume.name == "report-token";
            assert_eq!(volume.projected.is_some(), token, "{name}: {}", volume.name);
            let plain = volume.secret.is_none() && volume.host_path.is_none();
            assert!(plain, "{name}: {}", volume.name);
        }
        for container in containers(&pod) {
            let words = container
                .command
                .iter()
                .flatten()
                .chain(container.args.iter().flatten());
            for word in words {
                // The path of a token tells nothing.
                let path = ["--report-token", "/run/dojo/token/token"].contains(&word.as_str());
                assert!(
                    path || !word.to_lowercase().contains("token"),
                    "{name}: {}: {word}",
                    container.name
                );
            }
            assert_eq!(container.env_from, None, "{name}: {}", container.name);
            for variable in container.env.iter().flatten() {
                assert_eq!(variable.value_from, None, "{name}: {}", container.name);
                let known = [
                    "HOME",
                    "TMPDIR",
                    "PYTHONHASHSEED",
                    "NVIDIA_VISIBLE_DEVICES",
                    "STYLE",
                ];
                assert!(
                    known.contains(&variable.name.as_str()),
                    "{name}: {}",
                    variable.name
                );
            }
        }
    }
}

#[test]
fn the_token_that_proves_a_pod_is_good_for_reports_alone_and_only_the_relay_has_it() {
    let checked = fixtures();
    let (task, episode) = (&checked.tasks[0].resource, &checked.episodes[0].resource);
    let Plan { config_map, pod } = plan::cluster(task, episode, 3, &reporting(Ids::Fixed)).unwrap();
    let token = volume(&pod, "report-token").projected.clone().unwrap();
    let sources = token.sources.unwrap();
    assert_eq!(sources.len(), 1);
    let token = sources[0].service_account_token.clone().unwrap();
    assert_eq!(
        (
            token.audience.as_deref(),
            token.expiration_seconds,
            token.path.as_str()
        ),
        (Some("mledojo.dev/report"), Some(3600), "token")
    );
    let holders: Vec<&str> = containers(&pod)
        .into_iter()
        .filter(|container| {
            let mut mounts = container.volume_mounts.iter().flatten();
            mounts.any(|mount| mount.name == "report-token" && mount.mount_path == "/run/dojo/token")
        })
        .map(|container| container.name.as_str())
        .collect();
    assert_eq!(holders, ["relay"]);
    let args = named(&pod, "relay").args.clone().unwrap();
    let at = args.iter().position(|arg| arg == "--report-url").unwrap();
    assert_eq!(
        args[at..],
        [
            "--report-url",
            "https://mle-dojo-operator.mle-dojo-system.svc:8443",
            "--report-ca",
            "/run/dojo/config/ca.crt",
            "--report-token",
            "/run/dojo/token/token",
            "--report-namespace",
            "default",
            "--report-attempt",
            "3",
        ]
    );
    let data = config_map.data.unwrap();
    assert_eq!(data["ca.crt"], "-----BEGIN CERTIFICATE-----\n");
    let items = volume(&pod, "config").config_map.clone().unwrap().items.unwrap();
    assert!(items.iter().all(|item| data.contains_key(&item.key)), "{items:?}");

    let silent = plan::cluster(task, episode, 3, &options(Ids::Fixed)).unwrap();
    assert_eq!(silent.config_map.data.unwrap().len(), 1);
    assert!(
        !named(&silent.pod, "relay")
            .args
            .iter()
            .flatten()
            .any(|arg| arg.starts_with("--report"))
    );
}

#[test]
fn a_pod_carries_what_its_result_will_be_said_to_come_from() {
    let checked = fixtures();
    let (mut task, episode) = (checked.tasks[1].resource.clone(), &checked.episodes[1].resource);
    let annotations = |task: &Task| pod_of(task, episode, Ids::Fixed).metadata.annotations.unwrap();
    let plain = annotations(&task);
    assert_eq!(plain["mledojo.dev/wall-clock-seconds"], "43200");
    assert_eq!(plain["note"], "from the task");
    assert!(!plain.contains_key("mledojo.dev/task-digest"), "it is not known");
    task.metadata.generation = Some(4);
    task.status = serde_json::from_value(serde_json::json!({
        "digest": "abc", "data": {"digest": "def", "job": "on-claims-prepare-01234567"},
    }))
    .unwrap();
    let checked = annotations(&task);
    for (name, value) in [
        ("task-generation", "4"),
        ("task-digest", "abc"),
        ("data-digest", "def"),
    ] {
        assert_eq!(checked[&format!("mledojo.dev/{name}")], value);
    }
}

#[test]
fn data_on_claims_are_prepared_once_by_a_job_without_secrets_or_gpus() {
    let checked = fixtures();
    let task = &checked.tasks[1].resource;
    let content = b"def prepare(raw, public, private): pass\n";
    let job = plan::pod::prepare_job(task, content, &reporting(Ids::Fixed)).unwrap();
    let name = job.metadata.name.clone().unwrap();
    assert!(
        name.starts_with("on-claims-prepare-") && name.len() <= 63,
        "{name}"
    );
    let other = plan::pod::prepare_job(task, b"other", &reporting(Ids::Fixed)).unwrap();
    assert_ne!(
        other.metadata.name,
        Some(name.clone()),
        "another program is another Job"
    );
    let mut long = task.clone();
    long.metadata.name = Some("a.b-".repeat(15) + "abc");
    let long = plan::pod::prepare_job_name(&long, content).unwrap();
    assert!(long.len() <= 63 && long.contains("-a-prepare-"), "{long}");

    let spec = job.spec.unwrap();
    assert_eq!(
        (spec.backoff_limit, spec.ttl_seconds_after_finished),
        (Some(2), None)
    );
    let labels = spec.template.metadata.unwrap().labels.unwrap();
    assert!(!labels.contains_key("mledojo.dev/task"), "it may fetch its data");
    assert_eq!(labels["mledojo.dev/prepares"], "on-claims");
    let pod = Pod {
        spec: spec.template.spec,
        ..Pod::default()
    };
    let order: Vec<&str> = containers(&pod)
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    assert_eq!(order, ["prepare", "manifest"]);
    assert_eq!(
        spec_of_security(&pod),
        (Some(true), Some("RuntimeDefault".into())),
        "restricted"
    );
    for container in containers(&pod) {
        let security = security(container);
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(true));
        let limits = container.resources.clone().unwrap().limits.unwrap();
        assert!(
            limits.keys().all(|resource| !resource.contains('/')),
            "{limits:?}"
        );
        let path = |name: &str| {
            let mounts = container.volume_mounts.iter().flatten();
            mounts
                .clone()
                .find(|mount| mount.name == name)
                .map(|mount| (mount.sub_path.clone().unwrap(), mount.read_only))
                .unwrap()
        };
        let read_only = (container.name == "manifest").then_some(true);
        assert_eq!(path("public"), ("v2/public".into(), read_only));
        assert_eq!(path("private"), ("v2/private".into(), read_only));
    }
    let claim = volume(&pod, "private").persistent_volume_claim.clone().unwrap();
    assert_eq!(
        (claim.claim_name.as_str(), claim.read_only),
        ("shapes-answers", None)
    );
    mledojo::cli::accepts(&named(&pod, "manifest").args.clone().unwrap()).unwrap();
    assert_eq!(named(&pod, "prepare").args.clone().unwrap().last(), Some(&name));
    for task in [0, 2, 3].map(|index| &checked.tasks[index].resource) {
        assert_eq!(plan::pod::prepare_job(task, content, &options(Ids::Fixed)), None);
    }
}

fn spec_of_security(pod: &Pod) -> (Option<bool>, Option<String>) {
    let security = spec(pod).security_context.clone().unwrap();
    (
        security.run_as_non_root,
        security.seccomp_profile.map(|profile| profile.type_),
    )
}

#[test]
fn every_pod_keeps_to_the_restricted_pod_security_standard() {
    for (name, _, pod) in every_pod() {
        let spec = spec(&pod);
        let pod_security = spec.security_context.as_ref().unwrap();
        assert_eq!(pod_security.run_as_non_root, Some(true), "{name}");
        assert_eq!(
            pod_security.seccomp_profile.as_ref().unwrap().type_,
            "RuntimeDefault",
            "{name}"
        );
        assert_eq!(pod_security.sysctls, None, "{name}");
        for shared in [
            spec.host_network,
            spec.host_pid,
            spec.host_ipc,
            spec.share_process_namespace,
        ] {
            assert_ne!(shared, Some(true), "{name}");
        }
        for container in containers(&pod) {
            let place = format!("{name}: {}", container.name);
            let security = security(container);
            assert_eq!(security.allow_privilege_escalation, Some(false), "{place}");
            assert_eq!(security.privileged, Some(false), "{place}");
            assert_eq!(security.run_as_non_root, Some(true), "{place}");
            let capabilities = security.capabilities.as_ref().unwrap();
            assert_eq!(
                capabilities.drop.as_deref(),
                Some(["ALL".to_owned()].as_slice()),
                "{place}"
            );
            assert_eq!(capabilities.add, None, "{place}");
            assert_eq!(
                security.seccomp_profile.as_ref().unwrap().type_,
                "RuntimeDefault",
                "{place}"
            );
            assert!(
                container
                    .ports
                    .iter()
                    .flatten()
                    .all(|port| port.host_port.is_none()),
                "{place}"
            );
        }
    }
}

#[test]
fn each_role_has_a_user_of_its_own_unless_the_cluster_assigns_one() {
    for (name, ids, pod) in every_pod() {
        let users: Vec<Option<i64>> = containers(&pod)
            .iter()
            .map(|container| security(container).run_as_user)
            .collect();
        match ids {
            Ids::Fixed => {
                let distinct: BTreeSet<i64> = users.iter().map(|user| user.unwrap()).collect();
                assert_eq!(distinct.len(), users.len(), "{name}: {users:?}");
                assert!(!distinct.contains(&0), "{name}");
                for container in containers(&pod) {
                    assert_eq!(
                        security(container).run_as_group,
                        security(container).run_as_user,
                        "{name}"
                    );
                }
            }
            Ids::Assigned => {
                assert!(users.iter().all(Option::is_none), "{name}");
                assert_eq!(
                    spec(&pod).security_context.as_ref().unwrap().fs_group,
                    None,
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn only_the_root_of_a_foreign_agent_is_writable() {
    for (name, _, pod) in every_pod() {
        for container in containers(&pod) {
            let foreign = container.image.as_deref() == Some("localhost/agent:1");
            let read_only = security(container).read_only_root_filesystem;
            assert_eq!(read_only, Some(!foreign), "{name}: {}", container.name);
        }
    }
}

#[test]
fn requests_are_limits_and_gpus_go_to_the_sandbox_alone() {
    for (name, _, pod) in every_pod() {
        for container in containers(&pod) {
            let place = format!("{name}: {}", container.name);
            let resources = container.resources.as_ref().unwrap();
            assert_eq!(resources.requests, resources.limits, "{place}");
            let limits = resources.limits.as_ref().unwrap();
            for resource in ["cpu", "memory", "ephemeral-storage"] {
                assert!(limits.contains_key(resource), "{place}: {resource}");
            }
            let gpus = limits.keys().any(|resource| resource.starts_with("nvidia.com/"));
            assert!(!gpus || container.name == "sandbox", "{place}");
            let hidden = container.env.iter().flatten().any(|variable| {
                variable.name == "NVIDIA_VISIBLE_DEVICES" && variable.value.as_deref() == Some("void")
            });
            let ours = container.image.as_deref() == Some("localhost/dojo:1");
            assert!(
                gpus || hidden || ours,
                "{place}: an image of others could see every GPU"
            );
            assert!(!(gpus && hidden), "{place}: its own GPUs are hidden");
        }
    }
}

#[test]
fn sidecars_start_in_order_and_the_pod_is_complete_when_the_agent_is() {
    for (name, _, pod) in every_pod() {
        let spec = spec(&pod);
        let order: Vec<&str> = containers(&pod)
            .iter()
            .map(|container| container.name.as_str())
            .collect();
        let prepared = name.ends_with(" prepared");
        let expected: &[&str] = if prepared {
            &["install", "prepare", "relay", "sandbox", "agent"]
        } else {
            &["install", "relay", "sandbox", "agent"]
        };
        assert_eq!(order, expected, "{name}");
        assert_eq!(spec.containers.len(), 1, "{name}");
        assert_eq!(spec.restart_policy.as_deref(), Some("Never"), "{name}");
        for container in containers(&pod) {
            let sidecar = matches!(container.name.as_str(), "relay" | "sandbox");
            let restart = container.restart_policy.as_deref();
            assert_eq!(restart, sidecar.then_some("Always"), "{name}: {}", container.name);
            assert_eq!(
                container.startup_probe.is_some(),
                sidecar,
                "{name}: {}",
                container.name
            );
            // Only what has met neither an agent nor a secret may speak through its log.
            let policy = if container.name == "prepare" {
                "FallbackToLogsOnError"
            } else {
                "File"
            };
            assert_eq!(
                container.termination_message_policy.as_deref(),
                Some(policy),
                "{name}: {}",
                container.name
            );
        }
        let paths = ["relay", "sandbox"].map(|sidecar| {
            let probe = named(&pod, sidecar).startup_probe.clone().unwrap();
            probe.http_get.unwrap().path.unwrap()
        });
        assert_eq!(paths, ["/healthz", "/readyz"], "{name}");
    }
}

#[test]
fn a_pod_belongs_to_its_episode_and_waits_for_its_result() {
    let checked = fixtures();
    let (task, episode) = (&checked.tasks[1].resource, &checked.episodes[1].resource);
    let Plan { config_map, pod } = plan::cluster(task, episode, 2, &options(Ids::Fixed)).unwrap();
    assert_eq!(pod.metadata.name.as_deref(), Some("contained-2"));
    assert_eq!(
        pod.metadata.finalizers.as_deref(),
        Some(["mledojo.dev/result".to_owned()].as_slice())
    );
    for owners in [
        &pod.metadata.owner_references,
        &config_map.metadata.owner_references,
    ] {
        let owner = &owners.as_ref().unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.controller), ("Episode", Some(true)));
        assert_eq!(Some(&owner.uid), episode.metadata.uid.as_ref());
    }
    let labels = pod.metadata.labels.unwrap();
    for (label, value) in [
        ("mledojo.dev/episode", "contained"),
        ("mledojo.dev/task", "on-claims"),
        ("mledojo.dev/attempt", "2"),
        ("kueue.x-k8s.io/queue-name", "evals"),
        ("team", "vision"),
        ("app.kubernetes.io/name", "mle-dojo"),
    ] {
        assert_eq!(labels.get(label).map(String::as_str), Some(value), "{label}");
    }
    let spec = pod.spec.unwrap();
    assert_eq!(spec.priority_class_name.as_deref(), Some("low"));
    assert_eq!(spec.scheduler_name.as_deref(), Some("default-scheduler"));
    assert_eq!(spec.runtime_class_name.as_deref(), Some("nvidia"));

    let mut unborn = episode.clone();
    unborn.metadata.uid = None;
    let plan = plan::cluster(task, &unborn, 1, &options(Ids::Fixed)).unwrap();
    assert_eq!(
        plan.pod.metadata.owner_references, None,
        "an owner without UID would have the pod deleted"
    );
}

#[test]
fn the_relay_finds_its_configuration_and_nobody_can_change_it() {
    let checked = fixtures();
    let (task, episode) = (&checked.tasks[1].resource, &checked.episodes[1].resource);
    let Plan { config_map, pod } = plan::cluster(task, episode, 1, &options(Ids::Fixed)).unwrap();
    assert_eq!(config_map.immutable, Some(true));
    let config: mledojo::wire::config::RelayConfig =
        serde_json::from_str(&config_map.data.unwrap()["relay-config.json"]).unwrap();
    assert_eq!((config.limits.steps, config.seed), (30, 11));
    assert_eq!(config.limits.action_timeout_ms, 1_200_000);
    assert_eq!(
        (config.public_dir.as_str(), config.workspace_dir.as_str()),
        ("/data/public", "/workspace")
    );
    let source = volume(&pod, "config").config_map.clone().unwrap();
    assert_eq!(Some(source.name), config_map.metadata.name);
}

#[test]
fn data_come_from_where_the_task_says_and_are_never_writable() {
    let checked = fixtures();
    let pod = |task: usize| {
        pod_of(
            &checked.tasks[task].resource,
            &checked.episodes[0].resource,
            Ids::Fixed,
        )
    };
    let claims = pod(1);
    let claim = volume(&claims, "private")
        .persistent_volume_claim
        .clone()
        .unwrap();
    assert_eq!(
        (claim.claim_name.as_str(), claim.read_only),
        ("shapes-answers", Some(true))
    );
    let mount = |container: &str, name: &str| {
        let mounts = named(&claims, container).volume_mounts.clone().unwrap();
        mounts.into_iter().find(|mount| mount.name == name).unwrap()
    };
    assert_eq!(mount("relay", "private").sub_path.as_deref(), Some("v2/private"));
    assert_eq!(mount("sandbox", "public").sub_path.as_deref(), Some("v2/public"));
    let image = volume(&pod(2), "public").image.clone().unwrap();
    assert_eq!(image.reference.as_deref(), Some("localhost/words:1"));
    let map = volume(&pod(3), "private").config_map.clone().unwrap();
    assert_eq!((map.name.as_str(), map.items), ("small-private", None));
}

#[test]
fn gpus_become_resources_affinity_and_tolerations() {
    let checked = fixtures();
    let pod = |task: usize| {
        pod_of(
            &checked.tasks[task].resource,
            &checked.episodes[0].resource,
            Ids::Fixed,
        )
    };
    let two = pod(1);
    let limits = named(&two, "sandbox").resources.clone().unwrap().limits.unwrap();
    assert_eq!(limits["nvidia.com/gpu"].0, "2");
    let affinity = spec(&two).affinity.clone().unwrap().node_affinity.unwrap();
    let terms = affinity
        .required_during_scheduling_ignored_during_execution
        .unwrap()
        .node_selector_terms;
    let expressions: Vec<(String, String, Vec<String>)> = terms[0]
        .match_expressions
        .clone()
        .unwrap()
        .into_iter()
        .map(|expression| (expression.key, expression.operator, expression.values.unwrap()))
        .collect();
    assert_eq!(
        expressions,
        [
            (
                "nvidia.com/gpu.product".into(),
                "In".into(),
                vec!["NVIDIA-H100-80GB-HBM3".to_owned()]
            ),
            // At least 40 GiB: more than 40,959 MiB.
            (
                "nvidia.com/gpu.memory".into(),
                "Gt".into(),
                vec!["40959".to_owned()]
            ),
        ]
    );
    let keys: Vec<String> = spec(&two)
        .tolerations
        .iter()
        .flatten()
        .map(|t| t.key.clone().unwrap())
        .collect();
    assert_eq!(keys, ["nvidia.com/gpu", "dedicated"]);
    let slice = pod(2);
    let limits = named(&slice, "sandbox")
        .resources
        .clone()
        .unwrap()
        .limits
        .unwrap();
    assert_eq!(limits["nvidia.com/mig-1g.10gb"].0, "1");
    assert_eq!(spec(&slice).affinity, None);
    assert_eq!(spec(&pod(0)).tolerations, None);
}

#[test]
fn a_task_with_a_local_directory_cannot_be_planned_and_the_reason_says_what_to_do() {
    let checked = fixtures();
    let mut task = checked.tasks[0].resource.clone();
    task.spec.data = serde_json::from_value(serde_json::json!({"path": "/data/iris"})).unwrap();
    let refused = plan::cluster(&task, &checked.episodes[0].resource, 1, &options(Ids::Fixed)).unwrap_err();
    assert!(matches!(refused, NotPlannable::LocalData { .. }));
    let message = refused.to_string();
    assert!(
        message.contains("/data/iris") && message.contains("spec.data.prepare"),
        "{message}"
    );
}

#[test]
fn the_objects_of_an_episode_are_printed_as_they_always_were() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = fixtures();
    let (task, episode) = (&checked.tasks[1].resource, &checked.episodes[1].resource);
    let Plan { config_map, pod } = plan::cluster(task, episode, 1, &reporting(Ids::Fixed)).unwrap();
    let objects = [
        serde_json::to_value(config_map).unwrap(),
        serde_json::to_value(pod).unwrap(),
    ];
    let printed = serde_saphyr::to_string_multiple(&objects).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(root.join(GOLDEN), &printed).unwrap();
    }
    let golden = std::fs::read_to_string(root.join(GOLDEN)).unwrap();
    assert!(
        printed == golden,
        "{GOLDEN} differs from what is planned. If the change is meant: BLESS=1 cargo test --test plan_pod, then look at \
         the diff.\n{printed}"
    );
}
