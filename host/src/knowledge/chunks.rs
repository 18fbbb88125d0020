//! Cutting an entry into passages that can be read alone: at headings first, then where Markdown allows, tables and
//! code blocks whole where they fit. Offsets are bytes into the entry. Linear in the text, whatever the text.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use text_splitter::MarkdownSplitter;

use super::Config;

/// The splitter is quadratic on text without boundaries, so it never sees more than this at once.
const WINDOW_BYTES: usize = 8 << 10;
const HEADING_BYTES_MAX: usize = 200;
const SEPARATOR: &str = " > ";

/// A passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The headings above it, outermost first; without the one that is the entry's title.
    pub(super) heading: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

struct Heading {
    start: usize,
    level: HeadingLevel,
    text: String,
}

/// An entry's headings, and the title its front matter states.
pub(super) struct Outline {
    headings: Vec<Heading>,
    title: Option<String>,
}

impl Outline {
    pub(super) fn of(content: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
        let mut headings: Vec<Heading> = Vec::new();
        let (mut open, mut title) = (false, None);
        let mut front = false;
        for (event, range) in Parser::new_ext(content, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    open = true;
                    headings.push(Heading {
                        start: range.start,
                        level,
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::Heading(_)) => open = false,
                Event::Text(text) | Event::Code(text) if open => {
                    if let Some(heading) = headings.last_mut() {
                        heading.text.push_str(&text);
                    }
                }
                Event::Start(Tag::MetadataBlock(_)) => front = true,
                Event::End(TagEnd::MetadataBlock(_)) => front = false,
                Event::Text(text) if front => title = title.or_else(|| stated_title(&text)),
                Event::SoftBreak | Event::HardBreak if open => {
                    if let Some(heading) = headings.last_mut() {
                        heading.text.push(' ');
                    }
                }
                _ => {}
            }
        }
        for heading in &mut headings {
            heading.text = one_line(&heading.text, HEADING_BYTES_MAX);
        }
        headings.retain(|heading| !heading.text.is_empty());
        Self { headings, title }
    }

    /// What the front matter says, else the first heading, else the first line with a word in it.
    pub(super) fn title(&self, content: &str, bytes_max: usize) -> Option<String> {
        let heading = || self.headings.first().map(|heading| heading.text.as_str());
        let line = || {
            content
                .lines()
                .find(|line| line.contains(char::is_alphanumeric))
        };
        let title = self.title.as_deref().or_else(heading).or_else(line);
        let title = one_line(title.unwrap_or(content), bytes_max);
        (!title.is_empty()).then_some(title)
    }
}

/// Cuts `content` into its passages, in order, none of them blank.
pub(super) fn cut(content: &str, title: &str, outline: &Outline, config: &Config) -> Vec<Chunk> {
    let mut path = Path::new(title, &outline.headings);
    let mut chunks = Vec::new();
    for (start, end) in sections(content.len(), &outline.headings, config.section_chars_min) {
        for (start, window) in windows(start, &content[start..end]) {
            if window.len() <= config.chunk_chars_max {
                let text = window.trim();
                if !text.is_empty() {
                    let start = start + (window.len() - window.trim_start().len());
                    chunks.push(path.chunk(start, start + text.len()));
                }
                continue;
            }
            for (offset, text) in splitter(window.chars().count(), config).chunk_indices(window) {
                let start = start + offset;
                chunks.push(path.chunk(start, start + text.len()));
            }
        }
    }
    chunks
}

fn stated_title(front: &str) -> Option<String> {
    let stated = front.lines().find_map(|line| line.strip_prefix("title:"))?;
    let title = stated.trim().trim_matches(['"', '\'']).to_owned();
    (!title.is_empty()).then_some(title)
}

/// Aims at parts of one length, so that the last is no scrap: BM25 would take a scrap for a perfect match.
fn splitter(chars: usize, config: &Config) -> MarkdownSplitter<text_splitter::Characters> {
    let parts = chars.div_ceil(config.chunk_chars_max).max(1);
    let aim = (chars / parts).clamp(
        config.chunk_chars_min.min(config.chunk_chars_max - 1),
        config.chunk_chars_max - 1,
    );
    MarkdownSplitter::new(aim..config.chunk_chars_max)
}

/// From heading to heading, short ones joined with what follows, a short last one with what precedes it.
fn sections(length: usize, headings: &[Heading], bytes_min: usize) -> Vec<(usize, usize)> {
    let mut sections: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for heading in headings {
        if heading.start - start >= bytes_min {
            sections.push((start, heading.start));
            start = heading.start;
        }
    }
    match sections.last_mut() {
        Some((_, end)) if length - start < bytes_min => *end = length,
        _ => sections.push((start, length)),
    }
    sections
}

/// `text` in pieces of at most `WINDOW_BYTES`, cut after a blank line, else a line, else a space, else anywhere.
fn windows(mut start: usize, mut text: &str) -> Vec<(usize, &str)> {
    let mut windows = Vec::new();
    while text.len() > WINDOW_BYTES {
        let head = &text[..text.floor_char_boundary(WINDOW_BYTES)];
        let half = head.floor_char_boundary(WINDOW_BYTES / 2);
        let boundary = ["\n\n", "\n", " "]
            .iter()
            .find_map(|mark| Some(half + head[half..].rfind(mark)? + mark.len()));
        let (window, rest) = text.split_at(boundary.unwrap_or(head.len()));
        windows.push((start, window));
        start += window.len();
        text = rest;
    }
    windows.push((start, text));
    windows
}

/// The headings above a place, walked forward once.
struct Path<'a> {
    title: &'a str,
    ahead: &'a [Heading],
    above: Vec<&'a Heading>,
}

impl<'a> Path<'a> {
    fn new(title: &'a str, headings: &'a [Heading]) -> Self {
        Self {
            title,
            ahead: headings,
            above: Vec::new(),
        }
    }

    /// Chunks come in order, so each heading is passed once.
    fn chunk(&mut self, start: usize, end: usize) -> Chunk {
        while let Some((heading, rest)) = self.ahead.split_first()
            && heading.start <= start
        {
            self.above.retain(|above| above.level < heading.level);
            self.above.push(heading);
            self.ahead = rest;
        }
        let outermost_is_title = self.above.first().is_some_and(|h| h.text == self.title);
        let names: Vec<&str> = self.above[usize::from(outermost_is_title)..]
            .iter()
            .map(|heading| heading.text.as_str())
            .collect();
        Chunk {
            heading: names.join(SEPARATOR),
            start,
            end,
        }
    }
}

/// Text for one line: control characters and runs of blanks become one space, cut at a character.
fn one_line(text: &str, bytes_max: usize) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let mut line = words.join(" ");
    line.truncate(line.floor_char_boundary(bytes_max));
    line
}
