//! The finished images in the cache.

use std::fs::{self, File};
use std::path::Path;

use crate::cache::{Cache, prune, remove_dir, rename};
use crate::error::ImageError;
use crate::image::Image;

impl Cache {
    /// Returns the image with the key, if it exists. Images are created by a rename, so an existing
    /// one is complete.
    pub(crate) fn image(&self, kind: &str, key: &str) -> Option<Image> {
        let root = self.path(kind).join(key);
        let image = Image::load(&root, key)?;
        // `prune` uses the time of last use.
        if let Ok(folder) = File::open(&root) {
            let _ = folder.set_modified(std::time::SystemTime::now());
        }
        Some(image)
    }

    /// Returns all images of a kind, the last used at the end.
    pub(crate) fn images(&self, kind: &str) -> Vec<Image> {
        let folder = fs::read_dir(self.path(kind)).into_iter().flatten();
        let mut found: Vec<_> = folder
            .flatten()
            .filter_map(|entry| {
                let key = entry.file_name().to_string_lossy().into_owned();
                let used = entry.metadata().and_then(|it| it.modified()).ok();
                Some((used, Image::load(&entry.path(), &key)?))
            })
            .collect();
        found.sort_by_key(|(used, _)| *used);
        found.into_iter().map(|(_, image)| image).collect()
    }

    /// Moves a finished image to its place and drops the oldest of its kind.
    pub(crate) fn publish(&self, made: &Path, kind: &str, key: &str) -> Result<Image, ImageError> {
        let folder = self.folder(kind)?;
        let place = folder.join(key);
        // An existing folder is not an image, or it would have been used.
        remove_dir(&place)?;
        rename(made, &place)?;
        prune(&folder);
        Image::load(&place, key).ok_or_else(|| ImageError::File {
            doing: "read",
            path: place,
            hint: "remove the folder and run again",
            source: std::io::ErrorKind::InvalidData.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{make_dir, tests::fixture};
    use crate::progress::Silent;

    #[test]
    fn an_image_is_there_when_published_and_not_before() {
        let (_root, cache) = fixture();
        let temp = cache.temp(&cache.lock("build", &Silent).unwrap()).unwrap();
        let made = temp.path().join("image");
        make_dir(&made.join("include")).unwrap();
        fs::write(made.join(crate::x86::IMAGE), "x").unwrap();
        assert!(cache.image("images", "k").is_none());
        fs::write(made.join("release"), "7.3.4\n").unwrap();
        let image = cache.publish(&made, "images", "k").unwrap();
        assert_eq!(image.release, "7.3.4");
        assert_eq!(cache.image("images", "k"), Some(image));
    }
}
