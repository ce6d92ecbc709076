//! Class folders: images in `DIR/<class>/`, or in `DIR/train/<class>/` beside a test or validation part.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::collection::{Collection, Sizes, check_same_classes};
use super::decode::{read_image, read_size};
use super::listing::{Entry, entries, is_packed};
use super::raw::check_memory;
use super::split::limit;
use super::{DataError, Format, Images, OpenOptions};
use crate::graph::Shape;

/// Names of a folder with a validation part.
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Reads class folders.
pub(super) fn read(path: &Path, options: &OpenOptions) -> Result<Collection, DataError> {
    let layout = Layout::of(path)?;
    let pool = Listing::of(&layout.pool, options)?;
    let list = |folder: &Option<PathBuf>| folder.as_deref().map(|f| Listing::of(f, options)).transpose();
    let (validation, test) = (list(&layout.validation)?, list(&layout.test)?);
    for listing in [&validation, &test].into_iter().flatten() {
        listing.check_sorted()?;
    }
    let named = [("validation", &validation), ("test", &test)];
    let checks = named.into_iter().filter_map(|(part, listing)| listing.as_ref().map(|l| (part, l)));
    DataError::collect(checks.map(|(part, l)| check_same_classes(path, part, &pool.classes, &l.classes)).collect())?;

    let listings: Vec<&Listing> = [Some(&pool), validation.as_ref(), test.as_ref()].into_iter().flatten().collect();
    let files: Vec<&Path> = listings.iter().flat_map(|l| l.files.iter().map(PathBuf::as_path)).collect();
    let (shape, pixels, sizes) = decode_all(path, &files, options)?;
    let mut rest = pixels.as_slice();
    let mut part = |listing: &Listing| {
        let (own, others) = rest.split_at(listing.files.len() * shape.elements());
        rest = others;
        Images::new(shape, own.to_vec(), listing.labels.clone())
    };
    Ok(Collection {
        path: path.to_path_buf(),
        format: Format::Folders,
        sizes,
        pool: part(&pool),
        validation: validation.as_ref().map(&mut part),
        test: test.as_ref().map(&mut part),
        classes: pool.classes,
    })
}

/// The folders whose subfolders are classes.
struct Layout {
    pool: PathBuf,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl Layout {
    fn of(path: &Path) -> Result<Self, DataError> {
        let inside = entries(path)?;
        let folder = |names: &[&str]| {
            inside.iter().find(|e| e.is_folder && names.contains(&e.name.as_str())).map(|e| e.path.clone())
        };
        // A class may be called `train`: as a part of a set it has folders inside.
        let train = folder(&["train"]).filter(|t| entries(t).is_ok_and(|inside| inside.iter().any(|e| e.is_folder)));
        let (validation, test) = (folder(&VALIDATION), folder(&["test"]));
        match (train, validation, test) {
            (Some(pool), validation, None) => Ok(Layout { pool, validation: None, test: validation }),
            (Some(pool), validation, test) => Ok(Layout { pool, validation, test }),
            (None, ..) if inside.iter().any(|e| e.is_folder) => {
                Ok(Layout { pool: path.to_path_buf(), validation: None, test: None })
            }
            (None, ..) => Err(nothing_known(path, &inside)),
        }
    }
}

/// The images of one part: their files and classes.
struct Listing {
    classes: Vec<String>,
    files: Vec<PathBuf>,
    labels: Vec<usize>,
}

impl Listing {
    fn of(folder: &Path, options: &OpenOptions) -> Result<Self, DataError> {
        let mut listing = Listing { classes: Vec::new(), files: Vec::new(), labels: Vec::new() };
        let mut faults = Vec::new();
        for entry in entries(folder)? {
            if entry.is_folder {
                listing.add_class(&entry, &mut faults);
            } else if is_image(&entry) {
                let reason = format!("image `{}` lies outside of the class folders", entry.name);
                let hint = "move it into the folder of its class, or away";
                faults.push(DataError::Classes { path: folder.to_path_buf(), reason, hint });
            }
        }
        DataError::all(faults)?;
        if listing.files.is_empty() {
            return Err(nothing_known(folder, &[]));
        }
        if let Some(most) = options.max_per_class {
            let kept = limit(&listing.labels, most, options.seed);
            listing.files = kept.iter().map(|i| listing.files[*i].clone()).collect();
            listing.labels = kept.iter().map(|i| listing.labels[*i]).collect();
        }
        Ok(listing)
    }

