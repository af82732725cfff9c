"""A trained model, ready for texts: what ``medner.load`` gives, and ``predict.py`` runs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medner.analysis import read_calibrator, shipped_maps
from medner.documents import Document
from medner.errors import ConfigError, OutOfMemoryError
from medner.hydra_errors import either
from medner.input_rows import unwritable
from medner.pools import pools
from medner.prediction_files import as_read
from medner.predictions import Failure, Prediction
from medner.runs import CONFIG
from medner.schema import EvaluationOptions, LabelMapConfig, PredictConfig
from medner.scoring.label_map import LabelMap
from medner.scoring.temperature import Calibrator
from medner.systems import System, device, find_model, load_model


@dataclass(frozen=True)
class Tagger:
    """Finds the entities of texts.

    Each span has a confidence: after the temperature where there is a calibrator, else the
    geometric mean of its tokens' probabilities.

    Args:
        system: the model.
        calibrator: a run's calibration.json, as an evaluation takes it.
        label_map: from its types to others.
        min_confidence: spans that are less sure are left out.
        device_batch: windows that its device holds at once.

    Raises:
        ConfigError: if the label map is not for the model's types, or there is no such confidence.
    """

    system: System
    calibrator: Calibrator | None = None
    label_map: LabelMap | None = None
    min_confidence: float = 0.0
    device_batch: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"min_confidence={self.min_confidence}: takes a number from 0 to 1")
        if self.label_map:
            self.label_map.check(self.system.types)

    @property
    def types(self) -> tuple[str, ...]:
        """All that a span can have."""
        return tuple(self.label_map.types) if self.label_map else self.system.types

    def __call__(self, text: Document | str) -> Prediction:
        """The spans of one text, in order, disjoint; ``span.mention(text)`` is what they cover.

        Raises:
            TypeError: if it is not one text or document; :meth:`predict` takes many.
            ValueError: if it is no text that UTF-8 can hold.
        """
        if not isinstance(text, Document | str):
            kind = type(text).__name__
            raise TypeError(f"takes one text or Document, not {kind}; .predict takes many")
        return next(self.predict([text]))

    def predict(self, documents: Iterable[Document | str]) -> Iterator[Prediction]:
        """Predictions in the documents' order, as they come: a stretch of the stream is read, and
        predicted, before the next one is. A plain text has its number for an id, from 1.

        Raises:
            ValueError: for what is no text that UTF-8 can hold.
            UserError: if memory does not suffice, or the model's output is not a number.
        """
        stream = (_document(number, each) for number, each in enumerate(documents, start=1))
        for pool in pools(stream, lambda document: len(document.text), self.device_batch):
            yield from self._found(pool)

    def tag(self, documents: Sequence[Document]) -> list[Prediction | Failure]:
        """What :meth:`predict` gives, of documents that are predicted together; where one of them
        cannot be, why, instead of an error.

        Raises:
            OutOfMemoryError: if memory does not suffice.
            Exception: what went wrong, if it goes wrong with each of several documents: then it is
                not the documents.
        """
        try:
            return self._found(documents)
        except OutOfMemoryError:
            raise
        except Exception as error:
            if len(documents) == 1:
                problem = str(error).strip().partition("\n")[0] or type(error).__name__
                return [Failure(documents[0].id, problem)]
            found = [self.tag([document])[0] for document in documents]
            if all(isinstance(each, Failure) for each in found):
                raise
            return found

    def _found(self, documents: Sequence[Document]) -> list[Prediction]:
        found: Sequence[Prediction] = [
            replace(prediction, spans=as_read(prediction.spans))
            for prediction in self.system.predict(documents)
        ]
        if self.label_map:
            found = [
                self.label_map.apply(prediction, document.text)
                for prediction, document in zip(found, documents, strict=True)
            ]
        if self.calibrator:
            found = self.calibrator.apply(found)
        return [self._kept(prediction) for prediction in found]

    def _kept(self, prediction: Prediction) -> Prediction:
        """The spans that are sure enough, without what the model said of tokens."""
        spans = tuple(
            replace(span, tokens=(), log_probs=())
            for span in prediction.spans
            if span.confidence is None or span.confidence >= self.min_confidence
        )
        return Prediction(prediction.document, spans)


def _document(number: int, given: Document | str) -> Document:
    document = Document(str(number), given) if isinstance(given, str) else given
    if problem := unwritable(document.text):
        raise ValueError(f"document {document.id} {problem}")
    return document


def load(
    model: str | Path | None = None,
    *,
    label_map: LabelMap | str | None = None,
    min_confidence: float = 0.0,
    precision: str | None = None,
    device_batch: int | None = None,
    accelerator: str = "auto",
    hub_mirror: str | None = None,
    output_dir: str = "runs",
) -> Tagger:
    """A tagger from a trained model.

    Args:
        model: a run's folder, a checkpoint, or a token classifier in Hugging Face's format (its
            folder, or its name on the hub); None is the newest run in ``output_dir``.
        label_map: from the model's types to others, or the name of one that ships.
        min_confidence: spans that are less sure are left out.
        precision: as ``trainer.precision``; None is the run's, fp32 where there is no run.
        device_batch: windows that the device holds at once; None is the run's.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        hub_mirror: a folder laid out ``owner/name/`` that is asked before the hub.

    Raises:
        UserError: if there is no such model; ConfigError: if an option does not fit it.
    """
    if isinstance(label_map, str):
        label_map = _shipped_map(label_map)
    options = PredictConfig(
        min_confidence=min_confidence,
        label_map=LabelMapConfig(**label_map.to_dict()) if label_map else None,
        output_dir=output_dir,
        hub_mirror=hub_mirror,
        trainer=EvaluationOptions(accelerator, precision, device_batch),
    )
    if model is not None:
        setattr(options, _kind(Path(model).expanduser()), str(model))
    config = OmegaConf.structured(options)
    return open_tagger(config, *find_model(config))


def _kind(model: Path) -> str:
    """The option that such a model is given by."""
    if model.is_file():
        return "ckpt_path"
    return "run" if (model / CONFIG).is_file() else "hf_model"


def _shipped_map(name: str) -> LabelMap:
    found = {each.name: each for each in shipped_maps()}
    if name not in found:
        raise ConfigError(f"label_map={name}: takes a LabelMap, or {either(found)}")
    return found[name]


def open_tagger(config: DictConfig, run: Path | None, source: Path) -> Tagger:
    """The tagger that a PredictConfig asks for, of the model that ``find_model`` has found."""
    label_map = LabelMap.from_config(config.label_map) if config.label_map else None
    system = load_model(config, run, source)
    calibrator = read_calibrator(run) if run else system.calibrator
    batch = device(config, run)["device_batch"]
    return Tagger(system, calibrator, label_map, config.min_confidence, batch)
