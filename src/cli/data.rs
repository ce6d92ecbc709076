//! `netwright data`: what a data set holds, and fetching published ones.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::progress::Transfer;
use super::{Exit, print, print_json};
use crate::data::{ClassCounts, DataError, Fetching, Format, Inspection, OpenOptions, Published, contact_sheet, fetch};
use crate::report::plain_table;

#[derive(Args)]
pub(super) struct DataArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show what a data set holds, and what is odd about it.
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Fetch a published data set and check that it is whole; a download that broke off goes on.
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch(FetchArgs),
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  netwright data inspect photos --sheet photos.png    class folders, and a picture of their first images
  netwright data inspect mnist.npz --json             a NumPy archive, for programs";

const FETCH_EXAMPLES: &str = "\
Examples:
  netwright data fetch mnist
  netwright data fetch cifar10 --to /data/cifar10 --from https://mirror.example/cifar";

#[derive(Args)]
struct InspectArgs {
    /// Class folders of PNG or JPEG, IDX or CIFAR files, or a `.npz` file.
    path: PathBuf,
    /// Write a contact sheet as PNG: a row for each class, with its first training images as the network sees them.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// Images in a row of the contact sheet.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=100))]
    columns: u8,
    /// Side in pixels to which images are resized.
    #[arg(long)]
    side: Option<usize>,
    /// Format, if it is not to be recognised: folders, idx, cifar10, cifar100, npz.
    #[arg(long)]
    format: Option<Format>,
    /// Seed of the split, as in `compile`.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct FetchArgs {
    /// mnist, fashion-mnist, cifar10 or cifar100.
    name: Published,
    /// Where it is put; by default a folder of its name.
    #[arg(long)]
    to: Option<PathBuf>,
    /// Fetch the files from here instead of their publisher: a mirror's address, without the file names.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn data(args: &DataArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Inspect(args) => inspect(args),
        Verb::Fetch(args) => fetch_set(args),
    }
}

fn inspect(args: &InspectArgs) -> anyhow::Result<Exit> {
    let options = OpenOptions { seed: args.seed, side: args.side, format: args.format, ..OpenOptions::default() };
    let found = Inspection::open(&args.path, &options)?;
    if let Some(sheet) = &args.sheet {
        write_sheet(&found, args.columns.into(), sheet)?;
    }
    match args.json {
        true => print_json(&inspection_json(&found, args.sheet.as_deref()))?,
        false => {
            print(&inspection_text(&found, args.sheet.as_deref()))?;
            found.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        }
    }
    Ok(Exit::Done)
}

/// Writes the contact sheet beside its final name and renames it: there is a whole picture or none.
fn write_sheet(found: &Inspection, columns: usize, path: &Path) -> Result<(), DataError> {
    let sheet = contact_sheet(&found.dataset.train, &found.dataset.classes, columns);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let refused = |reason: String| DataError::Write { path: path.to_path_buf(), reason };
    let mut png = std::io::Cursor::new(Vec::new());
    sheet.write_to(&mut png, image::ImageFormat::Png).map_err(|e| refused(e.to_string()))?;
    let written = std::fs::write(&part, png.into_inner()).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|e| {
        // The half-written file is of no use; if it cannot be removed either, its name says what it is.
        let _ = std::fs::remove_file(&part);
        refused(e.to_string())
    })
}

/// Classes shown before the rest is only counted.
const MOST_CLASSES: usize = 40;
/// Sizes shown, the most frequent first.
const MOST_SIZES: usize = 5;

