//! The built-in data set: a year of orders of an outdoor shop, by region, month and product. Always the same.

pub(super) const REGIONS: [&str; 4] = ["Europe", "North America", "Asia Pacific", "Latin America"];

pub(super) const MONTHS: [&str; 12] = [
    "2025-11", "2025-12", "2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07", "2026-08",
    "2026-09", "2026-10",
];

pub(super) const PRODUCTS: [&str; 8] = [
    "Trail Runner Shoes",
    "Rain Jacket",
    "Merino Sweater",
    "Canvas Backpack",
    "Wool Beanie",
    "Hiking Poles",
    "Travel Mug",
    "Camp Stove",
];

/// In cents.
const PRICES: [u64; 8] = [12_900, 18_950, 14_900, 9_990, 3_450, 7_900, 2_490, 11_900];
const REGION_WEIGHTS: [u64; 4] = [40, 55, 31, 14];
const PRODUCT_WEIGHTS: [u64; 8] = [9, 5, 6, 8, 14, 4, 17, 3];
/// Percent of the usual share of each product, by region: what leads here does not lead there.
const TASTE: [[u64; 8]; 4] = [
    [80, 140, 150, 90, 130, 160, 70, 60],
    [120, 80, 75, 130, 90, 80, 110, 150],
    [100, 120, 90, 110, 60, 90, 140, 80],
    [110, 90, 60, 120, 70, 130, 120, 110],
];
/// Percent of an ordinary month.
const SEASON: [u64; 12] = [118, 152, 84, 79, 91, 97, 104, 112, 121, 115, 108, 126];

/// What was sold of one product in one region and month.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) region: &'static str,
    pub(super) month: &'static str,
    pub(super) product: &'static str,
    pub(super) units: u64,
    pub(super) cents: u64,
}

pub(super) fn orders() -> impl Iterator<Item = Order> {
    (0..REGIONS.len()).flat_map(|region| {
        (0..MONTHS.len()).flat_map(move |month| (0..PRODUCTS.len()).map(move |product| order(region, month, product)))
    })
}

fn order(region: usize, month: usize, product: usize) -> Order {
    let usual = REGION_WEIGHTS[region] * PRODUCT_WEIGHTS[product] * TASTE[region][product] * SEASON[month] / 10_000;
    // Keeps the regions from being multiples of each other.
    let noise = (region * 31 + month * 13 + product * 17 + region * month * 7) as u64 % 29;
    let units = usual + noise;
    Order {
        region: REGIONS[region],
        month: MONTHS[month],
        product: PRODUCTS[product],
        units,
        cents: units * PRICES[product],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_there_once_and_sells() {
        assert_eq!(orders().count(), 4 * 12 * 8);
        assert!(orders().all(|order| order.units > 0 && order.cents > order.units));
    }
}
