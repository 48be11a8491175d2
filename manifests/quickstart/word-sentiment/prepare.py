"""Word sentiment: the lexicon of the vaderSentiment package, in which ten people rated each of 7,500 tokens.

There are two leaderboards. `humans` holds single human ratings: entry k is column k of the ten against the mean of the
other nine, on the test tokens. (A column need not be one person throughout.) `baselines` holds plain models of
`ladder`, fitted here on the training tokens and scored on the test tokens.
"""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor

ID, TOKEN, TARGET = "id", "token", "sentiment"
RATERS = 10
TEST_SHARE = 0.3
SEED = 1

# Beginnings of words that anybody would call good or bad, the plainest first; for the baselines that know some English.
GOOD = """love happ good joy best great win friend smil beaut nice hope peace kind fun sweet hero thank laugh brave
care trust honest gift safe free rich calm strong perfect""".split()
BAD = """hate kill bad death sad worst evil war hurt cry pain anger fear sick lie fail los murder ugly stupid
cruel thief poison poor guilt violen terror destr shame disast""".split()


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Fills `public` and `private`. `raw` is not used: the data come with vaderSentiment."""
    tokens, ratings = load_lexicon()
    held_out = in_test(families_of(tokens))
    ids = np.random.default_rng(SEED).permutation(len(tokens)) + 1

    table = pd.DataFrame({ID: ids, TOKEN: tokens, TARGET: ratings.mean(axis=1).round(1)})
    train, test = table[~held_out].sort_values(ID), table[held_out].sort_values(ID)
    train.to_csv(public / "train.csv", index=False)
    test.drop(columns=TARGET).to_csv(public / "test.csv", index=False)
    test[[ID]].assign(**{TARGET: 0.0}).to_csv(public / "sample_submission.csv", index=False)
    test[[ID, TARGET]].to_csv(private / "answers.csv", index=False)

    humans = ratings[held_out]
    others = (humans.sum(axis=1, keepdims=True) - humans) / (RATERS - 1)
    write_board(private / "leaderboard_humans.csv", [pearson(humans[:, k], others[:, k]) for k in range(RATERS)])
    write_board(private / "leaderboard_baselines.csv", [pearson(guess, test[TARGET]) for guess in ladder(train, test)])


def load_lexicon() -> tuple[list[str], np.ndarray]:
    """Tokens and their ratings, one row of ten (-4 to 4) for each. Tokens that are listed twice are left out."""
    # Found without importing it: the package itself is not needed, only the file in it.
    folder = Path(find_spec("vaderSentiment").submodule_search_locations[0])
    lines = (folder / "vader_lexicon.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    listed = pd.Series([row[0] for row in rows])
    once = ~listed.duplicated(keep=False)
    ratings = np.array([ast.literal_eval(row[3]) for row in rows], dtype=float)
    return list(listed[once]), ratings[once.to_numpy()]


def families_of(tokens: list[str]) -> np.ndarray:
    """The family of each token: words that begin alike, such as `hope` and `hopeful`; faces such as `:)` and `(-:`."""
    words = [re.sub(r"[^a-z]", "", token.lower()) for token in tokens]
    # A short word, its final e dropped, takes in every word that it begins; else the first four letters decide.
    roots = {word for word in (re.sub(r"^(.{3})e$", r"\1", word) for word in words) if len(word) == 3}

    def family(token: str, word: str) -> str:
        if len(word) >= 3:
            return word[:3] if word[:3] in roots else word[:4]
        # An emoticon: its characters without the nose, whichever way it looks.
        face = re.sub(r"[-^']", "", token.lower()).translate(str.maketrans("([{<", ")]}>"))
        return "".join(sorted(set(face)))

    return np.array([family(token, word) for token, word in zip(tokens, words)])


def in_test(families: np.ndarray) -> np.ndarray:
    """Marks whole families, drawn at random, until they hold the test share of all tokens."""
    names = np.unique(families)
    np.random.default_rng(SEED).shuffle(names)
    sizes = pd.Series(families).value_counts()
    before = sizes[names].cumsum() - sizes[names]
    return np.isin(families, names[(before < TEST_SHARE * len(families)).to_numpy()])


def ladder(train: pd.DataFrame, test: pd.DataFrame):
    """Guesses for the test tokens, from one property up to letters and a few known words."""

    def fit(model, rows=None):
        part = train.head(rows) if rows else train
        return model.fit(part[TOKEN], part[TARGET]).predict(test[TOKEN])

    def known(count):
        good, bad = tuple(GOOD[:count]), tuple(BAD[:count])
        starts = test[TOKEN].str.lower().str.startswith
        return starts(good).astype(float) - starts(bad).astype(float)

    def letters(low, high):
        return TfidfVectorizer(analyzer="char_wb", ngram_range=(low, high), sublinear_tf=True)

    # One property of the token.
    yield test[TOKEN].str.len()
    yield -test[TOKEN].str.len()
    yield test[TOKEN].str.contains(r"[aeiou]$")
    yield test[TOKEN].str.contains(r"[^a-z]")
    for beginning in ("un", "dis", "s", "h"):
        yield -test[TOKEN].str.startswith(beginning).astype(float)
    for ending in ("less", "ly", "ed", "s"):
        yield -test[TOKEN].str.endswith(ending).astype(float)
    # Single letters and the beginnings of words.
    yield fit(make_pipeline(CountVectorizer(analyzer="char", binary=True), Ridge(10.0)))
    for length in (1, 2, 3):
        start = CountVectorizer(analyzer=lambda token, n=length: [token[:n]])
        yield fit(make_pipeline(start, Ridge(3.0)))
    # Runs of letters: few tokens, then all.
    for rows in (50, 200, 800, 2000):
        yield fit(make_pipeline(letters(1, 3), Ridge(1.0)), rows)
    yield fit(make_pipeline(letters(2, 3), DecisionTreeRegressor(max_depth=3, random_state=0)))
    yield fit(make_pipeline(letters(2, 3), DecisionTreeRegressor(max_depth=8, random_state=0)))
    for k in (1, 5, 40):
        yield fit(make_pipeline(letters(1, 3), KNeighborsRegressor(k, metric="cosine")))
    yield fit(make_pipeline(letters(2, 2), Ridge(1.0)))
    yield fit(make_pipeline(letters(2, 6), Ridge(1.0)))
    learned = fit(make_pipeline(letters(1, 3), Ridge(1.0)))
    yield learned
    # A few words known by heart, alone and together with the letters.
    for count in (2, 5, 10, 20, 30):
        yield known(count)
        yield learned + known(count)


def pearson(guess, truth) -> float:
    return float(np.corrcoef(np.asarray(guess, dtype=float), np.asarray(truth, dtype=float))[0, 1])


def write_board(file: Path, scores: list[float]) -> None:
    # Further digits depend on the number of threads that computed them.
    board = pd.DataFrame({"score": sorted(np.round(scores, 6), reverse=True)})
    board.insert(0, "rank", np.arange(1, len(board) + 1))
    board.to_csv(file, index=False)
