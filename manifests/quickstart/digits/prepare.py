"""Handwritten digits: the 8x8 images that scikit-learn ships, split once and for all.

The leaderboard is no human one: each entry is a plain model of `ladder`, fitted here on the training images and scored
on the test images.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

ID, TARGET = "id", "digit"
TRAIN_ROWS = 900
SEED = 2026


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Fills `public` and `private`. `raw` is not used: the data come with scikit-learn."""
    table = load_table()
    # Neighbours in the source resemble each other, as images of one writer do. A random split would put them on both
    # sides; two blocks do not.
    train, test = table.head(TRAIN_ROWS).sort_values(ID), table.tail(-TRAIN_ROWS).sort_values(ID)

    train.to_csv(public / "train.csv", index=False)
    test.drop(columns=TARGET).to_csv(public / "test.csv", index=False)
    test[[ID]].assign(**{TARGET: 0}).to_csv(public / "sample_submission.csv", index=False)
    test[[ID, TARGET]].to_csv(private / "answers.csv", index=False)

    scores = [accuracy_score(test[TARGET], prediction) for prediction in ladder(train, test)]
    board = pd.DataFrame({"score": sorted(scores, reverse=True)})
    board.insert(0, "rank", np.arange(1, len(board) + 1))
    board.to_csv(private / "leaderboard.csv", index=False)


def load_table() -> pd.DataFrame:
    """All images in the order of the source, each once, under ids that say nothing of that order."""
    images, digits = load_digits(return_X_y=True)
    names = [f"r{row}c{column}" for row in range(8) for column in range(8)]
    table = pd.DataFrame(images.astype(int), columns=names)
    table[TARGET] = digits
    table = table.drop_duplicates(subset=names, ignore_index=True)
    table.insert(0, ID, np.random.default_rng(SEED).permutation(len(table)) + 1)
    return table


def ladder(train: pd.DataFrame, test: pd.DataFrame):
    """Predictions for the test images, from a constant up to support vector machines."""
    pixels = list(train.columns.drop([ID, TARGET]))

    def fit(model, columns=pixels, rows=None):
        part = train.head(rows) if rows else train
        return model.fit(part[columns].to_numpy(), part[TARGET]).predict(test[columns].to_numpy())

    def logistic():
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))

    yield fit(DummyClassifier())
    # Trees that a person could draw, and larger ones.
    for depth in (1, 2, 3, 4, 6, 8, None):
        yield fit(DecisionTreeClassifier(max_depth=depth, random_state=0))
    # A part of the image.
    for row in (1, 3, 5):
        yield fit(logistic(), [f"r{row}c{column}" for column in range(8)])
    yield fit(GaussianNB(), [name for name in pixels if name[1] in "0123"])
    # Few images.
    for rows in (10, 20, 50, 100, 200, 400):
        yield fit(KNeighborsClassifier(1), rows=rows)
    for rows in (50, 200):
        yield fit(logistic(), rows=rows)
    # The whole image.
    yield fit(GaussianNB())
    yield fit(MultinomialNB())
    yield fit(LinearDiscriminantAnalysis())
    yield fit(RidgeClassifier())
    yield fit(logistic())
    for components in (2, 5, 10):
        yield fit(make_pipeline(PCA(components, svd_solver="full"), KNeighborsClassifier(5)))
    yield fit(RandomForestClassifier(10, random_state=0))
    yield fit(RandomForestClassifier(100, random_state=0))
    yield fit(ExtraTreesClassifier(200, random_state=0))
    for k in (1, 5, 25, 100):
        yield fit(KNeighborsClassifier(k))
    yield fit(SVC(kernel="linear"))
    yield fit(SVC(kernel="poly", degree=3))
    yield fit(SVC(gamma=0.001, C=10))
    # Every image also shifted by one pixel each way.
    images = train[pixels].to_numpy().reshape(-1, 8, 8)
    shifts = [images] + [np.roll(images, step, axis) for axis in (1, 2) for step in (-1, 1)]
    more, labels = np.concatenate(shifts).reshape(-1, 64), np.tile(train[TARGET], len(shifts))
    yield KNeighborsClassifier(3).fit(more, labels).predict(test[pixels].to_numpy())
    yield ExtraTreesClassifier(100, random_state=0).fit(more, labels).predict(test[pixels].to_numpy())
    yield SVC(kernel="poly", degree=3).fit(more, labels).predict(test[pixels].to_numpy())
    yield SVC(gamma=0.001, C=10).fit(more, labels).predict(test[pixels].to_numpy())
