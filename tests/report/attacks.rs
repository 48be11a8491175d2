//! What a pod can try that is not a relay, or one that has ended.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::stage::{POD_TOKEN, Stage};

const ATTEMPT: &str = "/v1/namespaces/team-a/episodes/ep/attempts/1";

fn put(stage: &Stage, path: &str, body: &[u8]) -> (u16, Value) {
    stage.ask("PUT", &format!("{ATTEMPT}/files/{path}"), POD_TOKEN, body)
}

#[test]
fn one_peer_cannot_take_all_connections_and_silent_ones_are_closed() {
    const MOST: usize = 64;
    let stage = Stage::new();
    let port = stage.url.rsplit(':').next().unwrap().parse().unwrap();
    let connect = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into()).unwrap();
        socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap()
    };
    // An end or a reset within the time.
    let closes = async |stream: &mut TcpStream, time: u64| {
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_millis(time), stream.read_to_end(&mut rest))
            .await
            .is_ok()
    };
    let mut held = stage.runtime.block_on(async {
        let mut held = Vec::new();
        for _ in 0..MOST {
            held.push(connect().await);
        }
        for _ in 0..16 {
            assert!(closes(&mut connect().await, 1000).await);
        }
        held
    });
    // Nobody else is kept out meanwhile.
    let files = format!("{ATTEMPT}/files");
    assert_eq!(stage.ask("GET", &files, POD_TOKEN, b"").0, 200);
    stage.runtime.block_on(async {
        assert!(!closes(&mut held[0], 10).await);
        for stream in &mut held {
            assert!(closes(stream, 5000).await);
        }
        assert!(!closes(&mut connect().await, 500).await);
    });
}

#[test]
fn a_trajectory_on_record_cannot_be_added_to_after_the_end() {
    let stage = Stage::new();
    stage.api.change(|status| {
        status["phase"] = json!("Completed");
        status["trajectory"] = json!({"uri": "memory:///a", "digest": "0", "size": 6});
    });
    // What the relay still had to bring is taken, and not a byte more.
    assert_eq!(
        put(&stage, "trajectory.jsonl?offset=0", b"one\n"),
        (200, json!({"size": 4}))
    );
    assert_eq!(
        put(&stage, "trajectory.jsonl?offset=4", b"2\nforged\n"),
        (200, json!({"size": 6}))
    );
    for offset in ["6", "7", "18446744073709551615"] {
        let (status, problem) = put(&stage, &format!("trajectory.jsonl?offset={offset}"), b"forged\n");
        assert_eq!((status, &problem["code"]), (410, &json!("over")), "{offset}");
    }
    assert_eq!(
        put(&stage, "trajectory.jsonl?offset=0", b"one\n2\nforged\n"),
        (200, json!({"size": 6}))
    );
    assert_eq!(stage.archived("trajectory.jsonl").unwrap(), b"one\n2\n");
    assert_eq!(put(&stage, "logs/execution_1.log?offset=0", b"late").0, 200);
}

#[test]
fn an_attempt_that_ended_without_a_trajectory_gets_none() {
    let stage = Stage::new();
    stage.api.change(|status| status["phase"] = json!("Failed"));
    assert_eq!(put(&stage, "trajectory.jsonl?offset=0", b"forged\n").0, 410);
    assert_eq!(stage.archived("trajectory.jsonl"), None);
}
