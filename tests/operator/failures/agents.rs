//! What an agent does to itself is a measurement.

use mledojo::api::conditions::{Outcome, Phase};
use serde_json::json;

use super::{TASK, assert_full_reward, set_up};
use crate::stage::fixtures::{self, Do, IMPROVING};
use crate::stage::{Access, EPISODE, Space, play};

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_agent_that_exits_with_an_error_completes_with_nothing() {
    play("agent-exit", Access::Shared, async |space: &Space| {
        set_up(space, &IMPROVING).await;
        space
            .make_episode(fixtures::container("gives-up", TASK, "import sys; sys.exit(1)"))
            .await;
        let status = space.until_phase("gives-up", Phase::Completed, EPISODE).await;
        assert_eq!(status.outcome, Some(Outcome::AgentFailed), "{status:#?}");
        assert_eq!(status.reward, Some(0.0), "{status:#?}");
        assert_eq!(status.reason.as_deref(), Some("NoValidSubmission"), "{status:#?}");
        assert_eq!((status.attempt, status.retries), (Some(1), None), "{status:#?}");
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn a_program_that_eats_too_much_memory_costs_its_step_and_no_more() {
    // Written to, so that it is memory and not only a promise of it.
    const EATER: &str = "hoard = []\nwhile True:\n    hoard.append(bytearray(b'x' * (8 << 20)))\n";
    play("memory", Access::Shared, async |space: &Space| {
        let list = [Do::Submit(0.35), Do::Run(EATER), Do::Submit(0.05)];
        set_up(space, &list).await;
        space.make_episode(fixtures::replay("eater", TASK)).await;
        let status = space.until_phase("eater", Phase::Completed, EPISODE).await;
        assert_full_reward(&status, 1);
        assert_eq!(status.steps.as_deref(), Some("3/20"), "{status:#?}");
        assert_eq!(status.retries, None, "{status:#?}");
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_agent_that_sleeps_is_ended_by_the_wall_clock() {
    play("wall-clock", Access::Shared, async |space: &Space| {
        set_up(space, &IMPROVING).await;
        let sleeper = fixtures::container("sleeper", TASK, "import time; time.sleep(3600)");
        space
            .make_episode(fixtures::with(sleeper, json!({"limits": {"wallClock": "20s"}})))
            .await;
        let status = space.until_phase("sleeper", Phase::Completed, EPISODE).await;
        assert_eq!(status.outcome, Some(Outcome::WallClockExhausted), "{status:#?}");
        assert_eq!(status.reward, Some(0.0), "{status:#?}");
        assert_eq!((status.attempt, status.retries), (Some(1), None), "{status:#?}");
    });
}
