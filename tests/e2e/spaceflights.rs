//! The tutorial that Kedro's users know, from the workbook to the versioned model; what it computes is computed again here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::{Scene, artifacts};

/// Small enough for a debug build, large enough to learn from.
const SHUTTLES: usize = 600;

/// Places the project in the scene's work folder. Its environment `checked` keeps what passes through memory as CSV, which a test can
/// read, and makes the id a feature, by which the rows of a split are known.
fn place(scene: &Scene) -> PathBuf {
    let from = artifacts::repository().join("plugins/spaceflights");
    for name in ["catalog.toml", "parameters.toml"] {
        scene.write(&format!("project/{name}"), fs::read(from.join(name)).unwrap());
    }
    for entry in fs::read_dir(from.join("pipelines")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        scene.write(&format!("project/pipelines/{name}"), fs::read(entry.path()).unwrap());
    }
    scene.write(
        "project/env/checked/catalog.toml",
        "[\"{name}\"]\ntype = \"csv\"\npath = \"${output_dir}/{name}.csv\"\n\
         [\"preprocessed_{name}\"]\ntype = \"csv\"\npath = \"${output_dir}/preprocessed_{name}.csv\"\n\
         [model_input_table]\ntype = \"csv\"\npath = \"${output_dir}/model_input_table.csv\"\n\
         [\"y_{name}\"]\ntype = \"memory\"\n",
    );
    scene.write(
        "project/env/checked/parameters.toml",
        "[model_options]\nfeatures = [\"id\", \"engines\", \"passenger_capacity\", \"crew\", \"company_rating\"]\n",
    );
    scene.work("project")
}

fn run(scene: &Scene, project: &Path, more: &[&str]) {
    let shuttles = format!("generation.shuttles={SHUTTLES}");
    let all = [&["--params", &shuttles][..], more].concat();
    scene.run_file(project, &all).expect_success();
}

fn json(scene: &Scene, name: &str) -> Value {
    serde_json::from_str(&scene.read(&format!("project/out/{name}"))).unwrap()
}

fn versions(scene: &Scene) -> Vec<String> {
    let folders = fs::read_dir(scene.work("project/out/models/regressor.json")).unwrap().flatten();
    let mut names: Vec<String> = folders.map(|folder| folder.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A CSV file as its columns.
fn csv(scene: &Scene, name: &str) -> BTreeMap<String, Vec<String>> {
    let text = scene.read(&format!("project/out/{name}"));
    let mut lines = text.lines().map(fields);
    let names = lines.next().unwrap();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        assert_eq!(line.len(), names.len(), "{line:?}");
        names.iter().zip(line).for_each(|(name, field)| columns.entry(name.clone()).or_default().push(field));
    }
    columns
}

/// The fields of a line; quoted ones may hold commas.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut is_quoted) = (vec![String::new()], false);
    for character in line.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}

fn numbers(column: &[String]) -> Vec<f64> {
    column.iter().map(|text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))).collect()
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{found} is not {expected}");
}

#[test]
fn the_tutorial_runs_from_the_workbook_to_versions_of_its_model() {
    let scene = Scene::with(&["formats", "spaceflights"]).build();
    let project = place(&scene);
    run(&scene, &project, &[]);
    let begins =
        |name: &str, magic: &[u8]| fs::read(scene.work(&format!("project/out/{name}"))).unwrap().starts_with(magic);
    assert!(begins("raw/shuttles.xlsx", b"PK") && begins("raw/companies.csv", b"id,company_rating,"));
    for name in ["intermediate/companies.parquet", "intermediate/shuttles.parquet", "primary/model_input_table.parquet"]
    {
        assert!(begins(name, b"PAR1"), "{name}");
    }
    let first = versions(&scene);
    assert_eq!(first.len(), 1);
    let model = json(&scene, &format!("models/regressor.json/{}/regressor.json", first[0]));
    assert_eq!(model["features"].as_array().unwrap().len(), 8);
    let explained = json(&scene, "metrics.json")["r2_score"].as_f64().unwrap();
    assert!((0.5..1.0).contains(&explained), "{explained}");

    // Again, with everything in the open: another version beside the first.
    run(&scene, &project, &["--env", "checked"]);
    let both = versions(&scene);
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    let model = json(&scene, &format!("models/regressor.json/{}/regressor.json", both[1]));
    check_join(&scene);
    check_model(&scene, &model);
}

