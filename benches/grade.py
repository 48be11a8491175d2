"""The job of benches/grade.rs with pandas and scikit-learn: read, check, align by id, score, place.

    grade.py ANSWERS SUBMISSION BOARD METRIC RUNS

METRIC is accuracy, rmse or roc_auc. Prints one JSON object: seconds of each run (interpreter start and imports are not
in them; one run before the first is not counted), score and place.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, roc_auc_score, root_mean_squared_error

METRICS = {"accuracy": accuracy_score, "rmse": root_mean_squared_error, "roc_auc": roc_auc_score}


def grade(answers_file, submission_file, board_file, metric):
    answers = pd.read_csv(answers_file)
    submission = pd.read_csv(submission_file)
    if set(submission.columns) != set(answers.columns):
        raise ValueError("wrong columns")
    if len(submission) != len(answers):
        raise ValueError("wrong number of rows")
    if not submission["id"].is_unique:
        raise ValueError("repeated ids")
    aligned = submission.set_index("id")["target"].reindex(answers["id"])
    predictions = aligned.to_numpy()
    if not np.isfinite(predictions).all():
        raise ValueError("missing ids or values")
    score = METRICS[metric](answers["target"].to_numpy(), predictions)
    board = pd.read_csv(board_file)["score"].to_numpy()
    better = board < score if metric == "rmse" else board > score
    return float(score), 1 + int(better.sum())


def main():
    *files, metric, runs = sys.argv[1:]
    seconds = []
    for _ in range(int(runs) + 1):
        start = time.perf_counter()
        score, place = grade(*files, metric)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds[1:], "score": score, "place": place}))


if __name__ == "__main__":
    main()
