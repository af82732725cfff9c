"""The model card of a run: what it was trained on, how good it is, and what it is not for.

Everything in it is read from the run's folder. It goes where anybody may read it: names of data
sets and types and numbers are in it, but no text, no document's id and no path.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from omegaconf import DictConfig, OmegaConf

from medner.files import read_json
from medner.report.templates import environment
from medner.runs import (
    ANALYSIS,
    BEST,
    CALIBRATION,
    DATA_REPORT,
    HISTORY,
    METRICS,
    SPLIT,
    label,
    load_config,
)  # fmt: skip
from medner.schema import PROJECT
from medner.sharing import code_version, shareable_options
from medner.split_options import PARTS

FEW = 20  # entities of a type in training: with fewer its scores are a matter of luck
TAGS = ("medner", "named-entity-recognition", "medical", "clinical")
# of the corpora that ship: what they are called, and their names on the hub
_CORPORA = {
    "maccrobat": ("MACCROBAT2020", None),
    "maccrobat_2018_2020": ("MACCROBAT2018 and 2020", "ktgiahieu/maccrobat2018_2020"),
    "ncbi": ("NCBI Disease", "bigbio/ncbi_disease"),
    "bc5cdr": ("BC5CDR", "bigbio/bc5cdr"),
    "demo": ("MedNER's invented case reports", None),
    "demo_abstracts": ("MedNER's invented abstracts", None),
}
# as their pages on the hub say; BioBERT's says nothing
_LICENCES = {
    "distilbert/distilbert-base-uncased": "apache-2.0",
    "answerdotai/ModernBERT-base": "apache-2.0",
    "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext": "mit",
    "bioformers/bioformer-16L": "apache-2.0",
    "sentence-transformers/all-MiniLM-L6-v2": "apache-2.0",
}


@dataclass(frozen=True, slots=True)
class Result:
    """An evaluation of the run's best model.

    ``corpus`` and ``part`` name the documents, ``chosen_on`` says whether the best epoch was chosen
    on them. ``overall`` and the rows of ``types`` (type, its figures) are strict scores, the
    intervals 95 % of the resamples of documents, None where these are too few. ``maps``: the
    corpus's types and what of the model's is taken for each; empty if they are the same.
    ``calibration_error``: of spans, ``before`` the temperature and ``after``, as far as known.
    """

    corpus: str
    part: str | None
    chosen_on: bool
    documents: int
    overall: Mapping[str, Any]
    macro_f1: float
    types: tuple[tuple[str, Mapping[str, Any]], ...]
    intervals: Mapping[str, Any] | None
    label_map: str
    maps: tuple[str, ...]
    calibration_error: Mapping[str, float]

    @property
    def title(self) -> str:
        name = _CORPORA.get(self.corpus, (self.corpus,))[0]
        return f"{name}, {self.part} part" if self.part else name

    def interval(self, figure: str, type_: str | None = None) -> str:
        """In brackets, or nothing."""
        if not self.intervals:
            return ""
        found = self.intervals["types"].get(type_) if type_ else self.intervals[figure]
        return f" ({found[0]:.3f} to {found[1]:.3f})" if found else ""


def model_card(
    run: Path, name: str | None, language: str | None, word_pieces: bool, onnx: bool
) -> str:
    """The card's text, with its metadata in front.

    Args:
        name: owner/name of the model on the hub, if it is to have one.
        word_pieces: whether the tokenizer says itself which tokens go on with a word.
        language: of the texts, a code of ISO 639; None: as far as it is known.
        onnx: whether onnx/model.onnx is there.

    Raises:
        UserError: if it is no run's folder.
    """
    config, report = load_config(run), read_json(run / DATA_REPORT)
    shipped = config.data.name in _CORPORA
    language = language or ("en" if shipped else None)
    encoder = shareable_options(config)["model"]["name"]
    results, left_out = _results(run, config.data.name)
    best = max(results, key=lambda result: not result.chosen_on, default=None)
    context = {
        "metadata": _metadata(config, encoder, results, name, language, onnx).to_yaml().strip(),
        "title": label(config),
        "name": name or "FOLDER",
        # how it makes spans of tokens (against MedNER's, of MiniLM: F1 .72 by this one, .57 by
        # "simple"); without word pieces it takes punctuation for a part of words
        "aggregation": "average" if word_pieces else "simple",
        "stride": min(2 * config.window.context, config.window.length // 4),
        "config": config,
        "report": report,
        "corpus": _CORPORA.get(config.data.name, (config.data.name,))[0],
        "release": _release(config.data.name) if shipped else {},
        "language": language,
        "encoder": encoder,
        "on_the_hub": encoder == config.model.name,
        "licence": _LICENCES.get(encoder),
        "split": _split(config, report["split"]),
        "options": _options(run, config),
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


def _results(run: Path, corpus: str) -> tuple[list[Result], list[str]]:
    """The evaluations of the run's best checkpoint that lie in its folder, its own parts first, and
    what should be known of those that do not count."""
    trained = set(read_json(run / SPLIT)["parts"]["train"])
    found: dict[tuple, Result] = {}
    left_out = []
    for path in sorted((run / "evaluations").glob(f"*/{METRICS}")):
        metrics = read_json(path)
        of_best = Path(metrics.get("checkpoint", "")).name == BEST.name
        if not (of_best or metrics.get("by_run")) or not path.with_name(ANALYSIS).is_file():
            continue
        analysis = read_json(path.with_name(ANALYSIS))
        result = _result(path.parent, metrics, analysis, corpus)
        seen = sum(row["document"] in trained for row in analysis["by_document"])
        if seen:
            left_out.append(
                f"Not shown: {result.title}, for {seen} of its {result.documents} documents have "
                "ids of training documents."
            )
        else:
            found.setdefault((result.corpus, result.part, result.maps), result)
    rank = {"test": 0, "validation": 1}
    results = list(found.values())
    results.sort(key=lambda one: rank[one.part] if one.corpus == corpus and one.part else 2)
    return results, left_out


def _result(
    folder: Path, metrics: Mapping[str, Any], analysis: Mapping[str, Any], corpus: str
) -> Result:
    scores, data = metrics["scores"], metrics["data"]
    own = data in PARTS
    name, _, part = data.rpartition("_")
    if own:
        name, part = corpus, data
    elif part not in PARTS:
        name, part = data, None
    spans = analysis["confidence"]["spans"]
    types = sorted(scores["types"].items(), key=lambda item: (-item[1]["gold"], item[0]))
    return Result(
        corpus=name,
        part=part,
        chosen_on=own and part == "validation",
        documents=scores["documents"],
        overall=scores["overall"],
        macro_f1=scores["macro_f1"],
        types=tuple(types),
        intervals=analysis["intervals"],
        label_map=metrics["label_map"],
        maps=_maps(folder / "label_map.yaml"),
        calibration_error={
            stage: spans[stage]["ece_mass"] for stage in ("before", "after") if stage in spans
        },
    )


def _maps(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    label_map = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    lines = []
    for type_, names in label_map["types"].items():
        joined = label_map["join_preceding"].get(type_, ())
        before = f", with {', '.join(joined)} directly before it" if joined else ""
        lines.append(f"{type_} is {' or '.join(names)}{before}")
    return tuple(lines)


def _release(corpus: str) -> dict[str, Any]:
    """The homepage of a corpus that ships with the program, and how many documents it has."""
    shipped = OmegaConf.load(PROJECT / "conf" / "corpus" / f"{corpus}.yaml")
    return {
        "homepage": shipped.get("homepage"),
        "documents": shipped.release.documents if "release" in shipped else None,
    }


def _split(config: DictConfig, split: Mapping[str, Any]) -> str:
    """How the documents were divided."""
    wanted = config.data.split
    if split["official"]:
        return "the corpus's own"
    if wanted.test_ids:
        how = "a given test part, the rest drawn at random"
    elif wanted.folds:
        how = f"fold {wanted.fold} of {wanted.folds} is the test part"
    else:
        how = "drawn at random"
    how += f" (seed {wanted.seed}) so that each part has as many types as can be"
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
    dataset = _CORPORA.get(config.data.name, (None, None))[1]
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
    """A result in the model index; that of the validation part says so."""
    of_map = f", label map {result.label_map}" if result.maps else ""
    chosen = ", the epoch was chosen on it" if result.chosen_on else ""
    return [
        EvalResult(
            task_type="token-classification",
            task_name="Named entity recognition",
            dataset_type=_CORPORA.get(result.corpus, (None, None))[1] or result.corpus,
            dataset_name=result.title + chosen,
            dataset_split=result.part,
            metric_type=figure,
            metric_name=f"{figure} of entities (strict, micro{of_map})",
            metric_value=round(result.overall[figure], 4),
        )
        for figure in ("precision", "recall", "f1")
    ]