/// The table to learn from has every shuttle of which nothing is missing, with its company's rating as a share.
fn check_join(scene: &Scene) {
    let (companies, reviews) = (csv(scene, "raw/companies.csv"), csv(scene, "raw/reviews.csv"));
    let (shuttles, joined) = (csv(scene, "preprocessed_shuttles.csv"), csv(scene, "model_input_table.csv"));
    assert_eq!(shuttles["id"].len(), SHUTTLES);
    let review_of = |id: &str| reviews["shuttle_id"].iter().position(|other| other == id).unwrap();
    let company_of = |id: &str| companies["id"].iter().position(|other| other == id).unwrap();
    let expected: Vec<(f64, f64, f64)> = (0..SHUTTLES)
        .filter_map(|row| {
            let review = review_of(&shuttles["id"][row]);
            let is_whole = reviews.values().all(|column| !column[review].is_empty());
            let rating = &companies["company_rating"][company_of(&shuttles["company_id"][row])];
            let rating: f64 = rating.strip_suffix('%')?.parse().unwrap();
            let number = |name: &str| shuttles[name][row].parse::<f64>().unwrap();
            is_whole.then(|| (number("id"), rating / 100.0, number("price")))
        })
        .collect();
    assert!(expected.len() > SHUTTLES / 3 && expected.len() < SHUTTLES, "{}", expected.len());
    let [ids, ratings, prices] = ["id", "company_rating", "price"].map(|name| numbers(&joined[name]));
    let found: Vec<_> =
        ids.into_iter().zip(ratings).zip(prices).map(|((id, rating), price)| (id, rating, price)).collect();
    assert_eq!(found, expected);
}

/// A model is the least squares fit exactly where its errors are at right angles to every feature; and its metrics are those of its
/// errors on the rows that it has not seen.
fn check_model(scene: &Scene, model: &Value) {
    let joined = csv(scene, "model_input_table.csv");
    let prices: BTreeMap<&str, f64> = joined["id"].iter().map(String::as_str).zip(numbers(&joined["price"])).collect();
    let features: Vec<&str> = model["features"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let coefficients: Vec<f64> =
        model["coefficients"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
    let errors = |table: &BTreeMap<String, Vec<String>>| -> (Vec<f64>, Vec<f64>) {
        let columns: Vec<Vec<f64>> = features.iter().map(|name| numbers(&table[*name])).collect();
        // Ids come back as numbers with a point.
        let actual = columns[0].iter().map(|id| prices[format!("{id:.0}").as_str()]);
        let predict = |row: usize| {
            let sum: f64 =
                columns.iter().zip(&coefficients).map(|(column, coefficient)| column[row] * coefficient).sum();
            model["intercept"].as_f64().unwrap() + sum
        };
        let actual: Vec<f64> = actual.collect();
        (actual.iter().enumerate().map(|(row, price)| price - predict(row)).collect(), actual)
    };
    let (train, test) = (csv(scene, "x_train.csv"), csv(scene, "x_test.csv"));
    let (seen, actual) = errors(&train);
    let scale = actual.iter().map(|price| price.abs()).sum::<f64>();
    assert!(seen.iter().sum::<f64>().abs() < 1e-9 * scale);
    for name in &features {
        let column = numbers(&train[*name]);
        let mean = column.iter().sum::<f64>() / column.len() as f64;
        let (product, size) = seen.iter().zip(&column).fold((0.0, 0.0), |(product, size), (error, value)| {
            (product + error * (value - mean), size + (error * (value - mean)).abs())
        });
        assert!(product.abs() < 1e-7 * size, "{name}: {product} of {size}");
    }
    let (unseen, actual) = errors(&test);
    let rows = train["id"].len() + test["id"].len();
    assert_eq!((rows, unseen.len()), (joined["id"].len(), (rows as f64 * 0.2).ceil() as usize));
    let mean = actual.iter().sum::<f64>() / actual.len() as f64;
    let total: f64 = actual.iter().map(|price| (price - mean).powi(2)).sum();
    let metrics = json(scene, "metrics.json");
    close(&metrics["mae"], unseen.iter().map(|error| error.abs()).sum::<f64>() / unseen.len() as f64);
    close(&metrics["max_error"], unseen.iter().map(|error| error.abs()).fold(0.0, f64::max));
    close(&metrics["r2_score"], 1.0 - unseen.iter().map(|error| error * error).sum::<f64>() / total);
}

/// A workbook that is handed in with a run needs no file of the daemon's.
#[test]
fn parity_s2_a_workbook_is_handed_in() {
    let scene = Scene::with(&["formats", "spaceflights"]).build();
    let project = place(&scene);
    run(&scene, &project, &["--pipeline", "generate"]);
    let book = scene.path("home").join("shuttles.xlsx");
    fs::rename(scene.work("project/out/raw/shuttles.xlsx"), &book).unwrap();
    let daemon = scene.start();
    let project = project.to_string_lossy();
    let submit = |input: &str| {
        daemon.ctl([
            "submit",
            &project,
            "--pipeline",
            "data_processing",
            "--nodes",
            "preprocess_shuttles",
            "--env",
            "checked",
            "--input",
            input,
        ])
    };
    submit(&format!("shuttles@table=@{}", book.display())).expect_success();
    assert_eq!(csv(&scene, "preprocessed_shuttles.csv")["id"].len(), SHUTTLES);
    fs::remove_file(scene.work("project/out/preprocessed_shuttles.csv")).unwrap();
    let renamed = scene.path("home").join("attachment");
    fs::rename(&book, &renamed).unwrap();
    submit(&format!("shuttles@table=@{}:type=excel", renamed.display())).expect_success();
    assert_eq!(csv(&scene, "preprocessed_shuttles.csv")["price"].len(), SHUTTLES);
}
