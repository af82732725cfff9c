"""A model as a folder in Hugging Face's format, which plain transformers loads, and read again.

config.json, model.safetensors   the encoder with its classifier, as trained: MedNER's models are of
                                 the library's own classes, so that logits are the same
tokenizer.json, tokenizer_config.json
medner.json                      what the library has no place for: the window, and how confidences
                                 are to be taken (see ``Settings``)
README.md                        the model card (:mod:`medner.model_card`)

With medner.json a model is run as it was trained: tokens into windows, each tag as it is, spans by
the constrained decoder. Without it, it is any published one (:mod:`medner.published`).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medner.encoder import TokenizerFiles, encoder_config
from medner.errors import UserError
from medner.files import read_json, write_json, written_whole
from medner.labels import SUBTOKENS, Labels
from medner.module import NerModule
from medner.published import PublishedTagger, check_head, label_names, loading
from medner.runs import EXPORT_SETTINGS
from medner.scoring.temperature import Calibrator

_FORMAT = 1
# of a tokenizer's settings: where it was read from, and how long its encoder was trained to take
_NOT_KEPT = (
    "is_local", "local_files_only", "name_or_path", "max_length", "stride", "truncation_strategy",
    "truncation_side", "pad_to_multiple_of",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """A model's ``medner.json``: the window's ``length`` and ``context`` in tokens, whether it
    truncates, how sub-tokens are tagged (one of ``SUBTOKENS``), and what a run's calibration.json
    has; None if it had none."""

    length: int
    context: int
    truncate: bool
    subtokens: str
    calibrator: Calibrator | None

    @property
    def window(self) -> dict[str, int | bool]:
        """As :class:`medner.module.NerModule` takes it."""
        return {"length": self.length, "context": self.context, "truncate": self.truncate}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "format": _FORMAT,
            "window": self.window,
            "subtokens": self.subtokens,
            "calibration": self.calibrator.to_dict() if self.calibrator else None,
        }

    @classmethod
    def read(cls, folder: Path) -> "Settings":
        """What ``to_dict`` gave, of a folder's file. Raises UserError that says what is wrong."""
        path = folder / EXPORT_SETTINGS
        try:
            record = read_json(path)
            window, calibration = record["window"], record["calibration"]
            length, context, truncate = (window[key] for key in ("length", "context", "truncate"))
            subtokens = record["subtokens"]
            if record["format"] != _FORMAT:
                raise ValueError(f"format {record['format']!r} is not known; take a newer MedNER")
            if not (type(length) is type(context) is int and 0 <= 2 * context <= length - 4):
                raise ValueError(f"window {window!r} cannot be")
            if type(truncate) is not bool or subtokens not in SUBTOKENS:
                raise ValueError("truncate is true or false, subtokens one of its names")
            calibrator = None if calibration is None else Calibrator.from_dict(calibration)
        except (OSError, ValueError, KeyError, TypeError, UserError) as error:
            problem = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(f"{path}: cannot be read ({problem}); export the run again") from None
        return cls(length, context, truncate, subtokens, calibrator)


class ExportedTagger(NerModule):
    """An exported model, which predicts as the run's own checkpoint does.

    ``calibrator`` is the run's, None if it had none.

    Raises:
        UserError: if the folder does not hold what it should.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        settings = Settings.read(folder)
        names = label_names(folder)
        types = tuple(name[2:] for name in names[1::2])
        if not types or Labels(types).tags != names:
            raise UserError(
                f"{folder}: its labels are not those of a model of MedNER (O, B-X, I-X, B-Y, ...); "
                f"without {EXPORT_SETTINGS} it is read as any published model"
            )
        with loading(folder):
            super().__init__(
                types=types,
                encoder=encoder_config(folder, names, None, settings.length),
                tokenizer_files=TokenizerFiles.load(folder).files,
                window=settings.window,
                optimizer={},
                subtokens=settings.subtokens,
                pretrained=folder,
            )
        check_head(self.encoder, folder)
        self.calibrator = settings.calibrator


def read_tagger(folder: Path) -> ExportedTagger | PublishedTagger:
    """The token classifier of a folder: one of ours, or any published one.

    Raises:
        UserError: as of the two.
    """
    return (ExportedTagger if (folder / EXPORT_SETTINGS).is_file() else PublishedTagger)(folder)


def write_model(folder: Path, module: NerModule, calibrator: Calibrator | None) -> None:
    """Write all but the model card into a folder that is there.

    Texts that are longer than the window are cut there by the library, unless it is told to go on
    (``stride=`` of its pipeline).
    """
    window = module.hparams.window
    module.encoder.save_pretrained(folder)
    # the library's temporary file was for its owner alone
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)
    for name, text in module.hparams.tokenizer_files.items():
        if name == "tokenizer_config.json":
            settings = {k: v for k, v in json.loads(text).items() if k not in _NOT_KEPT}
            text = json.dumps(settings | {"model_max_length": window["length"]}, indent=2) + "\n"
        with written_whole(folder / name) as file:
            file.write(text)
    settings = Settings(
        window["length"],
        window["context"],
        window.get("truncate", False),
        module.hparams.subtokens,
        calibrator,
    )
    write_json(folder / EXPORT_SETTINGS, settings.to_dict())


def has_word_pieces(module: NerModule) -> bool:
    """Whether its tokenizer marks the tokens that go on with a word, as ``##ing``."""
    tokenizer = TokenizerFiles(module.hparams.tokenizer_files).tokenizer()
    return bool(getattr(tokenizer.model, "continuing_subword_prefix", None))
