//! The rows that answer a question, and their CSV.

use serde_json::{Value, json};

use super::data::{MONTHS, Order, PRODUCTS, REGIONS, orders};
use super::question::{Group, Measure, Question};

pub(super) struct Table {
    /// In the order of the answer; values in cents or units.
    pub(super) rows: Vec<(&'static str, u64)>,
    /// Of all groups, those beyond the limit too.
    pub(super) total: u64,
}

impl Table {
    /// Only rows of `visible`, the user's region, count; none: all regions.
    pub(super) fn of(question: &Question, visible: Option<&str>) -> Self {
        let (names, name): (&[&'static str], fn(&Order) -> &'static str) = match question.group {
            Group::Region => (&REGIONS, |order| order.region),
            Group::Month => (&MONTHS, |order| order.month),
            Group::Product => (&PRODUCTS, |order| order.product),
        };
        let wanted = |order: &Order| {
            visible.is_none_or(|region| region == order.region)
                && question.region.is_none_or(|region| region == order.region)
                && question.month.is_none_or(|month| month == order.month)
                && question.product.is_none_or(|product| product == order.product)
        };
        let mut rows: Vec<(&'static str, u64)> = names.iter().map(|name| (*name, 0)).collect();
        for order in orders().filter(wanted) {
            if let Some(row) = rows.iter_mut().find(|row| row.0 == name(&order)) {
                row.1 += match question.measure {
                    Measure::Revenue => order.cents,
                    Measure::Units => order.units,
                };
            }
        }
        rows.retain(|row| row.1 > 0);
        let total = rows.iter().map(|row| row.1).sum();
        if question.group != Group::Month || question.limit.is_some() {
            rows.sort_by_key(|row| row.1);
            if !question.worst_first {
                rows.reverse();
            }
        }
        rows.truncate(question.limit.unwrap_or(usize::MAX));
        Self { rows, total }
    }

    pub(super) fn csv_header(question: &Question) -> String {
        format!("{},{}", group_name(question.group), column(question.measure))
    }

    pub(super) fn csv_lines(&self, measure: Measure) -> Vec<String> {
        self.rows.iter().map(|(name, value)| format!("{name},\"{}\"", exact(*value, measure))).collect()
    }
}

pub(super) fn group_name(group: Group) -> &'static str {
    match group {
        Group::Region => "Region",
        Group::Month => "Month",
        Group::Product => "Product",
    }
}

pub(super) fn column(measure: Measure) -> &'static str {
    match measure {
        Measure::Revenue => "Total Revenue",
        Measure::Units => "Units Sold",
    }
}

/// With cents: `678,994.41`.
fn exact(value: u64, measure: Measure) -> String {
    match measure {
        Measure::Revenue => format!("{}.{:02}", thousands(value / 100), value % 100),
        Measure::Units => thousands(value),
    }
}

/// For people: `$678,994`.
pub(super) fn rounded(value: u64, measure: Measure) -> String {
    match measure {
        Measure::Revenue => format!("${}", thousands((value + 50) / 100)),
        Measure::Units => thousands(value),
    }
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The query as Omni writes it.
pub(super) fn query(question: &Question) -> Value {
    let dimension = match question.group {
        Group::Region => "order_items.region",
        Group::Month => "order_items.created_at[month]",
        Group::Product => "products.name",
    };
    let measure = match question.measure {
        Measure::Revenue => "order_items.total_revenue",
        Measure::Units => "order_items.units",
    };
    let sort = if question.group == Group::Month && question.limit.is_none() { dimension } else { measure };
    let filters: serde_json::Map<String, Value> = [
        ("order_items.region", question.region),
        ("order_items.created_at[month]", question.month),
        ("products.name", question.product),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some((field.to_owned(), json!({ "is": value? }))))
    .collect();
    json!({
        "table": "order_items",
        "fields": [dimension, measure],
        "filters": filters,
        "sorts": [{ "column_name": sort, "sort_descending": sort == measure && !question.worst_first }],
        "limit": question.limit.unwrap_or(1000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_write_them() {
        assert_eq!(exact(67_899_441, Measure::Revenue), "678,994.41");
        assert_eq!(rounded(67_899_450, Measure::Revenue), "$678,995");
        assert_eq!(
            (thousands(7), thousands(999), thousands(1_000_000)),
            ("7".into(), "999".into(), "1,000,000".into())
        );
    }

    #[test]
    fn every_grouping_adds_up_to_the_same() {
        let total = |prompt: &str| Table::of(&Question::read(prompt, None), None).total;
        let all: u64 = orders().map(|order| order.cents).sum();
        for prompt in ["revenue by region", "revenue by month", "top 3 products by revenue"] {
            assert_eq!(total(prompt), all, "{prompt}");
        }
    }

    #[test]
    fn a_user_sees_the_rows_of_one_region_only() {
        let table = Table::of(&Question::read("revenue by region", None), Some("Europe"));
        assert_eq!(table.rows.iter().map(|row| row.0).collect::<Vec<_>>(), ["Europe"]);
        let other = Table::of(&Question::read("revenue by product in Asia", None), Some("Europe"));
        assert!(other.rows.is_empty() && other.total == 0);
    }
}
