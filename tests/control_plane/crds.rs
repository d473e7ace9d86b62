//! `crds/*.yaml` are what `mainstay crds` prints.

use std::{collections::BTreeSet, fs, path::Path};

use mainstay::cli::crds;

#[test]
fn the_files_are_fresh() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut names = BTreeSet::new();
    for crd in crds::all() {
        let name = crds::file_name(&crd);
        let file = fs::read_to_string(directory.join(&name)).unwrap_or_default();
        assert!(file == crds::to_yaml(&crd).unwrap(), "{name} is stale: run `mainstay crds --out crds`");
        names.insert(name);
    }
    let found = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), names, "no file without a kind");
}
