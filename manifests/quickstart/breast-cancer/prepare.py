"""Breast cancer diagnosis: the Wisconsin data that scikit-learn ships, split once and for all.

The leaderboard is no human one: each entry is a plain model of `ladder`, fitted here on the training rows and scored
on the test rows.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

ID, TARGET = "id", "malignant"
TEST_ROWS = 269
SEED = 2026


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Fills `public` and `private`. `raw` is not used: the data come with scikit-learn."""
    table = load_table()
    train, test = train_test_split(table, test_size=TEST_ROWS, random_state=SEED, stratify=table[TARGET])
    train, test = train.sort_values(ID), test.sort_values(ID)

    train.to_csv(public / "train.csv", index=False)
    test.drop(columns=TARGET).to_csv(public / "test.csv", index=False)
    test[[ID]].assign(**{TARGET: 0.5}).to_csv(public / "sample_submission.csv", index=False)
    test[[ID, TARGET]].to_csv(private / "answers.csv", index=False)

    # The ladder reads the files back, so that it works on exactly the numbers that an agent reads.
    train, test = pd.read_csv(public / "train.csv"), pd.read_csv(public / "test.csv")
    answers = pd.read_csv(private / "answers.csv")[TARGET]
    scores = [roc_auc_score(answers, prediction) for prediction in ladder(train, test)]
    board = pd.DataFrame({"score": sorted(scores, reverse=True)})
    board.insert(0, "rank", np.arange(1, len(board) + 1))
    board.to_csv(private / "leaderboard.csv", index=False)


def load_table() -> pd.DataFrame:
    """All samples, each once, under ids that say nothing of their order in the source."""
    source = load_breast_cancer(as_frame=True)
    table = source.data.rename(columns=lambda name: name.replace(" ", "_"))
    table[TARGET] = (source.target == list(source.target_names).index("malignant")).astype(int)
    table = table.drop_duplicates(subset=table.columns.drop(TARGET), ignore_index=True)
    table.insert(0, ID, np.random.default_rng(SEED).permutation(len(table)) + 1)
    return table


def ladder(train: pd.DataFrame, test: pd.DataFrame):
    """Predictions for the test rows, from a constant up to support vector machines."""
    features = list(train.columns.drop([ID, TARGET]))

    def fit(model, columns=features, rows=None):
        part = train.head(rows) if rows else train
        return model.fit(part[columns], part[TARGET]).predict_proba(test[columns])[:, 1]

    def logistic(c=1.0):
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000))

    def neighbours(k):
        return make_pipeline(StandardScaler(), KNeighborsClassifier(k))

    yield fit(DummyClassifier())
    # One measurement alone.
    for name in ("smoothness", "symmetry", "texture", "compactness", "radius", "concave_points"):
        yield fit(logistic(), [f"mean_{name}"])
    for name in ("texture_error", "area_error", "worst_texture", "worst_area"):
        yield fit(logistic(), [name])
    # Trees that a person could draw.
    for depth in (1, 2, 3, 4, None):
        yield fit(DecisionTreeClassifier(max_depth=depth, random_state=0))
    # Few rows.
    yield fit(GaussianNB(), rows=10)
    yield fit(neighbours(1), rows=10)
    yield fit(logistic(), rows=20)
    yield fit(neighbours(5), rows=40)
    # One family of measurements: the mean over the nuclei of a sample, its standard error, the worst three nuclei.
    for family in ("mean", "error", "worst"):
        columns = [name for name in features if family in name.split("_")]
        yield fit(GaussianNB(), columns)
        yield fit(logistic(), columns)
    # Everything.
    yield fit(KNeighborsClassifier(1))
    yield fit(KNeighborsClassifier(15))
    yield fit(neighbours(1))
    yield fit(neighbours(5))
    yield fit(neighbours(25))
    yield fit(GaussianNB())
    yield fit(QuadraticDiscriminantAnalysis(reg_param=0.1))
    yield fit(LinearDiscriminantAnalysis())
    yield fit(make_pipeline(StandardScaler(), PCA(2), LogisticRegression()))
    yield fit(make_pipeline(StandardScaler(), PCA(8), LogisticRegression()))
    yield fit(RandomForestClassifier(10, random_state=0))
    yield fit(RandomForestClassifier(100, random_state=0))
    yield fit(ExtraTreesClassifier(200, random_state=0))
    for c in (0.01, 0.1, 1.0, 100.0):
        yield fit(logistic(c))
    yield fit(make_pipeline(PowerTransformer(), LogisticRegression(C=0.02, max_iter=5000)))
    for scaler, c in ((StandardScaler(), 2.0), (PowerTransformer(), 0.5), (PowerTransformer(), 2.0)):
        machine = make_pipeline(scaler, SVC(C=c)).fit(train[features], train[TARGET])
        yield machine.decision_function(test[features])
