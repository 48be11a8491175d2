//! Leaderboards: places, HumanRank, medals.

use super::GradeError;
use super::csv::Table;
use super::value::{NotNumber, number, shown};
use crate::api::conditions::Medal;
use crate::api::evaluation::{Direction, EvaluationSpec};
use crate::api::standing::{Place, Standing};

/// The leaderboards of a Task, each sorted best first.
#[derive(Clone, Debug)]
pub struct Boards {
    direction: Direction,
    boards: Vec<Board>,
    /// The board that decides medal and median.
    deciding: usize,
}

#[derive(Clone, Debug)]
struct Board {
    name: String,
    /// Scores, best first; finite, at least one.
    scores: Vec<f64>,
}

impl Boards {
    /// Reads the boards of `spec` from their CSV files. `files` holds `(name, bytes)` for each board, by the name that
    /// the Task gives it. A board that is missing, has no entry, or has an entry that is not a finite number is a
    /// [`GradeError::Task`].
    pub fn read(spec: &EvaluationSpec, files: &[(String, Vec<u8>)]) -> Result<Self, GradeError> {
        let direction = spec.improves();
        let mut boards: Vec<Board> = Vec::new();
        for board in &spec.leaderboards {
            let fault =
                |what: String| GradeError::Task(format!("leaderboard {}: {what}", shown(&board.name)));
            if boards.iter().any(|other| other.name == board.name) {
                return Err(fault("two leaderboards have this name".into()));
            }
            let (_, bytes) = files
                .iter()
                .find(|(name, _)| *name == board.name)
                .ok_or_else(|| fault("its file was not read".into()))?;
            boards.push(Board {
                name: board.name.clone(),
                scores: scores(bytes, direction)
                    .map_err(|what| fault(format!("file {}: {what}", shown(&board.file))))?,
            });
        }
        let deciding = boards
            .iter()
            .position(|board| board.name == "private")
            .unwrap_or(0);
        Ok(Self {
            direction,
            boards,
            deciding,
        })
    }

    /// Places a score. A score that is not a number is worse than every entry.
    pub fn standing(&self, score: f64) -> Standing {
        let places: Vec<Place> = self
            .boards
            .iter()
            .map(|board| Place {
                board: board.name.clone(),
                place: board.place(score, self.direction),
                total: board.scores.len() as u64,
            })
            .collect();
        let ranks: f64 = places
            .iter()
            .map(|place| (place.total + 1 - place.place) as f64 / place.total as f64)
            .sum();
        let deciding = self.boards.get(self.deciding);
        Standing {
            score,
            human_rank: (!places.is_empty()).then(|| ranks / places.len() as f64),
            medal: deciding.map(|board| board.medal(score, self.direction)),
            above_median: deciding.map(|board| self.direction.better(score, board.median())),
            places,
        }
    }
}

impl Board {
    /// 1 + the number of entries that are strictly better.
    fn place(&self, score: f64, direction: Direction) -> u64 {
        // Asked this way round, NaN is behind every entry: it is not as good as any.
        let better = self
            .scores
            .partition_point(|entry| score.is_nan() || direction.better(*entry, score));
        1 + better as u64
    }

    /// The medal of a score that is at least as good as the entry at a medal's last position.
    fn medal(&self, score: f64, direction: Direction) -> Medal {
        let reaches = |position: usize| {
            self.scores
                .get(position - 1)
                .is_some_and(|entry| !score.is_nan() && !direction.better(*entry, score))
        };
        let [gold, silver, bronze] = medal_positions(self.scores.len());
        if reaches(gold) {
            Medal::Gold
        } else if reaches(silver) {
            Medal::Silver
        } else if reaches(bronze) {
            Medal::Bronze
        } else {
            Medal::None
        }
    }

    fn median(&self) -> f64 {
        let at = |index: usize| self.scores.get(index).copied().unwrap_or(f64::NAN);
        let count = self.scores.len();
        if count % 2 == 1 {
            at(count / 2)
        } else {
            at(count / 2 - 1).midpoint(at(count / 2))
        }
    }
}

/// Last positions (from 1) of gold, silver and bronze on a board of `entries`, as mle-bench has them.
///
/// | entries | gold | silver | bronze |
/// |---|---|---|---|
/// | to 99 | 10 % | 20 % | 40 % |
/// | 100 to 249 | 10th | 20 % | 40 % |
/// | 250 to 999 | 10th, and one more for every 500 | 50th | 100th |
/// | from 1,000 | 10th, and one more for every 500 | 5 % | 10 % |
///
/// Shares are rounded down, and are at least one position.
fn medal_positions(entries: usize) -> [usize; 3] {
    let [gold, silver, bronze] = match entries {
        0..=99 => [entries / 10, entries / 5, entries * 2 / 5],
        100..=249 => [10, entries / 5, entries * 2 / 5],
        250..=999 => [10 + entries / 500, 50, 100],
        _ => [10 + entries / 500, entries / 20, entries / 10],
    };
    [gold.max(1), silver.max(1), bronze.max(1)]
}

/// The scores of a board's file, best first: column `score`, else the second column.
fn scores(bytes: &[u8], direction: Direction) -> Result<Vec<f64>, String> {
    let table = Table::open(bytes)?;
    let named = table.header.iter().position(|name| name == "score");
    let at = match named {
        Some(at) => at,
        None if table.header.len() > 1 => 1,
        None => return Err("there is neither a column `score` nor a second column".into()),
    };
    let mut rows = table.rows();
    let mut scores = Vec::new();
    while rows.next()? {
        for column in 0..table.header.len() {
            let cell = rows.field()?;
            if column == at {
                let score = number(&cell.text());
                let what = |why| match why {
                    NotNumber::Blank => "the score is blank".to_owned(),
                    _ => format!("the score {} is not a finite number", shown(&cell.text())),
                };
                scores.push(score.map_err(|why| {
                    format!("row {} (line {}): {}", scores.len() + 1, rows.line(), what(why))
                })?);
            }
        }
    }
    if scores.is_empty() {
        return Err("there is no entry".into());
    }
    scores.sort_unstable_by(f64::total_cmp);
    if direction == Direction::Maximize {
        scores.reverse();
    }
    Ok(scores)
}