fn inspection_text(found: &Inspection, sheet: Option<&Path>) -> String {
    let set = &found.dataset;
    let shape = set.shape();
    let colours = if shape.channels == 1 { "grey" } else { "colour" };
    let mut text = format!(
        "{}: {}, {} classes, {colours} images, seen by a network as {shape}\n\n",
        set.name,
        found.format.describe(),
        set.classes.len()
    );
    let counts = |class: &ClassCounts| [class.training, class.validation, class.test].map(|n| n.to_string()).to_vec();
    let row = |class: &ClassCounts| [vec![class.name.clone()], counts(class)].concat();
    let mut rows: Vec<Vec<String>> = found.classes.iter().take(MOST_CLASSES).map(row).collect();
    if found.classes.len() > MOST_CLASSES {
        let rest = format!("and {} more", found.classes.len() - MOST_CLASSES);
        rows.push(vec![rest, String::new(), String::new(), String::new()]);
    }
    let total = [&set.train, &set.validation, &set.test].map(|part| part.len().to_string()).to_vec();
    rows.push([vec!["all".to_string()], total].concat());
    text += &plain_table(&["class", "training", "validation", "test"], rows);
    let list = |values: &[f32]| values.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(", ");
    text += &format!(
        "\n\nsplit    {}\nsizes    {}\nmean     {} (deviation {})\ndigest   {}\n",
        split_text(found),
        sizes_text(found),
        list(&set.mean),
        list(&set.std),
        set.digest
    );
    if let Some(sheet) = sheet {
        text += &format!("sheet    {}, a row for each class in this order\n", sheet.display());
    }
    text
}

fn split_text(found: &Inspection) -> String {
    match found.given.as_slice() {
        [] => "validation and test are drawn from the seed".to_string(),
        given if given.len() == 3 => "all parts as published".to_string(),
        _ => "test as published; validation is drawn from the training images by the seed".to_string(),
    }
}

fn sizes_text(found: &Inspection) -> String {
    let mut sizes = found.sizes.clone();
    sizes.sort_by_key(|(size, images)| (std::cmp::Reverse(*images), *size));
    let one = |((height, width), images): &((usize, usize), usize)| format!("{images} of {height}×{width}");
    let mut text = sizes.iter().take(MOST_SIZES).map(one).collect::<Vec<_>>().join(", ");
    if sizes.len() > MOST_SIZES {
        let sides = sizes.iter().flat_map(|((height, width), _)| [*height, *width]);
        let (low, high) = sides.fold((usize::MAX, 0), |(low, high), side| (low.min(side), high.max(side)));
        text += &format!(", and {} other sizes; sides from {low} to {high} pixels", sizes.len() - MOST_SIZES);
    }
    text + " (rows×columns)"
}

fn inspection_json(found: &Inspection, sheet: Option<&Path>) -> Value {
    let (set, shape) = (&found.dataset, found.dataset.shape());
    let size = |((height, width), images): &((usize, usize), usize)| json!({ "height": height, "width": width, "images": images });
    json!({
        "schema_version": 1,
        "name": set.name,
        "format": found.format,
        "classes": found.classes,
        "training_images": set.train.len(),
        "validation_images": set.validation.len(),
        "test_images": set.test.len(),
        "given_parts": found.given,
        "shape": { "channels": shape.channels, "height": shape.height, "width": shape.width },
        "sizes": found.sizes.iter().map(size).collect::<Vec<_>>(),
        "mean": set.mean,
        "std": set.std,
        "repeated_images": set.repeated,
        "contradictory_images": set.contradictory,
        "digest": set.digest,
        "warnings": found.warnings,
        "sheet": sheet,
    })
}

fn fetch_set(args: &FetchArgs) -> anyhow::Result<Exit> {
    let folder = args.to.clone().unwrap_or_else(|| PathBuf::from(args.name.name));
    let transfer = Transfer::new();
    eprintln!("{}: {}, from {}", args.name.name, args.name.about, args.from.as_deref().unwrap_or(args.name.base));
    let fetched = fetch(&args.name, &folder, args.from.as_deref(), &mut |fetching| match fetching {
        Fetching::Present(file) => transfer.line(&format!("  {file} is there")),
        Fetching::Bytes(file, done, of) => transfer.advance(file, done, of),
        Fetching::Checked(file) => transfer.line(&format!("  {file} is whole")),
        Fetching::Unpacking(file) => transfer.line(&format!("  unpacking {file}")),
    });
    transfer.finish();
    fetched?;
    match args.json {
        true => print_json(&json!({ "schema_version": 1, "name": args.name.name, "folder": folder }))?,
        false => print(&format!("{}\n", folder.display()))?,
    }
    eprintln!("next: `netwright compile --data {}`", folder.display());
    Ok(Exit::Done)
}
