//! Data sets as tasks: a source, some of its classes, changed images, so many of them.
//!
//! ```yaml
//! tasks:
//! - name: bolts-in-grey
//!   source: built-in             # or built-in:textures, built-in:glyphs, or a folder, beside this file if relative
//!   classes: [bolt-hex, nut-hex] # all if absent
//!   transforms: [grey, {rotate: 90}, {blur: 1.5}, {colour-jitter: 0.4}, invert]
//!   images: 500                  # for training; all if absent
//!   held-out: 300                # most for validation, and most for test
//!   side: 24                     # pixels; not for `built-in` itself
//!   seed: 1                      # chooses images
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LabelError;
use crate::data::{Family, Transform};

/// The source of the built-in images.
pub const BUILT_IN_SOURCE: &str = "built-in";
/// What the name of another procedural source begins with.
const FAMILY_PREFIX: &str = "built-in:";
/// A list of a thousand tasks is a tenth of this.
const LARGEST_LIST: u64 = 4 << 20;
/// Images for validation, and for test, if nothing else is said.
const HELD_OUT: usize = 1000;
/// Sides in pixels that images can have.
const SIDES: std::ops::RangeInclusive<usize> = 4..=1024;
/// Columns of a table that no task may be named after.
const RESERVED: [&str; 5] = ["network", "macs", "params", "peak_ram_bytes", "seconds"];

/// Whether images of a source are drawn, not read.
pub fn is_built_in(source: &str) -> bool {
    source == BUILT_IN_SOURCE || source.starts_with(FAMILY_PREFIX)
}

/// The family of procedural pictures that a source names.
///
/// # Errors
/// With the reason, if there is no such family.
pub fn family_of(source: &str) -> Result<Option<Family>, String> {
    let Some(name) = source.strip_prefix(FAMILY_PREFIX) else {
        return Ok(None);
    };
    let known = Family::ALL.map(|family| format!("`{FAMILY_PREFIX}{}`", family.name())).join(", ");
    let unknown = || format!("there are no built-in images `{name}`: `{BUILT_IN_SOURCE}`, {known}");
    Family::named(name).map(Some).ok_or_else(unknown)
}

/// A data set made from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataTask {
    /// What it is called; a column of the table.
    pub name: String,
    /// A folder, `built-in`, or `built-in:` and the name of a [`Family`].
    #[serde(default = "built_in")]
    pub source: String,
    /// Classes of the source; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Changes of every image, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<Transform>,
    /// Training images, with the classes' shares; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Most images for validation, and for test.
    #[serde(default = "held_out")]
    pub held_out: usize,
    /// Side in pixels to which images are resized; built-in images keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<usize>,
    /// Chooses the images.
    #[serde(default)]
    pub seed: u64,
}

fn built_in() -> String {
    BUILT_IN_SOURCE.to_string()
}

fn held_out() -> usize {
    HELD_OUT
}

impl DataTask {
    /// The whole of a source.
    pub fn whole(name: &str, source: &str) -> Self {
        DataTask {
            name: name.to_string(),
            source: source.to_string(),
            classes: Vec::new(),
            transforms: Vec::new(),
            images: None,
            held_out: HELD_OUT,
            side: None,
            seed: 0,
        }
    }

    /// The name of the column with accuracies on test images.
    pub fn test_column(&self) -> String {
        format!("{}.test", self.name)
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            faults.push("a name has letters, digits, `-` and `_` only".to_string());
        }
        if RESERVED.contains(&self.name.as_str()) {
            faults.push("a column of the table has this name already".to_string());
        }
        if self.classes.len() == 1 {
            faults.push("one class leaves nothing to tell apart".to_string());
        }
        let mut seen = BTreeSet::new();
        let twice = self.classes.iter().filter(|class| !seen.insert(*class));
        faults.extend(twice.map(|class| format!("class `{class}` is there twice")));
        faults.extend(self.transforms.iter().filter_map(|transform| transform.fault()));
        if self.images.is_some_and(|images| images < 2) {
            faults.push("`images` must be at least 2".to_string());
        }
        if self.held_out == 0 {
            faults.push("`held-out` must be at least 1".to_string());
        }
        if self.side.is_some() && self.source == BUILT_IN_SOURCE {
            faults.push("built-in images keep their side".to_string());
        }
        if self.side.is_some_and(|side| !SIDES.contains(&side)) {
            faults.push(format!("`side` must be {} to {}", SIDES.start(), SIDES.end()));
        }
        faults.extend(family_of(&self.source).err());
        faults
    }
}

/// Tasks with different names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskList {
    /// The tasks.
    pub tasks: Vec<DataTask>,
}

