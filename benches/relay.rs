//! Figures of the relay, each with its definition and a ratio against something measured in the same run.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)] // a program for developers

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::net::TcpListener;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use serde_json::json;

use support::executor::{Link, greet};
use support::http::Http;
use support::{Files, Process, connect, start_relay, until};

/// Requests of one measured round and rounds; relay and bare handler take turns, so that both see the same machine.
const ROUND: usize = 1_000;
const ROUNDS: usize = 20;
/// Relays at one time, and how long they are asked.
const RELAYS: usize = 100;
const TIME: Duration = Duration::from_secs(5);

/// A relay with an executor that is connected and never asked: a no-op step needs none.
struct Episode {
    files: Files,
    relay: Process,
    _executor: Link,
}

impl Episode {
    fn start() -> Self {
        let files = Files::new(u32::MAX, Duration::from_secs(86_400));
        let relay = start_relay(&files);
        let (executor, _) = greet(&files.socket(), None).unwrap();
        Self {
            files,
            relay,
            _executor: executor,
        }
    }

    fn client(&self) -> (Http, String) {
        let (http, token) = connect(&self.files.connection()).unwrap();
        let mut client = (http, token);
        until("the executor is connected", || {
            (step(&mut client).status == 200).then_some(())
        });
        client
    }

    /// Private anonymous memory in KiB: what a process costs a machine that has the binary loaded already.
    fn rss_anon(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.relay.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn step((http, token): &mut (Http, String)) -> support::http::Answer {
    let body = json!({"action": "request_info", "params": {"info_type": "overview"}}).to_string();
    http.request(
        "POST",
        "/v1/step",
        &[("Authorization", token.as_str())],
        body.as_bytes(),
    )
    .unwrap()
}

/// Times of one round, in microseconds.
fn round(client: &mut (Http, String), times: &mut Vec<f64>) {
    for _ in 0..ROUND {
        let begun = Instant::now();
        let answer = step(client);
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        assert_eq!(answer.status, 200);
    }
}

fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let index = ((values.len() - 1) as f64 * quantile).round() as usize;
    values[index]
}

/// An axum handler that reads the request and answers `reply`, on one thread as the relay.
fn bare(reply: Vec<u8>) -> Http {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let reply = Bytes::from(reply);
        let router = Router::new().route("/v1/step", post(async move |_: Bytes| reply));
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await
            })
    });
    Http::connect(&address.to_string()).unwrap()
}

fn one_relay() {
    let episode = Episode::start();
    let idle = episode.rss_anon();
    let mut client = episode.client();
    let reply = step(&mut client).body;
    let mut handler = (bare(reply.clone()), client.1.clone());
    let (mut relayed, mut plain) = (Vec::new(), Vec::new());
    round(&mut client, &mut Vec::new());
    round(&mut handler, &mut Vec::new());
    for _ in 0..ROUNDS {
        round(&mut client, &mut relayed);
        round(&mut handler, &mut plain);
    }
    let steps = fs::metadata(episode.files.path("run/trajectory.jsonl"))
        .unwrap()
        .len();
    println!(
        "no-op step: POST /v1/step request_info over one kept-alive loopback connection, one client; the reply of {} \
         bytes comes after its journal line was written and the result file replaced; {} steps, journal {} KiB",
        reply.len(),
        relayed.len(),
        steps / 1024
    );
    let (p50, p99) = (quantile(&mut relayed, 0.5), quantile(&mut relayed, 0.99));
    let (bare50, bare99) = (quantile(&mut plain, 0.5), quantile(&mut plain, 0.99));
    println!("  relay                 p50 {p50:7.1} us   p99 {p99:7.1} us   (aim: p50 of at most 150 us)");
    println!(
        "  bare axum handler     p50 {bare50:7.1} us   p99 {bare99:7.1} us   (same bytes, no journal, no token)"
    );
    println!(
        "  ratio                 p50 {:7.2}      p99 {:7.2}",
        p50 / bare50,
        p99 / bare99
    );
    println!("idle memory: RssAnon of a relay with a connected executor");
    println!(
        "  before the first step {idle} KiB   after {} steps {} KiB   (aim: at most 8192 KiB)",
        relayed.len(),
        episode.rss_anon()
    );
}

fn many_relays() {
    let episodes: Vec<_> = (0..RELAYS).map(|_| Episode::start()).collect();
    let begin = Barrier::new(RELAYS);
    let counts: Vec<(usize, f64)> = thread::scope(|scope| {
        let clients: Vec<_> = episodes
            .iter()
            .map(|episode| {
                let begin = &begin;
                scope.spawn(move || {
                    let mut client = episode.client();
                    let mut times = Vec::new();
                    begin.wait();
                    let begun = Instant::now();
                    while begun.elapsed() < TIME {
                        let sent = Instant::now();
                        assert_eq!(step(&mut client).status, 200);
                        times.push(sent.elapsed().as_secs_f64() * 1e6);
                    }
                    (times.len(), quantile(&mut times, 0.5))
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    #[allow(clippy::cast_precision_loss)]
    let mut rates: Vec<f64> = counts
        .iter()
        .map(|(steps, _)| *steps as f64 / TIME.as_secs_f64())
        .collect();
    let mut medians: Vec<f64> = counts.iter().map(|(_, p50)| *p50).collect();
    let cores = thread::available_parallelism().unwrap();
    println!(
        "{RELAYS} relays: as many processes, each with its own client that sends the next no-op step when it has the \
         reply, for {} s on {cores} cores, clients included",
        TIME.as_secs()
    );
    println!(
        "  all together {:.0} steps/s   per relay: least {:.0}, median {:.0}, most {:.0} steps/s; median of p50 {:.0} us",
        rates.iter().sum::<f64>(),
        quantile(&mut rates, 0.0),
        quantile(&mut rates, 0.5),
        quantile(&mut rates, 1.0),
        quantile(&mut medians, 0.5),
    );
    let mut memory: Vec<f64> = episodes
        .iter()
        .map(|episode| f64::from(u32::try_from(episode.rss_anon()).unwrap()))
        .collect();
    println!(
        "  RssAnon afterwards: median {:.0} KiB, most {:.0} KiB",
        quantile(&mut memory, 0.5),
        quantile(&mut memory, 1.0)
    );
}

fn main() {
    one_relay();
    many_relays();
}
