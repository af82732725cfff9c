"""From options to a corpus: found or fetched, read and checked."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.releases import Release, ReleaseFile, locate_corpus


def open_corpus(options: DictConfig, corpora_dir: str | Path) -> Corpus:
    """The corpus of ``data`` or ``eval_dataset``.

    ``options.path`` is set to where it was found, for the run to remember. Raises what
    :func:`locate_corpus` and :func:`read_corpus` raise.
    """
    values = OmegaConf.to_container(options, resolve=True)
    named = {name: values[name] for name in CorpusSource.__dataclass_fields__}
    release = values["release"]
    if release:
        files = tuple(
            ReleaseFile(**file | {"urls": tuple(file["urls"])}) for file in release["files"]
        )
        release = Release(**release | {"files": files})
    options.path = str(locate_corpus(CorpusSource(**named), release, corpora_dir))
    return read_corpus(CorpusSource(**named | {"path": options.path}))
