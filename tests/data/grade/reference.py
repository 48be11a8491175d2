"""Golden cases of grading, from scikit-learn and SciPy.

    reference.py           writes golden.json
    reference.py --check   recomputes every score of golden.json live, then lets the `dojo` binary grade those cases and
                           others that are not in the file (DOJO_BIN or --bin; default target/debug/dojo)

A case is two CSV texts and the score that the reference gives; everything must agree within 1e-9, relative.
"""

import argparse
import csv
import io
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings
from fractions import Fraction

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden.json"
TOLERANCE = 1e-9
SEEDS = range(6)
# Seeds that golden.json has not seen: only the binary meets them.
FRESH_SEEDS = range(100, 104)


# --- cases -----------------------------------------------------------------------------------------------------------


def text(value):
    """A value as a program writes it: floats with as many digits as they need."""
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)


def table(names, columns, ids=None, order=None):
    """A CSV text; `order` permutes the rows."""
    rows = list(zip(*columns, strict=True))
    order = range(len(rows)) if order is None else order
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((["id"] if ids is not None else []) + names)
    for row in order:
        writer.writerow(([ids[row]] if ids is not None else []) + [text(value) for value in rows[row]])
    return out.getvalue()


def case(name, metric, rng, names, truth, predictions):
    """One case; every other one has ids, and its submission another order."""
    ids = order = None
    if rng.integers(2):
        prefix = rng.choice(["", "row_"])
        ids = [f"{prefix}{i}" for i in rng.permutation(len(truth[0]))]
        order = rng.permutation(len(ids))
    return {
        "name": name,
        "metric": metric,
        "ids": ids is not None,
        "answers": table(names, truth, ids),
        "submission": table(names, predictions, ids, order),
    }


def both_classes(rng, n):
    truth = rng.integers(2, size=n)
    truth[:2] = [0, 1]
    return truth


def cases(seeds):
    for seed in seeds:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(12, 40))
        noise = rng.normal(size=n)

        def one(kind, metric, truth, predictions):
            return case(f"{kind} {seed}", metric, rng, ["target"], [truth], [predictions])

        def many(kind, metric, truth, predictions):
            names = [f"c{i}" for i in range(len(truth))]
            return case(f"{kind} {seed}", metric, rng, names, truth, predictions)

        def mixed(truth, wrong):
            return np.where(rng.random(n) < 0.7, truth, wrong)

        # Accuracy: labels as whole numbers, as numbers of another notation, as texts, as truth values, several.
        labels = rng.integers(4, size=n)
        yield one("labels", "Accuracy", labels, mixed(labels, rng.integers(4, size=n)))
        yield one("labels as fractions", "Accuracy", labels, mixed(labels, rng.integers(4, size=n)).astype(float))
        words = np.array(["cat", "dog", 'a "quoted", word', "été"])
        yield one("words", "Accuracy", words[labels], words[mixed(labels, rng.integers(4, size=n))])
        flags = rng.integers(2, size=n).astype(bool)
        yield one("flags", "Accuracy", flags, mixed(flags, ~flags))
        several = list(rng.integers(2, size=(3, n)))
        yield many("several labels", "Accuracy", several, [mixed(column, 1 - column) for column in several])

        # ROC AUC: plain, ties, all tied, extremes, texts as classes, several columns.
        truth = both_classes(rng, n)
        yield one("scores", "RocAuc", truth, truth + 1.5 * noise)
        yield one("tied scores", "RocAuc", truth, np.round(truth + noise))
        yield one("equal scores", "RocAuc", truth, np.full(n, 0.5))
        yield one("extreme scores", "RocAuc", truth, rng.choice([-1e300, -1e-300, -0.0, 0.0, 5e-324, 1e-300, 1e300], n))
        yield one("word classes", "RocAuc", np.array(["ham", "spam"])[truth], truth + noise)
        columns = [both_classes(rng, n) for _ in range(3)]
        yield many("several classes", "RocAuc", columns, [column + rng.normal(size=n) for column in columns])

        # Log loss: plain, certain and wrong, tiny probabilities, several classes, and those not adding up to 1.
        yield one("probabilities", "LogLoss", truth, rng.random(n))
        yield one("certain", "LogLoss", truth, mixed(truth, 1 - truth).astype(float))
        yield one("tiny", "LogLoss", truth, rng.choice([0.0, 5e-324, 1e-300, 1e-17, 1e-16, 1 - 1e-16, 1.0, 0.5], n))
        classes = rng.integers(4, size=n)
        one_hot = list(np.eye(4, dtype=int)[classes].T)
        probabilities = rng.dirichlet(np.ones(4), size=n)
        yield many("class probabilities", "LogLoss", one_hot, list(probabilities.T))
        yield many("class weights", "LogLoss", one_hot, list(rng.random((n, 4)).T))
        yield many("certain classes", "LogLoss", one_hot, list(np.eye(4)[mixed(classes, 0)].T))

        # Errors: plain, exact, far away, nearly nothing, several columns.
        target = 10 * rng.normal(size=n)
        for metric in ["Rmse", "Mae"]:
            yield one("errors", metric, target, target + noise)
            yield one("no errors", metric, target, target)
            yield one("large offset", metric, target + 1e9, target + 1e9 + noise)
            yield one("huge", metric, target * 1e299, (target + noise) * 1e299)
            yield one("minute", metric, target * 1e-299, (target + noise) * 1e-299)
            yield many("several targets", metric, [target, noise], [target + noise, 3 * target])

        # Correlations: plain, ties, opposite, extremes.
        for metric in ["Pearson", "Spearman"]:
            yield one("related", metric, target, target + 5 * noise)
            yield one("tied", metric, np.round(target / 5), np.round((target + noise) / 5))
            yield one("same", metric, target, 3 * target + 1)
            yield one("opposite", metric, target, -target)
            yield one("huge values", metric, target * 1e298, (target + noise) * 1e298)
            yield one("minute values", metric, target * 1e-300, (target + noise) * 1e-300)
            yield one("one outlier", metric, target, np.where(np.arange(n) == 3, 1e12, noise))


