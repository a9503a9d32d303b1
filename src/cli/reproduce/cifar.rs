//! CIFAR-10 as a whole: the published archive, where it is unpacked in the data folder. Tasks that ship read the first 4,000
//! of its pictures.

use super::lab::Lab;
use qgd::data::Format;
use qgd::rng::fnv1a;
use qgd::task::TaskSpec;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const FOLDER: &str = "cifar-10-batches-bin";
const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
/// Bytes of a picture: its class, then 32×32 values of each of three colors.
const PICTURE: usize = 3073;
/// Hash of the first picture of the published archive.
const FIRST_PICTURE: u64 = 0x82b8_686d_8907_4119;

/// All 60,000 pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive {
    /// Whether its first picture is the published one. It is not where the files were made of JPEG pictures, which are
    /// lossy.
    pub is_original: bool,
}

impl Archive {
    /// The archive, if it is there.
    pub fn find(lab: &Lab) -> Option<Self> {
        Self::in_folder(&lab.machine().data_dir.as_ref()?.join(FOLDER))
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        // Whoever reads all pictures says what is wrong with the files.
        let picture = File::open(folder.join(FILES[0])).and_then(|mut file| {
            let mut picture = [0; PICTURE];
            file.read_exact(&mut picture).map(|()| picture)
        });
        let is_original = picture.is_ok_and(|picture| fnv1a(&picture) == FIRST_PICTURE);
        folder.is_dir().then_some(Self { is_original })
    }

    /// What pictures are read where this archive was found, or none.
    pub fn in_words(archive: Option<Self>) -> &'static str {
        match archive {
            None => "pictures of the first 4,000 of the published archive, as they were published (no JPEG)",
            Some(Self { is_original: true }) => "pictures of the published archive",
            Some(Self { is_original: false }) => {
                "pictures of an archive that **is not the published one**: its first picture is another, as where it was \
                 made of JPEG pictures, which are lossy. No accuracy on them can be compared with a published one"
            }
        }
    }

    /// Makes a task read the archive.
    pub fn replace(self, task: &mut TaskSpec) {
        task.data.path = FOLDER.into();
        task.data.format = Format::Cifar { files: FILES.map(str::to_owned).to_vec() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_was_made_of_other_pictures_is_told_from_the_published_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Archive::in_folder(&folder.path().join("none")), None);
        assert_eq!(Archive::in_folder(folder.path()), Some(Archive { is_original: false }));
        std::fs::write(folder.path().join(FILES[0]), [6; PICTURE]).unwrap();
        let other = Archive::in_folder(folder.path());
        assert_eq!(other, Some(Archive { is_original: false }));
        assert!(Archive::in_words(other).contains("is not the published one"));
    }
}
