//! The container of the agent.

use k8s_openapi::api::core::v1::Container;

use super::security::{self, Role};
use super::volumes::{Access, mount};
use super::{PodOptions, no_gpu, paths, resources as amounts, variable};
use crate::api::task::ResourceSpec;
use crate::api::{ContainerAgent, Episode};

pub(super) fn container(episode: &Episode, options: &PodOptions) -> Container {
    match &episode.spec.agent.container {
        Some(agent) => program(agent, episode.spec.seed, options),
        None => replay(episode, options),
    }
}

/// What a container agent gets.
pub(super) fn resources(agent: &ContainerAgent) -> ResourceSpec {
    agent.resources.clone().unwrap_or_default()
}

fn replay(episode: &Episode, options: &PodOptions) -> Container {
    let source = episode.spec.agent.replay.as_ref();
    let key = source.map_or("", |source| &source.config_map_key_ref.key);
    let actions = format!("{}/{key}", paths::ACTIONS);
    let arguments = [
        "agent",
        "replay",
        "--connection",
        paths::CONNECTION_FILE,
        "--actions",
        &actions,
    ];
    Container {
        resources: Some(amounts::small()),
        security_context: Some(security::of(Role::Agent, options.ids, true)),
        volume_mounts: Some(vec![
            mount("program", paths::PROGRAM, Access::Read),
            mount("connection", paths::CONNECTION, Access::Read),
            mount("actions", paths::ACTIONS, Access::Read),
        ]),
        ..super::container("agent", &options.image, &arguments)
    }
}

fn program(agent: &ContainerAgent, seed: i64, options: &PodOptions) -> Container {
    let seed = seed.to_string();
    let arguments: Vec<&str> = [
        "agent",
        "exec",
        "--connection",
        paths::CONNECTION_FILE,
        "--seed",
        &seed,
        "--",
    ]
    .into_iter()
    .chain(agent.command.iter().map(String::as_str))
    .chain(agent.args.iter().map(String::as_str))
    .collect();
    // The agent's own variables come last and win.
    let env = [variable("HOME", paths::HOME), no_gpu()]
        .into_iter()
        .filter(|ours| agent.env.iter().all(|theirs| theirs.name != ours.name))
        .chain(
            agent
                .env
                .iter()
                .map(|theirs| variable(&theirs.name, &theirs.value)),
        )
        .collect();
    Container {
        env: Some(env),
        resources: Some(amounts::of_spec(&resources(agent))),
        // A foreign image may write where it likes; its root is a layer of its own that ends with the pod.
        security_context: Some(security::of(Role::Agent, options.ids, false)),
        volume_mounts: Some(vec![
            mount("program", paths::PROGRAM, Access::Read),
            mount("connection", paths::CONNECTION, Access::Read),
            mount("home", paths::HOME, Access::Write),
        ]),
        ..super::container("agent", &agent.image, &arguments)
    }
}
