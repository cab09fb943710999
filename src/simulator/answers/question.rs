//! What a prompt asks for, as far as a few keywords tell, and what a follow-up keeps of the question before.

use super::data::{MONTHS, PRODUCTS, REGIONS};

/// Longer prompts are not read further: nobody asks for sales in that many words.
const WORDS: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Measure {
    Revenue,
    Units,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Group {
    Region,
    Month,
    Product,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Question {
    pub(super) measure: Measure,
    pub(super) group: Group,
    pub(super) limit: Option<usize>,
    pub(super) worst_first: bool,
    pub(super) region: Option<&'static str>,
    pub(super) month: Option<&'static str>,
    pub(super) product: Option<&'static str>,
    /// It kept something of the question before.
    pub(super) follow_up: bool,
}

/// What the prompt itself names.
#[derive(Default)]
struct Named {
    measure: Option<Measure>,
    group: Option<Group>,
    limit: Option<usize>,
    worst_first: Option<bool>,
    region: Option<&'static str>,
    month: Option<&'static str>,
    product: Option<&'static str>,
    everything: bool,
    refers_back: bool,
}

impl Question {
    /// Reads a prompt; `previous` is the last answered question of the conversation.
    pub(in super::super) fn read(prompt: &str, previous: Option<&Self>) -> Self {
        let named = Named::read(prompt);
        let complete = named.group.is_some() && named.measure.is_some() && !named.refers_back;
        match previous {
            Some(before) if !complete => Self {
                measure: named.measure.unwrap_or(before.measure),
                group: named.group.unwrap_or(before.group),
                limit: named.limit.or(before.limit.filter(|_| named.group.is_none())),
                worst_first: named.worst_first.unwrap_or(before.worst_first && named.group.is_none()),
                region: named.region.or(before.region.filter(|_| !named.everything)),
                month: named.month.or(before.month.filter(|_| !named.everything)),
                product: named.product.or(before.product.filter(|_| !named.everything)),
                follow_up: true,
            },
            _ => Self {
                measure: named.measure.unwrap_or(Measure::Revenue),
                group: named.group.unwrap_or(Group::Region),
                limit: named.limit,
                worst_first: named.worst_first.unwrap_or(false),
                region: named.region,
                month: named.month,
                product: named.product,
                follow_up: false,
            },
        }
    }
}

impl Named {
    fn read(prompt: &str) -> Self {
        let lower = prompt.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric() && c != '-')
            .filter(|word| !word.is_empty())
            .take(WORDS)
            .collect();
        let mut named = Self {
            product: PRODUCTS.into_iter().find(|name| lower.contains(&name.to_lowercase())),
            region: REGIONS.into_iter().find(|name| lower.contains(&name.to_lowercase())),
            month: MONTHS.into_iter().find(|name| lower.contains(name)),
            ..Self::default()
        };
        for (index, word) in words.iter().enumerate() {
            named.word(word, words.get(index + 1).copied());
        }
        named
    }

    fn word(&mut self, word: &str, next: Option<&str>) {
        match word {
            "revenue" | "sales" | "turnover" => self.measure = Some(Measure::Revenue),
            "orders" | "units" | "sold" | "quantity" | "pieces" => self.measure = Some(Measure::Units),
            "region" | "regions" | "where" => self.group = Some(Group::Region),
            "month" | "months" | "monthly" | "develop" | "developed" | "development" | "trend" | "time" => {
                self.group = Some(Group::Month);
            }
            "product" | "products" => self.group = Some(Group::Product),
            "top" | "best" => self.ranked(false, next),
            "bottom" | "worst" | "least" => self.ranked(true, next),
            "emea" | "europe" => self.region = Some(REGIONS[0]),
            "us" | "usa" | "amer" => self.region = Some(REGIONS[1]),
            "apac" | "asia" => self.region = Some(REGIONS[2]),
            "latam" => self.region = Some(REGIONS[3]),
            "all" | "overall" | "everywhere" => self.everything = true,
            "it" | "that" | "this" | "these" | "those" | "them" | "same" | "and" | "only" | "just" | "instead" => {
                self.refers_back = true;
            }
            _ => self.month = self.month.or_else(|| month(word)),
        }
    }

    fn ranked(&mut self, worst_first: bool, next: Option<&str>) {
        self.worst_first = Some(worst_first);
        self.group = self.group.or(Some(Group::Product));
        self.limit = next.and_then(|word| word.parse().ok()).filter(|limit| *limit > 0).or(Some(5));
    }
}

fn month(word: &str) -> Option<&'static str> {
    /// In the order of the data; May is missing: the word is a verb more often than a month.
    const NAMES: [&str; 12] = [
        "november",
        "december",
        "january",
        "february",
        "march",
        "april",
        "",
        "june",
        "july",
        "august",
        "september",
        "october",
    ];
    NAMES.iter().position(|name| *name == word).map(|index| MONTHS[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(prompt: &str) -> Question {
        Question::read(prompt, None)
    }

    #[test]
    fn plain_questions_are_read() {
        let top = first("What are the top 5 products by revenue?");
        assert_eq!((top.group, top.measure, top.limit), (Group::Product, Measure::Revenue, Some(5)));
        assert_eq!(first("Revenue by region").group, Group::Region);
        assert_eq!(first("How did it develop by month?").group, Group::Month);
        let worst = first("worst 3 regions by units sold in December");
        assert_eq!((worst.group, worst.limit, worst.worst_first), (Group::Region, Some(3), true));
        assert_eq!((worst.measure, worst.month), (Measure::Units, Some("2025-12")));
    }

    #[test]
    fn a_follow_up_keeps_what_it_does_not_name() {
        let top = first("top 5 products by revenue");
        let europe = Question::read("and only for Europe?", Some(&top));
        assert_eq!(europe, Question { region: Some("Europe"), follow_up: true, ..top.clone() });
        let months = Question::read("how did it develop by month?", Some(&europe));
        assert_eq!((months.group, months.region, months.limit), (Group::Month, Some("Europe"), None));
        let overall = Question::read("and overall?", Some(&months));
        assert_eq!((overall.group, overall.region), (Group::Month, None));
    }

    #[test]
    fn a_complete_question_starts_anew() {
        let europe = first("top 5 products by revenue in Europe");
        let fresh = Question::read("Units by region", Some(&europe));
        assert_eq!((fresh.region, fresh.limit, fresh.follow_up), (None, None, false));
    }
}
