//! A passage's Markdown cut into units that can be quoted: sentences, list items, table rows. A short fenced block
//! belongs to the unit before it; headings are not quoted but lend their words to what stands under them.

const CODE_BYTES_MAX: usize = 800;
const CODE_LINES_MAX: usize = 14;
/// Longer ones are no sentences.
const UNIT_CHARS_MAX: usize = 600;
/// A bound on work: an ordinary passage has a few dozen.
const UNITS_MAX: usize = 400;

/// Something that can be quoted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) text: String,
    /// The fenced block that follows it, fences included.
    pub(super) code: Option<String>,
    /// The heading it stands under, within the passage.
    pub(super) heading: String,
    pub(super) is_item: bool,
    /// The first under its heading, which often answers it.
    pub(super) is_first: bool,
}

/// The units of a passage, in its order.
pub(super) fn units(markdown: &str) -> Vec<Unit> {
    let mut cut = Cut::default();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if cut.units.len() >= UNITS_MAX {
            break;
        }
        let trimmed = line.trim();
        if let Some(fence) = fence(trimmed) {
            let mut code = vec![trimmed];
            code.extend(
                lines
                    .by_ref()
                    .take_while(|line| !line.trim().starts_with(fence)),
            );
            cut.code(&code, fence);
        } else if let Some(heading) = heading(trimmed) {
            cut.end_block();
            cut.heading = heading.to_owned();
        } else if trimmed.is_empty() {
            cut.end_block();
        } else if trimmed.starts_with('|') {
            cut.row(trimmed);
        } else if let Some(item) = item(trimmed) {
            cut.end_block();
            cut.block.push_str(item);
            cut.is_item = true;
        } else {
            if !cut.block.is_empty() {
                cut.block.push(' ');
            }
            cut.block.push_str(trimmed.trim_start_matches("> "));
        }
    }
    cut.end_block();
    cut.units
}

#[derive(Default)]
struct Cut {
    units: Vec<Unit>,
    heading: String,
    /// The paragraph or item being read, its lines joined.
    block: String,
    is_item: bool,
}

impl Cut {
    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        let is_item = std::mem::take(&mut self.is_item);
        for sentence in sentences(&unlinked(&block)) {
            self.push(sentence, is_item);
        }
    }

    fn push(&mut self, text: &str, is_item: bool) {
        if text.chars().any(char::is_alphanumeric) && text.chars().count() <= UNIT_CHARS_MAX {
            self.units.push(Unit {
                text: text.to_owned(),
                code: None,
                is_first: self
                    .units
                    .last()
                    .is_none_or(|last| last.heading != self.heading),
                heading: self.heading.clone(),
                is_item,
            });
        }
    }

    /// A table's row as a line of its cells. The rule under the header takes the header away: it names, it does not tell.
    fn row(&mut self, line: &str) {
        self.end_block();
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let is_rule = cells
            .iter()
            .all(|cell| cell.chars().all(|c| matches!(c, '-' | ':' | ' ')));
        if is_rule {
            self.units.pop_if(|unit| unit.is_item);
            return;
        }
        let cells: Vec<&str> = cells.into_iter().filter(|cell| !cell.is_empty()).collect();
        self.push(&unlinked(&cells.join(" — ")), true);
    }

    fn code(&mut self, lines: &[&str], fence: &str) {
        self.end_block();
        // Of what stands beside the fence only the language is for readers.
        let (open, lines) = lines.split_first().unwrap_or((&fence, &[]));
        let open = open.split_whitespace().next().unwrap_or(fence);
        let code = [&[open], lines, &[fence]].concat().join("\n");
        let is_short = lines.len() <= CODE_LINES_MAX && code.len() <= CODE_BYTES_MAX;
        if let Some(unit) = self.units.last_mut()
            && is_short
            && unit.code.is_none()
            && unit.heading == self.heading
        {
            unit.code = Some(code);
        }
    }
}

