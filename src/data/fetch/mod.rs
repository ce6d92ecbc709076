//! Published data sets from their publishers, checked against the checksums that are published for them. This is the only
//! place that uses the network, and only when it is asked to.

mod download;
mod unpack;

use std::path::Path;

use download::{download, is_whole};
use unpack::unpack;

use super::DataError;

/// A published data set.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Where its files lie: what comes before their names.
    pub base: &'static str,
    files: &'static [Remote],
    /// Files to take out of the archive that it is published as; empty if its files are read as they come.
    members: &'static [&'static str],
}

/// A file with its MD5 checksum in hexadecimal. MD5 is what the publishers give; against forgery there is HTTPS.
#[derive(Debug, Clone, Copy)]
struct Remote {
    name: &'static str,
    md5: &'static str,
}

impl Published {
    /// All that can be fetched.
    pub const ALL: [Published; 4] = [MNIST, FASHION_MNIST, CIFAR_10, CIFAR_100];
}

impl std::str::FromStr for Published {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Published::ALL.map(|set| set.name).join(", ");
        Published::ALL.into_iter().find(|set| set.name == text).ok_or(format!("there are {names}"))
    }
}

/// Checksums as torchvision lists them (`torchvision/datasets/mnist.py`), whose mirror this is: the publisher's own site
/// (<http://yann.lecun.com/exdb/mnist/>) answers programs no longer.
const MNIST: Published = Published {
    name: "mnist",
    about: "handwritten digits, 70,000 grey images of 28×28",
    base: "https://ossci-datasets.s3.amazonaws.com/mnist",
    files: &[
        Remote { name: "train-images-idx3-ubyte.gz", md5: "f68b3c2dcbeaaa9fbdd348bbdeb94873" },
        Remote { name: "train-labels-idx1-ubyte.gz", md5: "d53e105ee54ea40749a09fcbcd1e9432" },
        Remote { name: "t10k-images-idx3-ubyte.gz", md5: "9fb629c4189551a2d022fa330f9573f3" },
        Remote { name: "t10k-labels-idx1-ubyte.gz", md5: "ec29112dd5afa0611ce80d1b7f02629c" },
    ],
    members: &[],
};

/// Checksums from the publisher (<https://github.com/zalandoresearch/fashion-mnist>), in whose repository the files lie.
const FASHION_MNIST: Published = Published {
    name: "fashion-mnist",
    about: "pieces of clothing, 70,000 grey images of 28×28",
    base: "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    files: &[
        Remote { name: "train-images-idx3-ubyte.gz", md5: "8d4fb7e6c68d591d4c3dfef9ec88bf0d" },
        Remote { name: "train-labels-idx1-ubyte.gz", md5: "25c81989df183df01b3e8a0aad5dffbe" },
        Remote { name: "t10k-images-idx3-ubyte.gz", md5: "bef4ecab320f06d8554ea6380940ec79" },
        Remote { name: "t10k-labels-idx1-ubyte.gz", md5: "bb300cfdad3c16e7a12a480ee83cd310" },
    ],
    members: &[],
};

/// Checksum from the publisher (<https://www.cs.toronto.edu/~kriz/cifar.html>).
const CIFAR_10: Published = Published {
    name: "cifar10",
    about: "60,000 colour images of 32×32 in 10 classes",
    base: "https://www.cs.toronto.edu/~kriz",
    files: &[Remote { name: "cifar-10-binary.tar.gz", md5: "c32a1d4ab5d03f1284b67883e8d87530" }],
    members: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
        "test_batch.bin",
        "batches.meta.txt",
    ],
};

/// Checksum from the publisher (<https://www.cs.toronto.edu/~kriz/cifar.html>).
const CIFAR_100: Published = Published {
    name: "cifar100",
    about: "60,000 colour images of 32×32 in 100 classes",
    base: "https://www.cs.toronto.edu/~kriz",
    files: &[Remote { name: "cifar-100-binary.tar.gz", md5: "03b5dce01913d631647c71ecec9e9cb8" }],
    members: &["train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"],
};

/// How far fetching is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetching<'a> {
    /// A file is there already, whole.
    Present(&'a str),
    /// So many bytes of a file are there, of so many if the server says.
    Bytes(&'a str, u64, Option<u64>),
    /// A file is whole: its checksum is right.
    Checked(&'a str),
    /// An archive is being unpacked.
    Unpacking(&'a str),
}

/// Fetches a data set into a folder, from `from` instead of its publisher if that is given. What is there already is not
/// fetched again, and a download that broke off goes on where it stopped. Under its final name there is a whole file or
/// none.
///
/// # Errors
/// If the server cannot be reached or breaks off, if what it sends has another checksum, or if the folder cannot be
/// written.
pub fn fetch(
    set: &Published,
    folder: &Path,
    from: Option<&str>,
    watch: &mut dyn FnMut(Fetching),
) -> Result<(), DataError> {
    let base = from.unwrap_or(set.base).trim_end_matches('/');
    if !["http://", "https://"].iter().any(|scheme| base.starts_with(scheme)) {
        let expected = "an address that begins with `https://` or `http://`";
        return Err(DataError::Option { option: "from", found: format!("`{base}`"), expected });
    }
    std::fs::create_dir_all(folder).map_err(|e| DataError::write(folder, &e))?;
    // Members are only ever there whole, so that all of them together need no archive.
    if !set.members.is_empty() && set.members.iter().all(|name| folder.join(name).is_file()) {
        set.members.iter().for_each(|name| watch(Fetching::Present(name)));
        return Ok(());
    }
    for file in set.files {
        let path = folder.join(file.name);
        if is_whole(&path, file.md5)? {
            watch(Fetching::Present(file.name));
        } else {
            let url = format!("{base}/{}", file.name);
            download(&url, &path, file.md5, &mut |done, of| watch(Fetching::Bytes(file.name, done, of)))?;
            watch(Fetching::Checked(file.name));
        }
        if !set.members.is_empty() {
            watch(Fetching::Unpacking(file.name));
            unpack(&path, folder, set.members)?;
            // What is unpacked is all that is read; the archive would only take space.
            std::fs::remove_file(&path).map_err(|e| DataError::write(&path, &e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
