//! Builds the kernels of mutants.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use vm_images::{Compiled, ImageError, KernelWorkTree, Progress};

use crate::{
    mutant::Mutant,
    patch::{self, Patch, PatchError},
    together,
};

/// Why a kernel could not be built.
#[derive(Debug, thiserror::Error)]
pub enum MutantBuildError {
    /// The tree could not be built.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The tree could not be changed.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// A file of the work tree could not be read or written.
    #[error("reading or writing {}: {source}; remove the work tree in the cache and run again",
             path.display())]
    File {
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// A source tree, and the unchanged kernel built from it.
pub struct MutantBuilder {
    work_tree: KernelWorkTree,
    plain: PathBuf,
}

impl MutantBuilder {
    /// Restores what a killed run left changed, and builds the unchanged tree.
    pub fn open(
        work_tree: KernelWorkTree,
        progress: &dyn Progress,
    ) -> Result<Self, MutantBuildError> {
        patch::restore(&work_tree.source(), &work_tree.beside("undo"))?;
        let made = work_tree.compile("compiling the unchanged kernel", progress)?;
        let plain = work_tree.keep(&made.kernel, "plain")?;
        Ok(Self { work_tree, plain })
    }

    /// The top of the tree.
    pub fn tree(&self) -> PathBuf {
        self.work_tree.source()
    }

    /// Returns the unchanged kernel.
    pub fn plain(&self) -> &Path {
        &self.plain
    }

    /// Returns a file beside the tree, for data kept between runs.
    pub fn memory(&self, name: &str) -> PathBuf {
        self.work_tree.beside(name)
    }

    /// Builds the kernel with one mutant, or returns why it is not worth running. The tree is
    /// unchanged again when this returns.
    pub fn one(
        &self,
        mutant: &Mutant,
        progress: &dyn Progress,
    ) -> Result<Result<PathBuf, String>, MutantBuildError> {
        let path = self.tree().join(&mutant.file);
        let text = self.read(&path)?;
        let files = vec![(mutant.file.clone(), mutant.edit.apply(&text))];
        let made = self.build(&files, &format!("compiling {}", mutant.id), progress)?;
        let same = self.read_bytes(&made.kernel)? == self.read_bytes(&self.plain)?;
        Ok(match made.warnings.first() {
            Some(warning) => Err(format!("the compiler warns: {warning}")),
            None if same => Err("the kernel image is the same".to_owned()),
            None => Ok(made.kernel),
        })
    }

    /// Builds one kernel with all mutants; see [`together`]. It is built again only if they change.
    pub fn together(
        &self,
        mutants: &[Mutant],
        progress: &dyn Progress,
    ) -> Result<Compiled, MutantBuildError> {
        let tree = self.tree();
        let files = together::files(&tree, mutants);
        let files = files.map_err(|source| MutantBuildError::File { path: tree, source })?;
        let source: String = files.iter().map(|(_, text)| text.as_str()).collect();
        let (kept, made_of) = (self.memory("kept/together"), self.memory("together.source"));
        if kept.exists() && fs::read_to_string(&made_of).is_ok_and(|had| had == source) {
            let (kernel, warnings) = (kept, Vec::new());
            return Ok(Compiled { kernel, warnings });
        }
        let made = self.build(&files, "compiling the kernel with all mutants", progress)?;
        let kernel = self.work_tree.keep(&made.kernel, "together")?;
        if made.warnings.is_empty() {
            fs::write(&made_of, source).map_err(|source| unread(&made_of, source))?;
        }
        Ok(Compiled {
            kernel,
            warnings: made.warnings,
        })
    }

    fn build(
        &self,
        files: &[(String, String)],
        stage: &str,
        progress: &dyn Progress,
    ) -> Result<Compiled, MutantBuildError> {
        let undo = self.work_tree.beside("undo");
        let patch = Patch::apply(&self.tree(), &undo, files)?;
        let made = self.work_tree.compile(stage, progress);
        patch.take_back()?;
        Ok(made?)
    }

    fn read(&self, path: &Path) -> Result<String, MutantBuildError> {
        fs::read_to_string(path).map_err(|source| unread(path, source))
    }

    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, MutantBuildError> {
        fs::read(path).map_err(|source| unread(path, source))
    }
}

fn unread(path: &Path, source: io::Error) -> MutantBuildError {
    MutantBuildError::File {
        path: path.to_owned(),
        source,
    }
}
