"""Make a folder of a run that plain transformers loads, with a model card: ``python export.py
--help``."""

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from omegaconf import DictConfig

from medner.analysis import read_calibrator
from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document
from medner.errors import UserError
from medner.files import folder_written_whole, written_whole
from medner.hub import check_push, push
from medner.model_card import model_card
from medner.parts import own_parts
from medner.runs import BEST, EXPORT_SETTINGS, load_config, trained_run
from medner.schema import PROJECT

log = logging.getLogger("export")

COMPARED = 8  # documents


def export(config: DictConfig, _: Path) -> None:
    run = trained_run(config.run, config.output_dir)
    folder = Path(config.output or run / "export")
    check_place(folder, config.overwrite)
    if config.push:
        check_push(config.push)
    log.info("run: %s", run)
    calibrator = read_calibrator(run)
    documents = documents_to_compare(run, config.corpora_dir)

    from medner import export_check
    from medner.exported import has_word_pieces, write_model
    from medner.module import NerModule
    from medner.onnx_model import ONNX, write_onnx

    module = NerModule.load(run / BEST)
    with folder_written_whole(folder) as unfinished:
        write_model(unfinished, module, calibrator)
        same = export_check.check_transformers(unfinished, module, documents)
        log.info("plain transformers: the same tags for %s", same)
        same = export_check.check_medner(unfinished, module, documents)
        log.info("read again by MedNER: the same spans for %s", same)
        if config.onnx:
            write_onnx(unfinished / ONNX, module.encoder)
            same = export_check.check_onnx(unfinished, module, documents)
            log.info("ONNX Runtime: the same spans for %s", same)
        card = model_card(run, config.push, config.language, has_word_pieces(module), config.onnx)
        with written_whole(unfinished / "README.md") as file:
            file.write(card)
    log.info("written: %s; its README.md is to be read before others see it", folder)
    if config.push:
        address = push(folder, config.push, config.private)
        seen_by = "its owner" if config.private else "everybody"
        log.info("uploaded, for %s to see: %s", seen_by, address)


def check_place(folder: Path, overwrite: bool) -> None:
    """UserError if what is at the place of the export is not to be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / EXPORT_SETTINGS).is_file():
        raise UserError(f"output={folder}: it is there and is no export; give another folder")
    if not overwrite:
        raise UserError(
            f"{folder}: it is there already; overwrite=true replaces it, output=FOLDER is another"
        )


def documents_to_compare(run: Path, corpora_dir: str) -> Sequence[Document]:
    """Texts to try the export on: the run's own where its corpus is at hand, or the demo's."""
    try:
        _, parts = own_parts(run, load_config(run).data, corpora_dir)
        documents = tuple(chain(parts["validation"], parts["train"]))
    except UserError as error:
        log.info("compared on the demo corpus, for the run's own is not at hand: %s", error)
        demo = CorpusSource("demo", "brat", str(PROJECT / "demo" / "case_reports"))
        documents = read_corpus(demo).documents
    return documents[:COMPARED]
