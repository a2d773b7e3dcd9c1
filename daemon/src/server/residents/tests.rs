#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::block::layout::Format;
use crate::sys::memfd;

fn residents(limit: u64) -> (Arc<Residents>, Arc<Budget>, Arc<Accounts>) {
    let (budget, accounts) = (Budget::new(limit), Arc::new(Accounts::default()));
    (Residents::new(Clock::start(), &budget, &accounts), budget, accounts)
}

fn deposit(path: &str, payload: &[u8]) -> Deposit {
    let block = Block::of_payload(&Arc::default(), Format::Text, "", payload.to_vec()).unwrap();
    let (file, bytes) = block.to_file().unwrap();
    let key = Key { path: path.to_owned(), dataset_type: "p::t".to_owned(), ..Key::none() };
    let metadata = serde_json::json!({
        "key": key, "fingerprint": "elsewhere", "names": ["a"], "format": "text", "bytes": bytes, "loaded_us": 5,
    });
    Deposit { name: "resident-x".to_owned(), file, metadata: metadata.to_string() }
}

#[test]
fn what_is_deposited_comes_back_under_the_same_name() {
    let (one, budget, _) = residents(1 << 20);
    one.adopt(deposit("s://a", b"small")).unwrap();
    one.adopt(deposit("s://b", &[b'x'; 10_000])).unwrap();
    one.adopt(deposit("s://b", &[b'y'; 10_000])).unwrap();
    assert_eq!(one.list().len(), 2);
    let names = |residents: &Residents| residents.deposits().into_iter().map(|one| one.name).collect::<Vec<_>>();
    let first = names(&one);
    assert!(first.iter().all(|name| name.len() < 50 && name.starts_with("resident-")), "{first:?}");
    let (other, _, accounts) = residents(1 << 20);
    for deposit in one.deposits() {
        other.adopt(deposit).unwrap();
    }
    assert_eq!(names(&other), first);
    let facts = |info: ResidentInfo| (info.names, info.key, info.block.bytes, info.loaded_us, info.readers);
    assert_eq!(
        other.list().into_iter().map(facts).collect::<Vec<_>>(),
        one.list().into_iter().map(facts).collect::<Vec<_>>()
    );
    assert_eq!(accounts.usage().blocks, 2);
    // What is given up gives its memory back.
    assert_eq!(one.evict(|_| true).len(), 2);
    assert_eq!((budget.usage().bytes, budget.usage().blocks), (0, 0));
    assert!(one.list().is_empty());
}

#[test]
fn what_is_no_sealed_block_is_refused() {
    let (residents, ..) = residents(1 << 20);
    let unsealed = memfd::create("test", memfd::Purpose::Data).unwrap();
    assert!(matches!(
        residents.adopt(Deposit { file: unsealed, ..deposit("a", b"x") }),
        Err(deposit::DepositProblem::Block { .. })
    ));
    assert!(matches!(
        residents.adopt(Deposit { metadata: "{}".to_owned(), ..deposit("a", b"x") }),
        Err(deposit::DepositProblem::Metadata { .. })
    ));
    assert!(residents.list().is_empty());
}

#[test]
fn the_least_recently_used_go_first_and_no_more_than_needed() {
    let (residents, budget, _) = residents(1 << 20);
    for name in ["a", "b", "c"] {
        residents.adopt(deposit(name, &[0; 100_000])).unwrap();
    }
    let used_last = |name: &str, at: i64| {
        let table = residents.lock();
        let Some((_, Slot::There(resident))) = table.slots.iter().find(|(key, _)| key.path == name) else { panic!() };
        resident.used_us.store(at, Ordering::Relaxed);
    };
    used_last("a", 3);
    used_last("b", 1);
    used_last("c", 2);
    // The budget asks when something does not fit.
    let charge = budget.take((1 << 20) - 150_000).unwrap();
    let left: Vec<String> = residents.list().into_iter().map(|info| info.key.path).collect();
    assert_eq!(left, ["a"]);
    drop(charge);
    let too_much = budget.take(2 << 20).unwrap_err();
    assert!(too_much.contains("2.0 MiB") && too_much.contains("1.0 MiB"), "{too_much}");
}

#[test]
fn a_change_of_a_file_or_of_anything_in_a_folder_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let of = |path: &std::path::Path| Fingerprint::of(path.to_str().unwrap());
    let file = folder.path().join("inner/a.txt");
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    assert_eq!(of(&file), Fingerprint::Missing);
    std::fs::write(&file, "one").unwrap();
    let (before, whole) = (of(&file), of(folder.path()));
    assert_eq!((of(&file), of(folder.path())), (before.clone(), whole.clone()));
    std::fs::write(&file, "three").unwrap();
    assert_ne!(of(&file), before);
    assert_ne!(of(folder.path()), whole);
    let whole = of(folder.path());
    std::fs::write(folder.path().join("new"), "").unwrap();
    assert_ne!(of(folder.path()), whole);
    assert_eq!(Fingerprint::of("https://example.org/a.csv"), Fingerprint::Elsewhere);
    assert_eq!(Fingerprint::of(""), Fingerprint::Elsewhere);
}
