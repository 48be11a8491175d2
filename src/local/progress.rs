//! Progress for people: a line for each episode on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where progress is shown: standard error.
#[derive(Clone, Debug)]
pub struct Progress {
    bars: Option<MultiProgress>,
    width: usize,
}

/// The line of one episode or one preparation.
#[derive(Clone, Debug)]
pub struct Line {
    name: String,
    bar: Option<ProgressBar>,
    /// What was said last: a plain line is not printed twice.
    said: Arc<Mutex<String>>,
}

impl Progress {
    /// Bars on a terminal, plain lines otherwise. `names` are those of all lines to come, for alignment.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self {
            bars: std::io::stderr().is_terminal().then(MultiProgress::new),
            width: names.map(|name| name.chars().count()).max().unwrap_or(0),
        }
    }

    /// Adds a line.
    pub fn line(&self, name: &str) -> Line {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style());
            bar.set_prefix(format!("{name:<width$}", width = self.width));
            bar
        });
        Line {
            name: name.to_owned(),
            bar,
            said: Arc::default(),
        }
    }

    /// Says something that stays on the screen.
    pub fn say(&self, text: &str) {
        match &self.bars {
            // A terminal that is gone has no reader.
            Some(bars) => drop(bars.println(text)),
            None => eprintln!("{text}"),
        }
    }

    /// Leaves the screen to what comes after, the lines of episodes as they are.
    pub fn finish(&self) {
        if let Some(bars) = &self.bars {
            drop(bars.clear());
        }
    }
}

fn style() -> ProgressStyle {
    // The template is fixed text: one that cannot be parsed would fail in every test.
    ProgressStyle::with_template("{spinner} {prefix}  {wide_msg} {elapsed:>5}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

impl Line {
    /// Says where it stands.
    pub fn say(&self, text: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said == text {
            return;
        }
        text.clone_into(&mut said);
        match &self.bar {
            Some(bar) => {
                bar.enable_steady_tick(Duration::from_millis(120));
                bar.set_message(text.to_owned());
            }
            None => eprintln!("{}: {text}", self.name),
        }
    }

    /// Shows a detail that is gone with the next one; nothing on anything but a terminal.
    pub fn detail(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Says how it ended; the line stays.
    pub fn end(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.finish_with_message(text.to_owned()),
            None => self.say(text),
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
