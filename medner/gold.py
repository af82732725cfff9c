"""The documents that a model is scored on, at home or away."""

import json
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from medner.data_report import fingerprint
from medner.documents import Document, entity_types
from medner.errors import ConfigError, UserError
from medner.id_files import some
from medner.runs import DATA_REPORT, SPLIT, load_config
from medner.scoring.label_map import LabelMap
from medner.sources import open_corpus


@dataclass(frozen=True)
class Gold:
    """``name`` is what tables and folders call it; ``types`` are those of the whole corpus, of
    which a part may lack some; ``label_map`` leads from the model's types to them, None where they
    are the same."""

    name: str
    documents: tuple[Document, ...]
    types: tuple[str, ...]
    label_map: LabelMap | None

    def check(self, model_types: tuple[str, ...]) -> None:
        """ConfigError if a model with these types cannot be scored here."""
        if self.label_map:
            self.label_map.check(model_types)
        elif not set(model_types) & set(self.types):
            raise ConfigError(
                f"{self.name} has none of the model's types ({some(model_types)}) but "
                f"{some(self.types)}; say which is which: eval_dataset/label_map=NAME"
            )


def read_gold(dataset: DictConfig, corpora_dir: str, run: Path | None) -> Gold:
    """Read what ``eval_dataset`` asks for.

    Args:
        dataset: a checked EvalDatasetConfig.
        corpora_dir: where releases are.
        run: the folder of the model's run, for its own validation and test documents.

    Raises:
        UserError: if there is no such part; DataError and ConfigError as of ``open_corpus``.
    """
    label_map = LabelMap.from_config(dataset.label_map) if dataset.label_map else None
    if dataset.own:
        name, corpus, part = _own_part(dataset, corpora_dir, run)
    else:
        name, corpus, part = _given_part(dataset, corpora_dir)
    return Gold(name, part, entity_types(corpus), label_map)


def _given_part(
    dataset: DictConfig, corpora_dir: str
) -> tuple[str, tuple[Document, ...], tuple[Document, ...]]:
    """Name, all documents of the corpus, and those of the part that is asked for."""
    corpus = open_corpus(dataset, corpora_dir)
    # a single file that fits no part's name is taken for what was asked
    if dataset.part is None or not corpus.parts:
        return corpus.name, corpus.documents, corpus.documents
    if dataset.part not in corpus.parts:
        raise UserError(
            f"eval_dataset.part={dataset.part}: {dataset.path} holds {', '.join(corpus.parts)}"
        )
    name = f"{corpus.name}_{dataset.part}"
    return name, corpus.documents, _among(corpus.documents, corpus.parts[dataset.part])


def _own_part(
    dataset: DictConfig, corpora_dir: str, run: Path | None
) -> tuple[str, tuple[Document, ...], tuple[Document, ...]]:
    """The same of the corpus that the run was trained on, by the run's own split."""
    if run is None:
        raise UserError(
            "a checkpoint outside of its run's folder has no documents of its own; give run=DIR, "
            "or another eval_dataset"
        )
    source = load_config(run).data
    if dataset.path is not None:
        source.path = dataset.path
    corpus = open_corpus(source, corpora_dir)
    if fingerprint(corpus.documents) != json.loads((run / DATA_REPORT).read_text())["fingerprint"]:
        raise UserError(f"{source.path}: not the documents that {run} was trained on")
    parts = json.loads((run / SPLIT).read_text())["parts"]
    if not parts.get(dataset.part):
        raise UserError(f"{run} has no {dataset.part} part; its split is {run / SPLIT}")
    return dataset.part, corpus.documents, _among(corpus.documents, parts[dataset.part])


def _among(documents: tuple[Document, ...], ids: list[str]) -> tuple[Document, ...]:
    wanted = set(ids)
    return tuple(document for document in documents if document.id in wanted)
