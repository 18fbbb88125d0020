//! Two texts side by side, line by line: what both have, what only one has. Bounded: where the middles of two texts
//! are too long to be matched line by line, all of one stands before all of the other.

use crate::runs::replay::report::{TEXT_MAX, cut};

/// Cells of the table that matches lines.
const CELLS_MAX: usize = 1 << 20;
/// Lines that are the same and stand around a difference.
const AROUND: usize = 2;

enum Line<'a> {
    Both(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// `- ` was in the first, `+ ` is in the second.
pub fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tails = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = tails.take_while(|(a, b)| a == b).count();
    let middle = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut lines: Vec<Line<'_>> = old[..head].iter().map(|line| Line::Both(line)).collect();
    matched(middle, &mut lines);
    lines.extend(old[old.len() - tail..].iter().map(|line| Line::Both(line)));
    cut(&shown(&lines), TEXT_MAX)
}

/// The longest common subsequence of the middles, and what is not in it.
fn matched<'a>((old, new): (&[&'a str], &[&'a str]), lines: &mut Vec<Line<'a>>) {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > CELLS_MAX {
        lines.extend(old.iter().map(|line| Line::Old(line)));
        lines.extend(new.iter().map(|line| Line::New(line)));
        return;
    }
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Both(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            lines.push(Line::Old(old[i]));
            i += 1;
        } else {
            lines.push(Line::New(new[j]));
            j += 1;
        }
    }
}

/// Without the lines that are far from any difference.
fn shown(lines: &[Line<'_>]) -> String {
    let differs = |line: &Line<'_>| !matches!(line, Line::Both(_));
    let mut text = String::new();
    let mut passed_over = false;
    for (n, line) in lines.iter().enumerate() {
        let near = &lines[n.saturating_sub(AROUND)..(n + AROUND + 1).min(lines.len())];
        if !near.iter().any(differs) {
            passed_over = true;
            continue;
        }
        if std::mem::take(&mut passed_over) {
            text.push_str("  …\n");
        }
        let (mark, line) = match line {
            Line::Both(line) => ("  ", line),
            Line::Old(line) => ("- ", line),
            Line::New(line) => ("+ ", line),
        };
        text.push_str(mark);
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn what_both_have_stands_around_what_one_has() {
        let old = "a\nb\nc\nd\ne\nf\ng";
        let new = "a\nb\nc\nd\nx\ny\nf\ng\nz";
        assert_eq!(
            diff(old, new),
            "  …\n  c\n  d\n- e\n+ x\n+ y\n  f\n  g\n+ z\n"
        );
        assert_eq!(diff("one", "two"), "- one\n+ two\n");
        assert_eq!(diff("", "two"), "- \n+ two\n");
    }

    #[test]
    fn long_texts_are_shown_one_before_the_other() {
        let old: Vec<String> = (0..2_000).map(|n| format!("old {n}")).collect();
        let new: Vec<String> = (0..2_000).map(|n| format!("new {n}")).collect();
        let shown = diff(&old.join("\n"), &new.join("\n"));
        assert!(shown.starts_with("- old 0\n- old 1\n"));
        assert!(shown.len() <= super::TEXT_MAX + "…".len());
    }
}
