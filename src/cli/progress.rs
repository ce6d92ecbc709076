//! How far a run is: bars with the time left on a terminal, plain lines elsewhere; always on standard error.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::percent;
use crate::run::{Progress, TrialRecord};

/// Shows what a run tells.
pub(super) struct Screen {
    bar: Option<ProgressBar>,
    terminal: bool,
    /// The last step shown as a line, in tenths of its stage.
    tenth: usize,
}

impl Screen {
    pub fn new() -> Self {
        Screen { bar: None, terminal: std::io::stderr().is_terminal(), tenth: 0 }
    }

    pub fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Stage(name) => {
                self.finish();
                self.tenth = 0;
                self.line(name);
            }
            Progress::Note(text) => self.line(&format!("  {text}")),
            Progress::Warning(text) => self.line(&format!("warning: {text}")),
            Progress::Trial(trial, done, of) => {
                self.line(&trial_line(trial, of));
                self.advance("training candidates", done, of);
            }
            Progress::Step(name, done, of) => {
                if !self.terminal && done * 10 / of.max(1) > self.tenth {
                    self.tenth = done * 10 / of.max(1);
                    eprintln!("  {name}: {done} of {of}");
                }
                self.advance(name, done, of);
            }
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    fn advance(&mut self, name: &str, done: usize, of: usize) {
        if !self.terminal {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}, {eta} left")
                .expect("the template is well formed");
            ProgressBar::new(of as u64).with_style(style)
        });
        bar.set_length(of as u64);
        bar.set_message(name.to_string());
        bar.set_position(done as u64);
    }
}

/// Shows how much of a file has arrived.
pub(super) struct Transfer {
    bar: ProgressBar,
}

impl Transfer {
    pub fn new() -> Self {
        // Hidden by itself where nobody watches.
        let style =
            ProgressStyle::with_template("  {msg} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
                .expect("the template is well formed");
        Transfer { bar: ProgressBar::no_length().with_style(style) }
    }

    /// So many bytes of a file are there.
    pub fn advance(&self, file: &str, done: u64, of: Option<u64>) {
        self.bar.set_message(file.to_string());
        match of {
            Some(of) => self.bar.set_length(of),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(done);
    }

    /// A line above the bar, or alone where there is none.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
        self.bar.reset();
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn trial_line(trial: &TrialRecord, of: usize) -> String {
    let outcome = match (trial.validation_accuracy, &trial.failure) {
        (Some(accuracy), _) => percent(accuracy),
        (None, failure) => failure.clone().unwrap_or_default(),
    };
    let expected = trial.predicted_accuracy.map_or(String::new(), |p| format!(", expected {}", percent(p)));
    format!("  {:>3}/{of} {} {outcome}{expected} ({:.1} s)", trial.index + 1, trial.genotype, trial.seconds)
}
