//! What the runs of a round do, and what each must have said in the end: a random list of instructions for the guest
//! `journey`, and the text of an undisturbed run of it. The provider answers by the same function.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::chance::Chance;
use crate::provider::{Answer, How};

/// What organizations know: a word that nothing else has, and the title it is found under.
pub const TOPICS: [(&str, &str); 3] = [
    ("quagga", "Striped animals"),
    ("zephyr", "Winds"),
    ("obsidian", "Stones"),
];

/// A run to be.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its number in the round; every question carries it.
    pub number: usize,
    pub instructions: String,
    says: Vec<Piece>,
    pub questions: Vec<String>,
}

#[derive(Clone, Debug)]
enum Piece {
    Exactly(String),
    /// A hexadecimal number and a blank.
    Dice,
    /// A decimal number and a blank.
    Clock,
}

impl Script {
    /// `length` instructions between a first word and a last one.
    pub fn draw(number: usize, length: u64, chance: &mut Chance) -> Self {
        let mut script = Self {
            number,
            instructions: String::new(),
            says: Vec::new(),
            questions: Vec::new(),
        };
        script.say(&format!("begin{number} "));
        for step in 0..length {
            script.step(step, chance);
        }
        script.say(&format!("end{number}"));
        script
    }

    /// One that says a word, sleeps and says another.
    pub fn sleeper(number: usize, sleep: Duration) -> Self {
        let mut script = Self::draw(number, 0, &mut Chance::new(0));
        let sleep = format!("\nsleep {}\nsay end", sleep.as_millis());
        script.instructions = script.instructions.replace("\nsay end", &sleep);
        script
    }

    fn step(&mut self, step: u64, chance: &mut Chance) {
        match chance.between(0, 12) {
            0 | 1 => self.say(&format!("s{step} ")),
            2..=4 => {
                let question = format!("run {} step {step}, what?", self.number);
                self.line(&format!("ask {question}"));
                self.says.push(Piece::Exactly(answer(&question).concat()));
                self.questions.push(question);
            }
            5 => {
                let (word, title) = TOPICS[chance.index(TOPICS.len())];
                self.line(&format!("search {word}"));
                self.says.push(Piece::Exactly(format!("[{title}]")));
            }
            6 => self.line(&format!("sleep {}", chance.between(10, 250))),
            // Longer than `suspend_after_ms`: it leaves memory.
            7 => self.line(&format!("sleep {}", chance.between(350, 700))),
            8 => {
                self.line("dice");
                self.says.push(Piece::Dice);
            }
            9 => {
                self.line("clock");
                self.says.push(Piece::Clock);
            }
            10 => self.line(&format!("spin {}", chance.between(1_000, 200_000))),
            // What it keeps, it has from then on, in each of its lives.
            11 => {
                self.line(&format!("remember word w{step}\nrecall word"));
                self.says.push(Piece::Exactly(format!("word=w{step} ")));
            }
            _ => self.line(&format!("tool hammer{step}")),
        }
    }

    fn say(&mut self, text: &str) {
        self.line(&format!("say {text}"));
        self.says.push(Piece::Exactly(text.to_owned()));
    }

    fn line(&mut self, line: &str) {
        if !self.instructions.is_empty() {
            self.instructions.push('\n');
        }
        self.instructions.push_str(line);
    }

    /// Whether a run may have said this: all of it, or, where it was cut short, a beginning.
    pub fn fits(&self, text: &str, whole: bool) -> bool {
        let mut rest = text;
        for piece in &self.says {
            let length = match piece {
                Piece::Exactly(text) if rest.starts_with(text.as_str()) => text.len(),
                Piece::Exactly(text) => return !whole && text.starts_with(rest),
                Piece::Dice => number(rest, |b| b.is_ascii_hexdigit()),
                Piece::Clock => number(rest, |b| b.is_ascii_digit()),
            };
            if length == 0 {
                return !whole && rest.is_empty();
            }
            rest = &rest[length..];
        }
        rest.is_empty()
    }

    /// Tokens that its generations cost, as the provider counts them.
    pub fn tokens(&self) -> (u64, u64) {
        let words = |text: &str| text.split_whitespace().count() as u64;
        let asked = self.questions.iter().map(|question| 3 + words(question));
        let answered = self.questions.iter();
        let answered = answered.map(|question| answer(question).len() as u64);
        (asked.sum(), answered.sum())
    }
}

/// The length of a number and the blank after it; 0 where there is none.
fn number(text: &str, is_digit: impl Fn(u8) -> bool) -> usize {
    let digits = text.bytes().take_while(|b| is_digit(*b)).count();
    match text.as_bytes().get(digits) {
        Some(b' ') if digits > 0 => digits + 1,
        _ => 0,
    }
}

/// The words of the answer to a question, always the same.
pub fn answer(question: &str) -> Vec<String> {
    let mut hasher = DefaultHasher::new();
    question.hash(&mut hasher);
    let mut chance = Chance::new(hasher.finish());
    let length = chance.between(1, 8);
    (0..length)
        .map(|_| format!("w{} ", chance.between(100, 999)))
        .collect()
}

/// The answer as the provider gives it when it is well: a word at a time, so that there is a time in between.
pub fn given(question: &str) -> Answer {
    let words = answer(question);
    let pieces: Vec<&str> = words.iter().map(String::as_str).collect();
    Answer::pieces(&pieces).how(How::Drip(Duration::from_millis(25)))
}
