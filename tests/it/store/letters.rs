//! Lists of dead letters: by time, page by page, whatever changes meanwhile.

use std::collections::BTreeSet;

use jiff::Timestamp;
use omni_relay::model::letter::{Letter, LetterFilter};
use omni_relay::store::letters::Cursor;

use super::bed::{Bed, NOW};

/// Puts a letter there that died `after` milliseconds after [`NOW`].
pub(super) async fn put(bed: &Bed, id: &str, after: u64, reason: &str) {
    let at = (NOW + after).to_string();
    let fields = [
        ("id", id),
        ("stage", "process"),
        ("reason", reason),
        ("error", "timed out"),
        ("attempts", "4"),
        ("fingerprint", reason),
        ("firstAt", &at),
        ("lastAt", &at),
        ("original", "{}"),
        ("history", "[]"),
    ];
    let key = bed.store.keys().letter(id);
    let words: Vec<&str> = ["HSET", &key].into_iter().chain(fields.into_iter().flat_map(|(n, v)| [n, v])).collect();
    bed.ask::<i64>(&words).await;
    bed.ask::<i64>(&["ZADD", &bed.store.keys().dead, &at, id]).await;
}

async fn remove(bed: &Bed, id: &str) {
    bed.ask::<i64>(&["ZREM", &bed.store.keys().dead, id]).await;
    bed.ask::<i64>(&["DEL", &bed.store.keys().letter(id)]).await;
}

async fn page(bed: &Bed, filter: &LetterFilter, from: Option<Cursor>, limit: usize) -> (Vec<String>, Option<Cursor>) {
    let page = bed.store.letters(filter, from, limit).await.unwrap();
    (page.items.into_iter().map(|letter: Letter| letter.id).collect(), page.next)
}

#[tokio::test]
async fn the_newest_letter_comes_first_and_pages_do_not_overlap() {
    let bed = Bed::new().await;
    // Three share each millisecond; upper case, hyphens and digits are ordered by bytes.
    let ids: Vec<String> = (0..30).map(|n| format!("{}-{n}", ["a", "B", "process"][n % 3])).collect();
    for (n, id) in ids.iter().enumerate() {
        put(&bed, id, n as u64 / 3, "poison").await;
    }
    for limit in [1, 2, 4, 29, 30, 100] {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let (items, next) = page(&bed, &LetterFilter::default(), cursor, limit).await;
            assert!(items.len() <= limit);
            all.extend(items);
            assert!(all.len() <= 30, "pages of {limit} overlap: {all:?}");
            let Some(next) = next else { break };
            // As a program would send it.
            cursor = Some(next.to_string().parse().unwrap());
        }
        let times: Vec<usize> = all.iter().map(|id| ids.iter().position(|known| known == id).unwrap() / 3).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{all:?}");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 30, "pages of {limit}: {all:?}");
        assert_eq!(all.len(), 30, "pages of {limit} overlap");
    }
}

#[tokio::test]
async fn what_comes_and_goes_between_pages_shifts_nothing() {
    let bed = Bed::new().await;
    for n in 0..20 {
        put(&bed, &format!("l-{n:02}"), n / 4, "poison").await;
    }
    let (first, cursor) = page(&bed, &LetterFilter::default(), None, 6).await;
    assert_eq!(first, ["l-19", "l-18", "l-17", "l-16", "l-15", "l-14"]);
    // The letter at the cursor and others before it go, one after it goes, new ones come, one dies again.
    for id in ["l-14", "l-19", "l-10"] {
        remove(&bed, id).await;
    }
    put(&bed, "l-99", 100, "poison").await;
    put(&bed, "l-05", 101, "poison").await;
    let (second, rest) = page(&bed, &LetterFilter::default(), cursor, 100).await;
    let expected: Vec<String> = (0..14).rev().filter(|n| ![10, 5].contains(n)).map(|n| format!("l-{n:02}")).collect();
    assert_eq!((second, rest), (expected, None));
}

#[tokio::test]
async fn a_filter_that_fits_few_of_many_ends_a_page_early_and_finds_them_all() {
    let bed = Bed::new().await;
    for n in 0..4500 {
        let reason = if n % 1500 == 0 { "malformed" } else { "poison" };
        put(&bed, &format!("l-{n:04}"), n, reason).await;
    }
    let filter = LetterFilter { reason: Some("malformed".to_owned()), ..LetterFilter::default() };
    let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let (items, next) = page(&bed, &filter, cursor, 50).await;
        found.extend(items);
        pages += 1;
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["l-3000", "l-1500", "l-0000"]);
    assert!(pages >= 3, "one call looked at {} letters", 4500 / pages);
}

#[tokio::test]
async fn times_bound_the_list() {
    let bed = Bed::new().await;
    for n in 0..10 {
        put(&bed, &format!("l-{n}"), n, "poison").await;
    }
    let at = |after: u64| Timestamp::from_millisecond(i64::try_from(NOW + after).unwrap()).ok();
    let filter = LetterFilter { since: at(3), until: at(6), ..LetterFilter::default() };
    let (items, next) = page(&bed, &filter, None, 2).await;
    assert_eq!(items, ["l-5", "l-4"]);
    assert_eq!(page(&bed, &filter, next, 2).await, (vec!["l-3".to_owned()], None));
}
