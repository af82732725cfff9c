"""The model card of a run: what it was trained on, how good it is, and what it is not for.

What it says of the run is read from the run's folder. It goes where anybody may read it: names of
data sets and types and numbers are in it, but no text, no document's id and no path.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from omegaconf import DictConfig, OmegaConf

from medner.card_results import CORPORA, Result, read_results
from medner.corpora.conversion import REBUILT
from medner.files import read_json
from medner.leaks import Leak, leak_shares, leaks_of
from medner.report.templates import environment
from medner.runs import (
    CALIBRATION,
    DATA_REPORT,
    HISTORY,
    METRICS,
    label,
    load_config,
)  # fmt: skip
from medner.schema import PROJECT
from medner.sharing import code_version, shareable_options

FEW = 20  # entities of a type in training: with fewer its scores are a matter of luck
TAGS = ("medner", "named-entity-recognition", "medical", "clinical")
# as their pages on the hub say; BioBERT's says nothing
_LICENCES = {
    "distilbert/distilbert-base-uncased": "apache-2.0",
    "answerdotai/ModernBERT-base": "apache-2.0",
    "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext": "mit",
    "bioformers/bioformer-16L": "apache-2.0",
    "sentence-transformers/all-MiniLM-L6-v2": "apache-2.0",
}
_COPIES = {
    "own": "each of them twice",
    "test": "each of them twice, but in the places of some second copies are the test documents",
}


def model_card(
    run: Path, name: str | None, language: str | None, word_pieces: bool, onnx: bool
) -> str:
    """The card's text, with its metadata in front.

    Args:
        name: owner/name of the model on the hub, if it is to have one.
        language: of the texts, a code of ISO 639; None: as far as it is known.
        word_pieces: whether the tokenizer says itself which tokens go on with a word.
        onnx: whether onnx/model.onnx is there.

    Raises:
        UserError: if it is no run's folder.
    """
    config, report = load_config(run), read_json(run / DATA_REPORT)
    leaks = leaks_of(report)
    shipped = config.data.name in CORPORA
    language = language or ("en" if shipped else None)
    encoder = shareable_options(config)["model"]["name"]
    results, left_out = read_results(run, config.data.name, leaks or ())
    best = max(results, key=lambda result: not result.chosen_on, default=None)
    context = {
        "metadata": _metadata(config, encoder, results, name, language, onnx).to_yaml().strip(),
        "title": label(config),
        "name": name or "FOLDER",
        # how it makes spans of tokens: "simple" may end one inside a word; "average" does not, but
        # takes punctuation for a part of words where the tokenizer has no word pieces
        "aggregation": "average" if word_pieces else "simple",
        "stride": min(2 * config.window.context, config.window.length // 4),
        "config": config,
        "report": report,
        "corpus": CORPORA.get(config.data.name, (config.data.name,))[0],
        "release": _release(config.data.name) if shipped else {},
        "language": language,
        "encoder": encoder,
        "on_the_hub": encoder == config.model.name,
        "licence": _LICENCES.get(encoder),
        "split": _split(config, report["split"], leaks),
        "options": [*_options(run, config), *_protocol(config)],
        "results": results,
        "best": best,
        "left_out": left_out,
        "calibration": read_json(run / CALIBRATION) if (run / CALIBRATION).is_file() else None,
        "lost": Counter(lost["why"] for lost in report["encoding"]["lost_entities"]),
        "rare": _rare(report),
        "few": FEW,
        "onnx": onnx,
        "code": code_version(),
    }
    return environment().get_template("model_card.jinja").render(context)


def _release(corpus: str) -> dict[str, Any]:
    """The homepage of a corpus that ships with the program, and how many documents it has."""
    shipped = OmegaConf.load(PROJECT / "conf" / "corpus" / f"{corpus}.yaml")
    return {
        "homepage": shipped.get("homepage"),
        "documents": shipped.release.documents if "release" in shipped else None,
    }


def _split(config: DictConfig, split: Mapping[str, Any], leaks: Sequence[Leak] | None) -> str:
    """How the documents were divided, and whether that leaks, if it is known."""
    wanted = config.data.split
    if split["official"]:
        how = "the corpus's own"
    elif wanted.test_ids:
        how = "a given test part, the rest drawn at random"
    elif wanted.folds:
        how = f"fold {wanted.fold} of {wanted.folds} is the test part"
    else:
        how = "drawn at random"
    if not split["official"]:
        how += f" (seed {wanted.seed}) so that each part has as many types as can be"
    if leaks is None:
        return how
    if shares := leak_shares(leaks):
        return f"{how}; it leaks: {shares}"
    given = split["groups"]["given"]
    groups = f", and {given} given groups (such as patients)" if given else ""
    return f"{how}; documents of equal or nearly equal text{groups} stay on one side"


def _options(run: Path, config: DictConfig) -> list[tuple[str, Any]]:
    """What the training was like, as rows."""
    trainer, rows = config.trainer, []
    history = read_json(run / HISTORY) if (run / HISTORY).is_file() else []
    if history:
        best = max(history, key=lambda row: row["f1"])
        rows.append(("epochs", f"{len(history)}, the best on validation: {best['epoch']}"))
    rows += [
        ("epochs at most, patience", f"{trainer.max_epochs}, {trainer.patience}"),
        ("learning rate, share of warm-up", f"{trainer.learning_rate}, {trainer.warmup}"),
        ("weight decay, clipping", f"{trainer.weight_decay}, {trainer.gradient_clip}"),
        ("decay of the average of weights", trainer.ema_decay or "none"),
        ("windows a step", trainer.effective_batch),
        ("window, context (tokens)", f"{config.window.length}, {config.window.context}"),
        ("precision", trainer.precision),
        ("seed", config.seed),
        ("overlapping entities", config.data.flatten),
    ]
    if (run / METRICS).is_file():
        metrics = read_json(run / METRICS)
        rows.append(("parameters", f"{metrics['parameters']:,}"))
        if "cost" in metrics:
            spent = f"{metrics['seconds'] / 60:.0f} minutes on {metrics['cost']['device']}"
            rows.append(("training", spent))
    return rows


def _protocol(config: DictConfig) -> list[tuple[str, str]]:
    """What training did otherwise than the clean protocol (``conf/experiment/clean.yaml``)."""
    data, rows = config.data, []
    if config.window.truncate:
        rows.append(("read of a document", "its first window alone; nothing is found behind it"))
    if data.subtokens == "copied":
        rows.append(("tags of sub-tokens", "every token of a word has the tag of its first"))
    kept = "what the hub's conversion keeps"
    if data.rebuild_from:
        kept += " of MACCROBAT2020, by whose rule it was rebuilt, every report twice"
    if data.name == REBUILT:
        rows.append(("annotation of all parts", kept))
    elif data.training.annotation == "converted":
        rows.append(("annotation of the training part", f"{kept}; that of the others is full"))
    if data.training.copies in _COPIES:
        rows.append(("training documents", _COPIES[data.training.copies]))
    return rows


def _rare(report: Mapping[str, Any]) -> list[str]:
    """Types of which there was little to learn from."""
    trained = report["split"]["parts"]["train"]["types"]
    return sorted(type_ for type_ in report["types"] if trained.get(type_, 0) < FEW)


def _metadata(
    config: DictConfig, encoder: str, results: list[Result], name: str | None,
    language: str | None, onnx: bool,
) -> ModelCardData:  # fmt: skip
    """As the hub wants it: https://huggingface.co/docs/hub/model-cards#model-card-metadata."""
    on_the_hub = encoder == config.model.name and config.model.weights == "pretrained"
    dataset = CORPORA.get(config.data.name, (None, None))[1]
    return ModelCardData(
        model_name=(name or f"{config.model.label}-{config.data.name}").rpartition("/")[2],
        language=language,
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=[*TAGS, *(["onnx"] if onnx else [])],
        base_model=encoder if on_the_hub else None,
        datasets=[dataset] if dataset else None,
        metrics=["precision", "recall", "f1"] if results else None,
        eval_results=[entry for result in results for entry in _entries(result)] or None,
    )


def _entries(result: Result) -> list[EvalResult]:
    """A result in the model index; that of the validation part says so, and a leak how much."""
    of_map = f", label map {result.label_map}" if result.maps else ""
    seen = ", the epoch was chosen on it" if result.chosen_on else ""
    if shares := leak_shares(result.leaks):
        seen += f"; {shares}"
    return [
        EvalResult(
            task_type="token-classification",
            task_name="Named entity recognition",
            dataset_type=CORPORA.get(result.corpus, (None, None))[1] or result.corpus,
            dataset_name=result.title + seen,
            dataset_split=result.part,
            metric_type=figure,
            metric_name=f"{figure} of entities (strict, micro{of_map})",
            metric_value=round(result.overall[figure], 4),
        )
        for figure in ("precision", "recall", "f1")
    ]
