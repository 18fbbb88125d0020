//! What is found: its kinds, what stands in the place of each, and how much was found of them.

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Secret,
    Email,
    Phone,
    Card,
    Iban,
    Ip,
    NationalId,
}

impl What {
    pub const ALL: [Self; 7] = [
        Self::Secret,
        Self::Email,
        Self::Phone,
        Self::Card,
        Self::Iban,
        Self::Ip,
        Self::NationalId,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ip => "ip",
            Self::NationalId => "national_id",
        }
    }

    /// What stands in its place.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Secret => "[secret]",
            Self::Email => "[email]",
            Self::Phone => "[phone]",
            Self::Card => "[card]",
            Self::Iban => "[iban]",
            Self::Ip => "[ip]",
            Self::NationalId => "[national_id]",
        }
    }
}

/// How much was found, of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts([u32; What::ALL.len()]);

impl Counts {
    pub fn add(&mut self, what: What) {
        self.0[what as usize] = self.0[what as usize].saturating_add(1);
    }

    pub fn join(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    pub fn of(&self, what: What) -> u32 {
        self.0[what as usize]
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those that were found, by name.
    pub fn found(&self) -> impl Iterator<Item = (What, u32)> {
        let all = What::ALL.into_iter();
        all.map(|what| (what, self.of(what)))
            .filter(|(_, count)| *count > 0)
    }
}