impl TaskList {
    /// Reads a list; folders that it names are beside it.
    ///
    /// # Errors
    /// With all that is wrong.
    pub fn open(path: &Path) -> Result<Self, LabelError> {
        let unreadable = |reason: String| LabelError::Unreadable { path: path.to_path_buf(), reason };
        let size = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
        if size > LARGEST_LIST {
            return Err(unreadable(format!("{size} bytes are no list of tasks")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
        let wrong = |faults: String| LabelError::Tasks { path: path.to_path_buf(), faults };
        let list: TaskList = serde_saphyr::from_str(&text).map_err(|e| wrong(yaml_fault(&e.to_string())))?;
        let list = list.beside(path.parent().unwrap_or(Path::new("")));
        match list.faults() {
            faults if faults.is_empty() => Ok(list),
            faults => Err(wrong(faults.join("\n"))),
        }
    }

    /// What is wrong with the tasks, a line for each fault.
    pub fn faults(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut faults = Vec::new();
        if self.tasks.is_empty() {
            faults.push("  there is no task".to_string());
        }
        for (at, task) in self.tasks.iter().enumerate() {
            let mut own = task.faults();
            if !seen.insert(&task.name) {
                own.push("another task has this name".to_string());
            }
            faults.extend(own.into_iter().map(|fault| format!("  task {} `{}`: {fault}", at + 1, task.name)));
        }
        faults
    }

    /// The list as YAML.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("a list of tasks is plain data")
    }

    fn beside(mut self, folder: &Path) -> Self {
        for task in self.tasks.iter_mut().filter(|task| !is_built_in(&task.source)) {
            let path: PathBuf = folder.join(&task.source);
            task.source = path.display().to_string();
        }
        self
    }
}

/// What the reader says, without its own heading: the file is named already.
fn yaml_fault(told: &str) -> String {
    told.strip_prefix("error: ").unwrap_or(told).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<TaskList, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.yaml");
        std::fs::write(&path, yaml).unwrap();
        let told = |e: LabelError| e.to_string().replace(&folder.path().display().to_string(), "DIR");
        let mut list = TaskList::open(&path).map_err(told)?;
        for task in &mut list.tasks {
            task.source = task.source.replace(&folder.path().display().to_string(), "DIR");
        }
        Ok(list)
    }

    #[test]
    fn a_task_reads_as_documented_and_as_written() {
        let yaml = "tasks:\n- name: a\n  source: photos\n  classes: ['3', cat]\n  transforms: [grey, {rotate: 90}, {blur: 1.5}, \
                    {colour-jitter: 0.4}, invert]\n  images: 500\n  held-out: 300\n  side: 24\n  seed: 1\n- name: b\n";
        let list = read(yaml).unwrap();
        let expected = DataTask {
            classes: vec!["3".to_string(), "cat".to_string()],
            transforms: vec![
                Transform::Grey,
                Transform::Rotate(90),
                Transform::Blur(1.5),
                Transform::ColourJitter(0.4),
                Transform::Invert,
            ],
            images: Some(500),
            held_out: 300,
            side: Some(24),
            seed: 1,
            ..DataTask::whole("a", "DIR/photos")
        };
        assert_eq!(list.tasks, [expected, DataTask::whole("b", BUILT_IN_SOURCE)]);
        assert_eq!(serde_saphyr::from_str::<TaskList>(&list.to_yaml()).unwrap(), list);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let yaml = "tasks:\n- name: a b\n  transforms: [{rotate: 45}, {blur: -1}]\n- name: macs\n  classes: [x, x]\n  \
                    side: 8\n- name: macs\n  classes: [x]\n  images: 1\n  held-out: 0\n";
        let told = read(yaml).unwrap_err();
        for fault in [
            "task 1 `a b`: a name has letters, digits, `-` and `_` only",
            "task 1 `a b`: `rotate: 45` is not 90, 180 or 270 degrees",
            "task 1 `a b`: `blur: -1` is not above 0 and at most 8 pixels",
            "task 2 `macs`: a column of the table has this name already",
            "task 2 `macs`: class `x` is there twice",
            "task 2 `macs`: built-in images keep their side",
            "task 3 `macs`: one class leaves nothing to tell apart",
            "task 3 `macs`: `images` must be at least 2",
            "task 3 `macs`: `held-out` must be at least 1",
            "task 3 `macs`: another task has this name",
            "\nhint: ",
        ] {
            assert!(told.contains(fault), "{fault}: {told}");
        }
        let unknown = read("tasks:\n- name: a\n  colour: red\n").unwrap_err();
        assert!(unknown.contains("colour") && unknown.contains("line 3"), "{unknown}");
        assert!(read("tasks: []\n").unwrap_err().contains("there is no task"));
    }
}