fn fence(line: &str) -> Option<&'static str> {
    ["```", "~~~"]
        .into_iter()
        .find(|fence| line.starts_with(fence))
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with(' '))
        .then(|| text.trim().trim_end_matches('#').trim_end())
}

fn item(line: &str) -> Option<&str> {
    let bullet = ["- ", "* ", "+ "]
        .into_iter()
        .find_map(|mark| line.strip_prefix(mark));
    bullet.or_else(|| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = line.len() - rest.len();
        (1..=3)
            .contains(&digits)
            .then(|| rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")))?
    })
}

/// `[text](target)` as `text`: a quote's only brackets are its citation's.
fn unlinked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let link = rest[open..].find("](").and_then(|middle| {
            let label = &rest[open + 1..open + middle];
            let target = &rest[open + middle + 2..];
            let end = target.find(')')?;
            (!label.contains('[')).then(|| (label, &target[end + 1..]))
        });
        match link {
            Some((label, after)) => {
                out.push_str(rest[..open].strip_suffix('!').unwrap_or(&rest[..open]));
                out.push_str(label);
                rest = after;
            }
            None => {
                out.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Cuts after `.`, `!`, `?` where a new sentence begins; not within `code`, numbers or the usual abbreviations.
fn sentences(block: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut in_code) = (0, false);
    let mut chars = block.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '`' {
            in_code = !in_code;
        }
        if in_code || !matches!(c, '.' | '!' | '?') {
            continue;
        }
        let mut end = at + 1;
        // Closing quotes, brackets and emphasis belong to the sentence.
        while let Some(&(next, closing @ ('"' | ')' | '”' | '’' | '*' | '_'))) = chars.peek() {
            end = next + closing.len_utf8();
            chars.next();
        }
        let rest = &block[end..];
        let next = rest.trim_start();
        let begins =
            next.starts_with(|c: char| !c.is_lowercase() && !matches!(c, '—' | '–' | ',' | ';'));
        if rest.starts_with(' ') && begins && !is_abbreviation(&block[start..=at]) {
            found.push(block[start..end].trim());
            start = end;
        }
    }
    found.push(block[start..].trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

fn is_abbreviation(text: &str) -> bool {
    let word = text
        .rsplit([' ', '('])
        .next()
        .unwrap_or_default()
        .to_lowercase();
    matches!(
        word.as_str(),
        "e.g." | "i.e." | "etc." | "vs." | "cf." | "approx." | "no." | "dr." | "mr." | "ms."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_quotable_units() {
        let found = units(
            "# Cancelling\nA run is stopped, e.g. by its\nowner, with [cancel](x.md). It takes `a. B` 0.5 ms! Then:\n\n\
             ```sh\nbulkhead cancel RUN\n```\n\n- One item\n  goes on.\n2. Two [1]\n\n| limit | default |\n|---|:--|\n| fuel | 5 |\n",
        );
        let texts: Vec<&str> = found.iter().map(|unit| unit.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "A run is stopped, e.g. by its owner, with cancel.",
                "It takes `a. B` 0.5 ms!",
                "Then:",
                "One item goes on.",
                "Two [1]",
                "fuel — 5",
            ]
        );
        assert_eq!(
            found[2].code.as_deref(),
            Some("```sh\nbulkhead cancel RUN\n```")
        );
        assert!(found.iter().all(|unit| unit.heading == "Cancelling"));
        assert!(found[3].is_item && !found[2].is_item);
    }

    #[test]
    fn odd_markdown_is_survived() {
        for text in [
            "```",
            "[",
            "[a](",
            "![x](y)",
            "|",
            "||",
            "#",
            "1.",
            "[[a](b)](c)",
            "…",
            "a.",
            "```\n\u{0}",
        ] {
            units(text);
        }
        let open = units("Run it:\n```\nforever");
        assert_eq!(open[0].code.as_deref(), Some("```\nforever\n```"));
    }
}
