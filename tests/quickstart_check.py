"""Checks a finished quickstart: `quickstart_check.py RUNS`, where RUNS is the run directory.

Every episode completed; its code first failed, as written, then reached a baseline, then improved; the best reward is
the episode's; the agent saw no path of the private data. Run again, `dojo run` keeps what is there.
"""

import json
import pathlib
import subprocess
import sys

# Each task, and how the first program of its agent fails.
TASKS = {
    "breast-cancer": "CodeRuntimeError",
    "co2": "InvalidSubmissionError",
    "digits": "SubmissionNotFoundError",
    "word-sentiment": "InvalidSubmissionError",
}


def main(runs: pathlib.Path) -> None:
    again = subprocess.run(
        ["cargo", "run", "--release", "--locked", "--quiet", "--", "run", "manifests/quickstart"]
        + ["--out", str(runs), "--output", "json"],
        check=True,
        stdout=subprocess.PIPE,
    )
    episodes = json.loads(again.stdout)
    assert (episodes["apiVersion"], episodes["kind"]) == ("v1", "List"), episodes["kind"]
    worked_on = sorted(item["spec"]["taskRef"]["name"] for item in episodes["items"])
    assert worked_on == sorted(TASKS), worked_on
    for episode in episodes["items"]:
        check(episode, runs / episode["metadata"]["name"])


def check(episode: dict, run: pathlib.Path) -> None:
    name, status = episode["metadata"]["name"], episode["status"]
    assert status["phase"] == "Completed", (name, status)
    assert status["outcome"] == "AgentFinished", (name, status)

    lines = [json.loads(line) for line in (run / "trajectory.jsonl").read_text().splitlines()]
    header, steps = lines[0], lines[1:]
    assert header["type"] == "header" and header["seed"] == 7, header
    executed = [step for step in steps if step["action"] == "execute_code"]
    first = executed[0]["reply"]["observation"]
    assert first["action_status"] == "FAILED", (name, first)
    assert first["error"]["error_type"] == TASKS[episode["spec"]["taskRef"]["name"]], (name, first["error"])
    failed = [step["step"] for step in steps if step["reply"]["observation"]["action_status"] == "FAILED"]
    assert failed == [executed[0]["step"]], f"{name}: steps that failed: {failed}"
    assert not any("/private" in json.dumps(step["reply"]) for step in steps), f"{name}: a private path was shown"
    rewards = [step["reply"]["reward"] for step in executed if step.get("grade")]
    assert len(rewards) >= 3, f"{name}: {len(rewards)} graded submissions"
    assert rewards == sorted(set(rewards)), f"{name}: rewards do not rise: {rewards}"
    assert abs(status["reward"] - rewards[-1]) < 1e-12, (name, status["reward"], rewards)
    assert 0 < status["reward"] <= 1, (name, status["reward"])
    assert status["medal"] in ("None", "Bronze", "Silver", "Gold"), (name, status["medal"])
    assert any(layer.startswith("landlock") for layer in status["provenance"]["sandboxLayers"]), (name, status)
    print(f"{name}: rewards {', '.join(f'{reward:.4f}' for reward in rewards)}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
