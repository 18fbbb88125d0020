//! A question as words to look for. Built from tokens only: no operator, wildcard or pattern exists, so no text can
//! cost more than its words.

use tantivy::tokenizer::TokenStream as _;

use super::open::analyzer;

/// Words of English questions that say nothing of what is asked, stemmed like everything else.
const STOP_WORDS: [&str; 96] = [
    "a", "about", "after", "all", "also", "am", "an", "and", "ani", "are", "as", "at", "be",
    "been", "but", "by", "can", "could", "did", "do", "doe", "doesn", "don", "for", "from", "get",
    "give", "go", "had", "has", "have", "he", "hello", "help", "her", "hi", "how", "i", "if", "in",
    "into", "is", "isn", "it", "just", "know", "like", "ll", "m", "may", "me", "mean", "my",
    "need", "no", "not", "of", "on", "or", "our", "out", "pleas", "possibl", "re", "s", "she",
    "should", "so", "some", "t", "tell", "than", "thank", "that", "the", "their", "them", "then",
    "there", "they", "this", "to", "us", "ve", "want", "was", "we", "what", "when", "where",
    "which", "who", "whi", "will", "with", "would",
];

/// What to look for: distinct stems, in the order they were asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::knowledge) struct Question {
    pub(in crate::knowledge) stems: Vec<String>,
}

impl Question {
    /// The first `words_max` words of `text` that say something; where none does, all of them.
    pub(in crate::knowledge) fn new(text: &str, words_max: usize) -> Self {
        let mut telling = Vec::new();
        let mut all = Vec::new();
        let mut analyzer = analyzer();
        let mut tokens = analyzer.token_stream(text);
        while let Some(token) = tokens.next() {
            let stem = &token.text;
            if !all.contains(stem) && all.len() < words_max {
                all.push(stem.clone());
            }
            let stop = STOP_WORDS.contains(&stem.as_str());
            if !stop && !telling.contains(stem) && telling.len() < words_max {
                telling.push(stem.clone());
            }
        }
        Self {
            stems: if telling.is_empty() { all } else { telling },
        }
    }
}
