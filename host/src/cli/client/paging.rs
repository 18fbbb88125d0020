//! Which page of a list a command asks for: the same two words in each that lists.

/// What the list commands take.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Paging {
    /// The `next_cursor` of the page before.
    #[arg(long)]
    cursor: Option<String>,
    /// 1 to 200.
    #[arg(long)]
    limit: Option<u32>,
}

impl Paging {
    /// As the query of the list, behind what narrows it.
    pub(in crate::cli) fn after(
        self,
        narrowed: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> Vec<(&'static str, Option<String>)> {
        let limit = self.limit.map(|limit| limit.to_string());
        let page = [("cursor", self.cursor), ("limit", limit)];
        narrowed.into_iter().chain(page).collect()
    }
}