# --- the reference ---------------------------------------------------------------------------------------------------


def read(case):
    """Columns of answers and submission, rows aligned, as lists of texts."""

    def rows(text):
        header, *rows = csv.reader(io.StringIO(text))
        return header, rows

    header, answers = rows(case["answers"])
    _, submission = rows(case["submission"])
    if case["ids"]:
        by_id = {row[0]: row for row in submission}
        submission = [by_id[row[0]] for row in answers]
        header = header[1:]
        answers = [row[1:] for row in answers]
        submission = [row[1:] for row in submission]
    return list(zip(*answers)), list(zip(*submission))


def typed(column):
    """Numbers where every text is one, truth values where every text is one, else texts."""
    try:
        return np.array([float(value) for value in column])
    except ValueError:
        if set(column) <= {"True", "False"}:
            return np.array([value == "True" for value in column])
        return np.array(column)


def exact_rmse(truth, predictions):
    """RMSE without a range: where squares leave that of 64-bit numbers, scikit-learn gives infinity or 0."""

    def column(truth, predictions):
        mean = sum((Fraction(t) - Fraction(p)) ** 2 for t, p in zip(truth, predictions)) / len(truth)
        # A rational root to far more digits than are compared, with the exponent taken out first.
        shift = 10**700
        return float(Fraction(math.isqrt(int(mean * shift * shift)), shift))

    return float(np.mean([column(t, p) for t, p in zip(truth, predictions)]))


def reference(case):
    truth, predictions = read(case)
    truth = [typed(column) for column in truth]
    predictions = [typed(column) for column in predictions]
    single = len(truth) == 1
    y, p = (truth[0], predictions[0]) if single else (np.array(truth).T, np.array(predictions).T)
    match case["metric"]:
        case "Accuracy":
            return accuracy_score(y if single else y.astype(int), p if single else p.astype(int))
        case "RocAuc":
            return roc_auc_score(y, p, average="macro")
        case "LogLoss":
            return log_loss(y, p) if single else log_loss(y.astype(int), p / p.sum(axis=1, keepdims=True))
        case "Rmse":
            errors = np.abs(y - p)
            if errors.max() > 1e150 or 0 < errors.max() < 1e-150:
                return exact_rmse(truth, predictions)
            return root_mean_squared_error(y, p)
        case "Mae":
            return mean_absolute_error(y, p)
        case "Pearson":
            return pearsonr(y, p).statistic
        case "Spearman":
            return spearmanr(y, p).statistic


def scored(cases):
    return [{**case, "score": float(reference(case))} for case in cases]


# --- comparing -------------------------------------------------------------------------------------------------------


def close(a, b):
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= TOLERANCE * max(abs(a), abs(b))


def dojo_score(binary, case, folder):
    """The score that the binary prints for a case."""
    submission = {"idColumn": "id"} if case["ids"] else {}
    task = {
        "apiVersion": "mledojo.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"name": "reference"},
        "spec": {
            "title": "Reference",
            "description": "A case of the reference.",
            "domain": "Other",
            "data": {"path": "."},
            "environment": {"image": "none"},
            "evaluation": {
                "metric": {"builtin": case["metric"]},
                "submission": submission,
                "reward": "Score",
                "stepReward": "Score",
            },
        },
    }
    files = {"task.yaml": json.dumps(task), "answers.csv": case["answers"], "submission.csv": case["submission"]}
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8", newline="")
    command = [binary, "grade", "--task", folder / "task.yaml", "--private", folder, "-o", "json"]
    command += ["--submission", folder / "submission.csv"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{case['name']} ({case['metric']}): exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)["score"]


def check(binary):
    wrong = []

    def compare(what, case, found, expected):
        if not close(found, expected):
            wrong.append(f"{what}: {case['name']} ({case['metric']}): {found!r}, and the reference has {expected!r}")

    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for case in golden:
        compare("golden.json", case, case["score"], reference(case))
    live = golden + scored(cases(FRESH_SEEDS))
    with tempfile.TemporaryDirectory() as folder:
        for case in live:
            compare("dojo grade", case, dojo_score(binary, case, pathlib.Path(folder)), case["score"])
    print(f"golden.json: {len(golden)} scores recomputed; dojo grade: {len(live)} cases; {len(wrong)} differ by more than {TOLERANCE}")
    return wrong


def main():
    root = HERE.parents[2]
    target = os.environ.get("CARGO_TARGET_DIR", root / "target")
    default = os.environ.get("DOJO_BIN", pathlib.Path(target) / "debug" / "dojo")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--bin", default=default, help="the dojo binary")
    arguments = parser.parse_args()
    # The extreme cases warn of overflow and of constant input on purpose.
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    if arguments.check:
        if not pathlib.Path(arguments.bin).exists():
            raise SystemExit(f"{arguments.bin} does not exist: run `cargo build` first, or name the binary by DOJO_BIN")
        wrong = check(arguments.bin)
        print("\n".join(wrong[:20]))
        sys.exit(1 if wrong else 0)
    golden = scored(cases(SEEDS))
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in golden)
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{GOLDEN}: {len(golden)} cases")


if __name__ == "__main__":
    main()
