"""Carbon dioxide at Mauna Loa: the weekly series that statsmodels ships, its last six years held out.

The leaderboard is no human one: each entry is a plain forecast of `ladder`, fitted here on the training weeks and
scored on the test weeks.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor
from statsmodels.datasets import co2
from statsmodels.tsa.holtwinters import ExponentialSmoothing

ID, DATE, TARGET = "id", "date", "co2"
FIRST_TEST_DAY = pd.Timestamp("1996-01-01")
YEAR = 365.2425  # days


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Fills `public` and `private`. `raw` is not used: the data come with statsmodels."""
    series = co2.load_pandas().data[TARGET].round(1)
    table = series.rename_axis(DATE).reset_index()
    train = table[table[DATE] < FIRST_TEST_DAY]  # weeks without a measurement stay, empty: they are part of the work
    test = table[table[DATE] >= FIRST_TEST_DAY].dropna().reset_index(drop=True)
    test.insert(0, ID, np.arange(1, len(test) + 1))  # in order of time, which the dates tell anyway

    train.to_csv(public / "train.csv", index=False)
    test.drop(columns=TARGET).to_csv(public / "test.csv", index=False)
    test[[ID]].assign(**{TARGET: 330.0}).to_csv(public / "sample_submission.csv", index=False)
    test[[ID, TARGET]].to_csv(private / "answers.csv", index=False)

    known = train.set_index(DATE)[TARGET]
    scores = [
        float(np.sqrt(np.mean((np.asarray(forecast) - test[TARGET].to_numpy()) ** 2)))
        for forecast in ladder(known, pd.DatetimeIndex(test[DATE]))
    ]
    board = pd.DataFrame({"score": sorted(scores)})
    board.insert(0, "rank", np.arange(1, len(board) + 1))
    board.to_csv(private / "leaderboard.csv", index=False)


def ladder(known: pd.Series, when: pd.DatetimeIndex):
    """Forecasts for the days `when`, from constants up to curves with a yearly wave."""
    measured = known.dropna()
    last_year = measured[-52:]
    ahead = years(when) - years(measured.index[-1:])
    growth = {span: (last_year.mean() - measured[-52 * (span + 1) : -52 * span].mean()) / span for span in (1, 5, 20)}
    week_of_year = last_year.groupby(last_year.index.isocalendar().week).mean()
    same_week = when.isocalendar().week.clip(upper=52).map(week_of_year).to_numpy()
    # The level of the last year belongs to its middle, half a year before the last week.
    since_middle = np.floor(years(when)) - np.floor(years(last_year.index[25:26]))

    # No trend.
    yield np.full(len(when), measured.mean())
    yield np.full(len(when), measured[-520:].mean())
    yield np.full(len(when), last_year.mean())
    yield np.full(len(when), measured.iloc[-1])
    yield same_week
    # Learners that cannot leave the range they have seen.
    features, targets = calendar(measured.index), measured.to_numpy()
    yield KNeighborsRegressor(10).fit(features, targets).predict(calendar(when))
    yield RandomForestRegressor(50, random_state=0).fit(features, targets).predict(calendar(when))
    # Growth per year added to the last year.
    for span in growth:
        yield last_year.mean() + growth[span] * (ahead + 0.5)
        yield same_week + growth[span] * since_middle
    # Curves, with 0 to 3 waves a year, over all or the later years.
    for first_year, degree, waves in (
        (1958, 1, 0),
        (1970, 1, 0),
        (1980, 1, 0),
        (1990, 1, 0),
        (1958, 1, 1),
        (1970, 1, 2),
        (1985, 1, 2),
        (1990, 1, 2),
        (1958, 2, 0),
        (1970, 2, 0),
        (1985, 2, 0),
        (1958, 2, 1),
        (1958, 2, 3),
        (1965, 2, 1),
        (1970, 2, 2),
        (1980, 2, 2),
        (1985, 2, 2),
        (1958, 3, 2),
        (1970, 3, 2),
    ):
        yield curve(measured[measured.index.year >= first_year], when, degree, waves)
    # A curve set to the level of the last year.
    for first_year, degree, waves in ((1958, 1, 2), (1958, 2, 0), (1958, 2, 1), (1965, 2, 3), (1970, 2, 2)):
        yield curve(measured[measured.index.year >= first_year], when, degree, waves, anchored=True)
    # Exponential smoothing of the monthly means.
    months = known.resample("MS").mean().interpolate()
    for trend, damped in ((None, False), ("add", False), ("add", True)):
        model = ExponentialSmoothing(months, trend=trend, damped_trend=damped, seasonal="add", seasonal_periods=12)
        monthly = model.fit().forecast(12 * (when[-1].year - months.index[-1].year))
        yield monthly.reindex(when.to_period("M").to_timestamp()).to_numpy()


def years(when: pd.DatetimeIndex) -> np.ndarray:
    """Time in years since 1980."""
    return np.asarray((when - pd.Timestamp("1980-01-01")).days) / YEAR


def calendar(when: pd.DatetimeIndex) -> np.ndarray:
    """Time and season as a learner of tables would be given them."""
    return np.column_stack([years(when), years(when) % 1])


def curve(known: pd.Series, when: pd.DatetimeIndex, degree: int, waves: int, anchored: bool = False) -> np.ndarray:
    """A polynomial in time plus waves of a year, half a year and so on, by least squares."""

    def terms(days: pd.DatetimeIndex) -> np.ndarray:
        t = years(days)
        powers = [(t / 10) ** power for power in range(degree + 1)]
        seasons = [wave(2 * np.pi * k * t) for k in range(1, waves + 1) for wave in (np.sin, np.cos)]
        return np.column_stack(powers + seasons)

    weights, *_ = np.linalg.lstsq(terms(known.index), known.to_numpy(), rcond=None)
    forecast = terms(when) @ weights
    if anchored:
        forecast += (known - terms(known.index) @ weights)[-52:].mean()
    return forecast
