//! What an episode costs the API server, counted from its own log.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use mledojo::api::conditions::Phase;

use crate::stage::audit_log::{Request, requests, tally};
use crate::stage::fixtures::{self, IMPROVING};
use crate::stage::{Access, EPISODE, Space, operator, play, skip, variable};

const EPISODES: usize = 8;
/// Status writes of an ordinary episode, apart from one for each improvement of the best reward.
const STATUS_WRITES: usize = 6;

/// Whether a request made a pod, by POST or by server-side apply.
pub fn makes_a_pod(request: &Request) -> bool {
    request.resource() == "pods"
        && request.response_status.code == 201
        && ["create", "patch"].contains(&request.verb.as_str())
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_ordinary_episode_costs_six_status_writes_and_one_for_each_improvement() {
    if variable("AUDIT_LOG").is_none() {
        return skip("AUDIT_LOG is not set, so nothing can be counted");
    }
    play("audit", Access::Alone, async |space: &Space| {
        space.make_files(fixtures::code(&IMPROVING)).await;
        space.make_task(fixtures::task("tiny")).await;
        let begin = Timestamp::now();
        let names: Vec<String> = (1..=EPISODES).map(|number| format!("counted-{number}")).collect();
        for name in &names {
            space.make_episode(fixtures::replay(name, "tiny")).await;
        }
        for name in &names {
            let status = space.until_phase(name, Phase::Completed, EPISODE * 2).await;
            assert_eq!(status.reward, Some(1.0), "{status:#?}");
        }
        let end = Timestamp::now();

        let user = operator::user(space);
        let by_operator = |request: &Request| request.user.username == user && request.is_write();
        let here =
            requests(|request| by_operator(request) && request.object_ref.namespace == space.name).unwrap();
        let elsewhere = requests(|request| {
            by_operator(request)
                && request.object_ref.namespace != space.name
                && (begin..=end).contains(&request.at)
        })
        .unwrap();
        print_writes("in the namespace of the episodes", &here);
        print_writes("elsewhere in that time", &elsewhere);
        print_memory().await;
        print_latency(space, &here, &names);

        let mut writes: BTreeMap<&str, usize> = BTreeMap::new();
        for request in &here {
            if request.resource() == "episodes/status" && request.succeeded() {
                *writes.entry(request.object_ref.name.as_str()).or_default() += 1;
            }
        }
        println!("status writes: {writes:?}");
        let most = STATUS_WRITES + IMPROVING.len();
        for name in &names {
            let count = writes.get(name.as_str()).copied().unwrap_or(0);
            assert!(
                count > 0,
                "the log has no status write of {name}: is AUDIT_LOG this cluster's?"
            );
            assert!(
                count <= most,
                "{name}: {count} status writes, at most {STATUS_WRITES} and {} improvements are due",
                IMPROVING.len()
            );
        }
        let refused = here.iter().filter(|request| !request.succeeded()).count();
        println!("writes that were refused: {refused} (conflicts among them)");
    });
}

fn print_writes(title: &str, writes: &[Request]) {
    println!("\nwrites of the operator {title}, {EPISODES} episodes:");
    println!(
        "{:<28} {:<8} {:>6} {:>12}",
        "RESOURCE", "VERB", "TOTAL", "PER EPISODE"
    );
    #[allow(clippy::cast_precision_loss)] // counts far below 2^52
    let each = |count: usize| count as f64 / EPISODES as f64;
    for ((resource, verb), count) in tally(writes) {
        println!("{resource:<28} {verb:<8} {count:>6} {:>12.1}", each(count));
    }
    println!(
        "{:<28} {:<8} {:>6} {:>12.1}",
        "all",
        "",
        writes.len(),
        each(writes.len())
    );
}

async fn print_memory() {
    match operator::memory().await {
        Some(memory) => println!("\nmemory of the operator: {}", memory.trim()),
        None => println!("\nmemory of the operator: its process cannot be seen from here"),
    }
}

/// Time from Episode created to pod created, both as the API server wrote them down.
fn print_latency(space: &Space, here: &[Request], names: &[String]) {
    let created: BTreeMap<String, Timestamp> = requests(|request| {
        request.object_ref.namespace == space.name
            && request.resource() == "episodes"
            && request.verb == "create"
            && request.succeeded()
    })
    .unwrap()
    .into_iter()
    .map(|request| (request.object_ref.name, request.at))
    .collect();
    let mut delays: Vec<Duration> = here
        .iter()
        .filter(|request| makes_a_pod(request))
        .filter_map(|request| {
            let (episode, _) = request.object_ref.name.rsplit_once('-')?;
            let since = created.get(episode)?;
            Duration::try_from(request.at.duration_since(*since)).ok()
        })
        .collect();
    delays.sort_unstable();
    assert_eq!(delays.len(), names.len(), "one pod for each episode was made");
    let at = |percent: usize| delays[(delays.len() * percent).div_ceil(100) - 1].as_millis();
    println!(
        "\nEpisode created to pod created, {} episodes at once: p50 {} ms, p99 {} ms",
        delays.len(),
        at(50),
        at(99)
    );
}
