//! SIGKILL for the relay at any moment: no acknowledged step is lost, doubled or changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mledojo::wire::agent::StepReply;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::executor::Executor;
use crate::support::{Agent, Files, Process, execute, info, relay_command, start_relay, until};

const KILLS: u64 = 40;

/// The action under a key: every kind, so that each place of the step loop is hit.
fn action(number: u64) -> Value {
    match number % 5 {
        0 => execute(&format!("print {number}\nsubmit 0.{:03}", 999 - number % 900)),
        1 => info(),
        2 => json!({"action": "get_history", "params": {"limit": 3}}),
        3 => execute("print failing\nexit 1"),
        _ => json!({"action": "reset"}),
    }
}

#[test]
fn killing_the_relay_at_any_moment_loses_no_finished_step() {
    let files = Arc::new(Files::new(100_000, Duration::from_secs(3600)));
    let mut relay = start_relay(&files);
    let _executor = Executor::start(files.socket());
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let stepping = thread::spawn({
        let (files, stop, done) = (Arc::clone(&files), Arc::clone(&stop), Arc::clone(&done));
        move || {
            let mut agent = Agent::new(&files);
            let mut acknowledged = BTreeMap::new();
            let mut number = 0;
            while !stop.load(Ordering::SeqCst) {
                number += 1;
                let reply = agent.step_bytes(&format!("k-{number}"), &action(number));
                acknowledged.insert(number, reply);
                done.store(number, Ordering::SeqCst);
            }
            acknowledged
        }
    });
    // Nothing is sent on this channel: waiting on it is a pause of any length.
    let (_never, pause) = mpsc::channel::<()>();
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    for kill in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Some kills come while the relay starts, most in the middle of a step some steps later.
        let most = if kill % 4 == 0 {
            100_000
        } else {
            let before = done.load(Ordering::SeqCst);
            until("a step is acknowledged", || {
                (done.load(Ordering::SeqCst) > before).then_some(())
            });
            8_000
        };
        let delay = Duration::from_micros((random >> 33) % most);
        let _ = pause.recv_timeout(delay);
        relay.kill();
        relay = Process::start(&mut relay_command(&files));
    }
    stop.store(true, Ordering::SeqCst);
    let acknowledged = stepping.join().unwrap();
    assert!(acknowledged.len() as u64 >= KILLS / 4 * 3);

    let (_, steps) = files.journal();
    let mut by_key = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        assert_eq!(step.step as usize, index + 1, "numbering has no gaps");
        assert_eq!(step.reply.step, step.step);
        let twice = by_key.insert(step.idempotency_key.clone().unwrap(), step.reply.clone());
        assert_eq!(twice, None, "a key is journaled once");
    }
    assert_eq!(steps.len(), acknowledged.len());
    let mut agent = Agent::new(&files);
    for (number, bytes) in &acknowledged {
        let key = format!("k-{number}");
        let reply: StepReply = serde_json::from_slice(bytes).unwrap();
        assert_eq!(by_key.get(&key), Some(&reply));
        assert_eq!(
            agent.step_bytes(&key, &action(*number)),
            *bytes,
            "the replay of {key}"
        );
    }

    let result = files.result();
    let bytes = std::fs::read(files.path("run/trajectory.jsonl")).unwrap();
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(result.steps as usize, steps.len());
    assert_eq!(result.trajectory_bytes, bytes.len() as u64);
    assert_eq!(result.trajectory_sha256, digest);
    let best = steps
        .iter()
        .filter_map(|step| step.grade.as_ref())
        .map(|grade| grade.visible.score)
        .reduce(f64::min);
    assert_eq!(result.score, best);
}
