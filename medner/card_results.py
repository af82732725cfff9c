"""What evaluations of a run tell its model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from medner.config import INT8
from medner.corpora.conversion import REBUILT
from medner.files import read_json
from medner.leaks import Leak, leak_caveat
from medner.runs import ANALYSIS, BEST, METRICS, SPLIT
from medner.split_options import PARTS

# of the corpora that ship: what they are called, and their names on the hub
CORPORA = {
    "maccrobat": ("MACCROBAT2020", None),
    "maccrobat_2018_2020": ("MACCROBAT2018 and 2020", "ktgiahieu/maccrobat2018_2020"),
    "ncbi": ("NCBI Disease", "bigbio/ncbi_disease"),
    "bc5cdr": ("BC5CDR", "bigbio/bc5cdr"),
    "demo": ("MedNER's invented case reports", None),
    "demo_abstracts": ("MedNER's invented abstracts", None),
}


@dataclass(frozen=True, slots=True)
class Result:
    """An evaluation of the run's best model.

    ``corpus`` and ``part`` name the documents, ``chosen_on`` says whether the best epoch was chosen
    on them, ``leaks`` what of them had been seen before, and ``converted`` whether their gold is
    what the hub's conversion keeps. ``overall`` and the rows of ``types`` (type, its figures) are
    strict scores, the intervals 95 % of the resamples of documents, None where these are too few.
    ``maps``: the corpus's types and what of the model's is taken for each; empty if
    they are the same.
    ``calibration_error``: of spans, ``before`` the temperature and ``after``, as far as known.
    """

    corpus: str
    part: str | None
    chosen_on: bool
    leaks: tuple[Leak, ...]
    converted: bool
    documents: int
    overall: Mapping[str, Any]
    macro_f1: float
    types: tuple[tuple[str, Mapping[str, Any]], ...]
    intervals: Mapping[str, Any] | None
    label_map: str
    maps: tuple[str, ...]
    calibration_error: Mapping[str, float]

    @property
    def leak(self) -> str:
        """What is said beside the scores; nothing where nothing leaks."""
        return leak_caveat(self.leaks)

    @property
    def title(self) -> str:
        name = CORPORA.get(self.corpus, (self.corpus,))[0]
        return f"{name}, {self.part} part" if self.part else name

    def interval(self, figure: str, type_: str | None = None) -> str:
        """In brackets, or nothing."""
        if not self.intervals:
            return ""
        found = self.intervals["types"].get(type_) if type_ else self.intervals[figure]
        return f" ({found[0]:.3f} to {found[1]:.3f})" if found else ""


def read_results(run: Path, corpus: str, leaks: Sequence[Leak]) -> tuple[list[Result], list[str]]:
    """The evaluations of the run's best checkpoint that lie in its folder, its own parts first, and
    what should be known of those that do not count."""
    trained = set(read_json(run / SPLIT)["parts"]["train"])
    found: dict[tuple, Result] = {}
    left_out = []
    for path in sorted((run / "evaluations").glob(f"*/{METRICS}")):
        metrics = read_json(path)
        of_best = Path(metrics.get("checkpoint", "")).name == BEST.name
        of_best &= metrics.get("precision") != INT8
        if not (of_best or metrics.get("by_run")) or not path.with_name(ANALYSIS).is_file():
            continue
        analysis = read_json(path.with_name(ANALYSIS))
        result = _result(path.parent, metrics, analysis, corpus, leaks)
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
    folder: Path, metrics: Mapping[str, Any], analysis: Mapping[str, Any], corpus: str,
    leaks: Sequence[Leak],
) -> Result:  # fmt: skip
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
        leaks=tuple(leak for leak in leaks if own and leak.part == part),
        converted=name == REBUILT,
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