    /// Refuses a part with its images in one folder `images`, as Tiny-ImageNet has its validation part.
    fn check_sorted(&self) -> Result<(), DataError> {
        match (self.classes.as_slice(), self.files.first().and_then(|file| file.parent())) {
            ([only], Some(folder)) if only == "images" => Err(DataError::Unrecognised {
                path: folder.to_path_buf(),
                reason: "the images of this part are not sorted by class".into(),
                hint: "sort them into class folders, or give the training part alone: `--data DIR/train`",
            }),
            _ => Ok(()),
        }
    }

    fn add_class(&mut self, class: &Entry, faults: &mut Vec<DataError>) {
        self.classes.push(class.name.clone());
        let inside = images_of(&class.path).map_err(|fault| faults.push(fault)).unwrap_or_default();
        let (images, others): (Vec<Entry>, Vec<Entry>) = inside.into_iter().partition(is_image);
        faults.extend(others.into_iter().map(|other| match other.is_folder {
            true => DataError::Unrecognised {
                path: other.path,
                reason: "it is a folder inside of a class folder".into(),
                hint: "put the images into the class folder itself",
            },
            false => DataError::NotAnImage { path: other.path },
        }));
        self.labels.resize(self.labels.len() + images.len(), self.classes.len() - 1);
        self.files.extend(images.into_iter().map(|e| e.path));
    }
}

/// What lies in a class folder, or in the folder `images` inside of it, as in Tiny-ImageNet, where the files beside that
/// folder are about the images.
fn images_of(class: &Path) -> Result<Vec<Entry>, DataError> {
    let inside = entries(class)?;
    let images = inside.iter().find(|e| e.is_folder && e.name.eq_ignore_ascii_case("images"));
    match images {
        Some(images) if !inside.iter().any(is_image) => entries(&images.path),
        _ => Ok(inside),
    }
}

fn is_image(entry: &Entry) -> bool {
    let extension = entry.path.extension().map(|e| e.to_string_lossy().to_lowercase());
    !entry.is_folder && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

fn nothing_known(path: &Path, inside: &[Entry]) -> DataError {
    if let Some(packed) = inside.iter().find(|e| is_packed(&e.name)) {
        return DataError::Archive { path: packed.path.clone() };
    }
    let reason = match inside.iter().any(is_image) {
        true => "its images are not in class folders",
        false => "there is no image in a class folder, and no IDX, CIFAR or `.npz` file",
    };
    DataError::Unrecognised {
        path: path.to_path_buf(),
        reason: reason.into(),
        hint: "put the images of each class into a folder: `DIR/<class>/*.png` or `*.jpg`",
    }
}

/// Decodes files in parallel into one array, (file, channel, row, column), with one channel if all images are grey; and how
/// many images there are of each own height and width.
fn decode_all(path: &Path, files: &[&Path], options: &OpenOptions) -> Result<(Shape, Vec<u8>, Sizes), DataError> {
    let mut sizes = Sizes::new();
    for size in DataError::collect(files.par_iter().map(|file| read_size(file)).collect())? {
        *sizes.entry(size).or_insert(0) += 1;
    }
    let (height, width) = options.target_size(&sizes);
    let shape = Shape::new(3, height, width);
    check_memory(path, files.len(), shape)?;
    let mut pixels = vec![0; files.len() * shape.elements()];
    let decoded = files.par_iter().zip(pixels.par_chunks_exact_mut(shape.elements())).map(|(file, out)| {
        out.copy_from_slice(&read_image(file, height, width)?);
        Ok(())
    });
    DataError::collect(decoded.collect())?;
    let (shape, pixels) = without_equal_channels(shape, pixels);
    Ok((shape, pixels, sizes))
}

/// Whether the three channels of every image are the same.
pub(super) fn are_grey(shape: Shape, pixels: &[u8]) -> bool {
    let plane = shape.plane();
    let is_grey = |image: &[u8]| image[..plane] == image[plane..2 * plane] && image[..plane] == image[2 * plane..];
    pixels.par_chunks_exact(shape.elements()).all(is_grey)
}

/// Images whose three channels are all the same, with one channel.
pub(super) fn without_equal_channels(shape: Shape, pixels: Vec<u8>) -> (Shape, Vec<u8>) {
    if !are_grey(shape, &pixels) {
        return (shape, pixels);
    }
    let plane = shape.plane();
    let grey = pixels.chunks_exact(shape.elements()).flat_map(|image| &image[..plane]).copied().collect();
    (Shape { channels: 1, ..shape }, grey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use image::{Rgb, RgbImage};

    /// Writes `n` different images, their class in the red channel.
    fn write_class(folder: &Path, class: &str, red: u8, n: usize, first: usize) {
        let folder = folder.join(class);
        std::fs::create_dir_all(&folder).unwrap();
        for i in first..first + n {
            let name = folder.join(format!("{i:03}.png"));
            RgbImage::from_fn(4, 4, |x, _| Rgb([red, i as u8, x as u8])).save(name).unwrap();
        }
    }

    fn open(folder: &Path) -> Result<Dataset, DataError> {
        Dataset::open(folder, &OpenOptions::default())
    }

    #[test]
    fn class_folders_come_back_pixel_for_pixel() {
        let folder = tempfile::tempdir().unwrap();
        write_class(folder.path(), "b", 20, 30, 0);
        write_class(folder.path(), "a", 10, 20, 0);
        let set = open(folder.path()).unwrap();
        assert_eq!(set.classes, ["a", "b"]);
        assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), [40, 5, 5]);
        assert_eq!(set.shape(), Shape::new(3, 4, 4));
        for part in [&set.train, &set.validation, &set.test] {
            for i in 0..part.len() {
                let pixels = part.pixels(i);
                assert_eq!(pixels[..16], [10 + 10 * part.label(i) as u8; 16]);
                assert_eq!(pixels[32..], [0, 1, 2, 3].repeat(4));
            }
        }
        assert_eq!(set.digest, open(folder.path()).unwrap().digest);
        let other = Dataset::open(folder.path(), &OpenOptions { seed: 1, ..OpenOptions::default() }).unwrap();
        assert_ne!(set.digest, other.digest, "another seed splits otherwise");
    }

    #[test]
    fn images_may_lie_one_folder_deeper_beside_files_about_them() {
        let folder = tempfile::tempdir().unwrap();
        for (class, red) in [("a", 1), ("b", 2)] {
            write_class(&folder.path().join(class), "images", red, 5, 0);
            std::fs::write(folder.path().join(class).join("boxes.txt"), "0 0 4 4").unwrap();
        }
        assert_eq!(open(folder.path()).unwrap().classes, ["a", "b"]);
    }

    #[test]
    fn a_given_part_becomes_the_test_part() {
        for (given, lengths) in
            [(["test", "test"], [18, 2, 8]), (["val", "val"], [18, 2, 8]), (["test", "valid"], [20, 8, 8])]
        {
            let folder = tempfile::tempdir().unwrap();
            for (class, red) in [("a", 1), ("b", 2)] {
                write_class(&folder.path().join("train"), class, red, 10, 0);
                write_class(&folder.path().join(given[0]), class, red, 4, 10);
                write_class(&folder.path().join(given[1]), class, red, 4, if given[0] == given[1] { 10 } else { 14 });
            }
            std::fs::write(folder.path().join("README.md"), "about").unwrap();
            let set = open(folder.path()).unwrap();
            assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), lengths, "{given:?}");
            assert_eq!(set.test.pixels(0)[16], 10);
        }
    }

    #[test]
    fn grey_images_have_one_channel_and_sizes_are_made_equal() {
        let folder = tempfile::tempdir().unwrap();
        for (class, side) in [("a", 40), ("b", 50)] {
            std::fs::create_dir(folder.path().join(class)).unwrap();
            for i in 0..4u8 {
                let image = image::GrayImage::from_pixel(side, side, image::Luma([side as u8 + i]));
                image.save(folder.path().join(class).join(format!("{i}.PNG"))).unwrap();
            }
        }
        let set = open(folder.path()).unwrap();
        assert_eq!(set.shape(), Shape::new(1, 32, 32));
        assert!((40..44).contains(&set.train.pixels(0)[0]));
        let options = OpenOptions { side: Some(8), max_per_class: Some(3), ..OpenOptions::default() };
        let set = Dataset::open(folder.path(), &options).unwrap();
        assert_eq!((set.shape(), set.train.len()), (Shape::new(1, 8, 8), 2));
    }

    #[test]
    fn all_foreign_files_are_named_at_once_and_hidden_ones_ignored() {
        let folder = tempfile::tempdir().unwrap();
        write_class(folder.path(), "a", 1, 3, 0);
        write_class(folder.path(), "b", 2, 3, 0);
        std::fs::write(folder.path().join("a/.DS_Store"), "x").unwrap();
        assert!(open(folder.path()).is_ok());
        std::fs::write(folder.path().join("a/notes.txt"), "x").unwrap();
        std::fs::create_dir(folder.path().join("b/more")).unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("notes.txt` is not a PNG or JPEG image"), "{error}");
        assert!(error.contains("more` holds no data set: it is a folder inside of a class folder"), "{error}");
        std::fs::remove_file(folder.path().join("a/notes.txt")).unwrap();
        std::fs::remove_dir(folder.path().join("b/more")).unwrap();
        std::fs::write(folder.path().join("a/text.png"), "no image").unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("text.png"));
    }

    #[test]
    fn a_folder_that_is_no_data_set_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| open(path).unwrap_err().to_string();
        assert!(error(&folder.path().join("gone")).contains("does not exist"));
        assert!(error(folder.path()).contains("no image in a class folder, and no IDX, CIFAR or `.npz` file"));
        let packed = folder.path().join("set.tar.gz");
        std::fs::write(&packed, "x").unwrap();
        for path in [folder.path(), &packed] {
            assert!(error(path).contains("unpack it first: `tar -xf "), "{}", error(path));
        }
        RgbImage::new(2, 2).save(folder.path().join("loose.png")).unwrap();
        std::fs::remove_file(packed).unwrap();
        assert!(error(folder.path()).contains("its images are not in class folders"));
        std::fs::remove_file(folder.path().join("loose.png")).unwrap();
        write_class(folder.path(), "only", 1, 5, 0);
        assert!(error(folder.path()).contains("only one class, `only`"));
    }

    #[test]
    fn a_part_that_is_not_sorted_by_class_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        ["a", "b"].iter().for_each(|class| write_class(&folder.path().join("train"), class, 1, 3, 0));
        write_class(&folder.path().join("val"), "images", 1, 3, 10);
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not sorted by class") && error.contains("--data DIR/train"), "{error}");
    }

    #[test]
    fn a_test_part_with_other_classes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (part, classes) in [("train", ["a", "b"]), ("test", ["b", "c"])] {
            classes.iter().for_each(|class| write_class(&folder.path().join(part), class, 1, 3, 0));
        }
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("the test part lacks `a`; the training part lacks `c`"), "{error}");
    }
}
