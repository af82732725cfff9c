"""The documents that a model is scored on, at home or away."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medner.corpora import Corpus
from medner.data_report import describe_corpus, reading_lines
from medner.documents import Document
from medner.errors import ConfigError, UserError
from medner.id_files import count, some
from medner.leaks import shared_line, shared_with_training
from medner.parts import own_parts
from medner.runs import SPLIT, load_config
from medner.scoring.label_map import SAME_NAMES, LabelMap, by_name
from medner.sources import open_annotations, open_corpus


@dataclass(frozen=True)
class Gold:
    """``name`` is what tables and folders call it; ``report`` describes the whole corpus (see
    ``describe_corpus``), of which ``documents`` may be a part; ``label_map`` leads from a system's
    types to its own, None where they are the same. Of MACCROBAT ``full`` and ``converted`` are the
    same documents with all of their annotation, and with what the hub's conversion keeps."""

    name: str
    path: str
    documents: tuple[Document, ...]
    report: dict[str, Any]
    label_map: LabelMap | None
    full: tuple[Document, ...] | None = None
    converted: tuple[Document, ...] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        source: DictConfig,
        documents: Sequence[Document],
        report: dict[str, Any],
        label_map: LabelMap | None = None,
    ) -> "Gold":
        """Documents of a corpus that is open (see ``open_corpus``), with both annotations."""
        ids = [document.id for document in documents]
        both = open_annotations(source)
        full, converted = (_among(each, ids) for each in both) if both else (None, None)
        return cls(name, source.path, tuple(documents), report, label_map, full, converted)

    @property
    def types(self) -> tuple[str, ...]:
        """Those of the whole corpus, of which a part may lack some."""
        return tuple(sorted(self.report["types"]))

    def fitted(self, types: Collection[str], complete: bool = True) -> "Gold":
        """With the label map for a system of these types.

        That is the one that was chosen, unless the system has the corpus's own types (perhaps in
        another case) and needs none. Where it is made for other types, and the corpus has some of
        the system's by name, these are scored and the rest is left out.

        Args:
            complete: whether these are all types that the system knows, or those that it predicts.

        Raises:
            ConfigError: if the types do not fit.
        """
        if types and set(types) <= set(self.types):
            return replace(self, label_map=None)
        same = by_name(types, self.types)
        if same and not same.left_out:
            return replace(self, label_map=same)
        if self.label_map is None:
            if complete and not set(types) & set(self.types):
                raise ConfigError(
                    f"{self.name} has none of the model's types ({some(sorted(types))}) but "
                    f"{some(self.types)}; say which is which: eval_dataset/label_map=NAME"
                )
            return self
        try:
            self.label_map.check(types, complete)
        except ConfigError:
            if same is None:
                raise
            return replace(self, label_map=same)
        return self

    def lines(
        self,
        model_types: Collection[str],
        training: Sequence[Document] | None,
        complete: bool = True,
    ) -> list[str]:
        """What should be known before the scores are read.

        Args:
            model_types: as of ``fitted``.
            training: the documents that the model was trained on, perhaps without their texts; None
                if they are not known.
        """
        entities = sum(len(document.entities) for document in self.documents)
        lines = [
            f"data: {self.name}, {count(len(self.documents), 'document')}, {entities} entities",
            *reading_lines(self.report),
        ]
        if self.label_map and self.label_map.name == SAME_NAMES and self.label_map.left_out:
            left_out = some(sorted(self.label_map.left_out))
            lines.append(f"  the label map is for other types; left out by name: {left_out}")
        if self.label_map is None:
            if missing := sorted(set(model_types) - set(self.types)):
                lines.append(f"  not in this corpus, so wrong wherever predicted: {some(missing)}")
            if complete and (unknown := sorted(set(self.types) - set(model_types))):
                lines.append(f"  not known to the model, so all missed: {some(unknown)}")
        if training is not None:
            shared = shared_with_training(self.name, self.documents, training)
            if any(document.text for document in training):
                lines.append(f"  {shared_line(shared)}")
            ids = {document.id for document in training} - set(shared.twins)
            if same := [document.id for document in self.documents if document.id in ids]:
                lines.append(
                    f"  {count(len(same), 'document')} of {len(self.documents)} have ids that the "
                    f"model was trained on ({some(same)}): if they are the same documents, the "
                    "score says nothing about new ones"
                )
        return lines


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
        name, corpus, part, source = _own_part(dataset, corpora_dir, run)
    else:
        name, corpus, part = _given_part(dataset, corpora_dir)
        source = dataset
    return Gold.of(name, source, part, describe_corpus(corpus), label_map)


def _given_part(dataset: DictConfig, corpora_dir: str) -> tuple[str, Corpus, tuple[Document, ...]]:
    """Name, corpus, and the documents of the part that is asked for."""
    corpus = open_corpus(dataset, corpora_dir)
    if dataset.part is not None and not dataset.parts:
        raise ConfigError(
            f"eval_dataset.part={dataset.part}: {corpus.name} has no parts; leave it out, or say "
            "which files are which part (eval_dataset.parts)"
        )
    # a single file that fits no part's name is taken for what was asked
    if dataset.part is None or not corpus.parts:
        return corpus.name, corpus, corpus.documents
    if dataset.part not in corpus.parts:
        raise UserError(
            f"eval_dataset.part={dataset.part}: {dataset.path} holds {', '.join(corpus.parts)}"
        )
    name = f"{corpus.name}_{dataset.part}"
    return name, corpus, _among(corpus.documents, corpus.parts[dataset.part])


def _own_part(
    dataset: DictConfig, corpora_dir: str, run: Path | None
) -> tuple[str, Corpus, tuple[Document, ...], DictConfig]:
    """The same of what the run was trained on, by the run's own split; and its options."""
    if run is None:
        raise UserError(
            "outside of a run's folder there are no documents of its own; give run=DIR, or another "
            "eval_dataset"
        )
    source = load_config(run).data
    if dataset.path is not None:
        source.path = dataset.path
    corpus, parts = own_parts(run, source, corpora_dir)
    if dataset.part not in parts:
        raise UserError(f"{run} has no {dataset.part} part; its split is {run / SPLIT}")
    return dataset.part, corpus, tuple(parts[dataset.part]), source


def _among(documents: Iterable[Document], ids: Iterable[str]) -> tuple[Document, ...]:
    wanted = set(ids)
    return tuple(document for document in documents if document.id in wanted)
