"""Label maps: a model's types collapsed to those of the corpus that it is evaluated on."""

import difflib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from medner.documents import Document
from medner.errors import ConfigError, UserError
from medner.predictions import Prediction, Span

SAME_NAMES = "same_names"  # the map that leads from types to those of the same name
_REQUIRED = {"name", "types", "left_out"}
_KEYS = _REQUIRED | {"join_preceding"}


@dataclass(frozen=True)
class LabelMap:
    """``types``: the model's types behind each type of the corpus. ``left_out``: the rest, by name.

    ``join_preceding``: for a type of the corpus, the left-out types whose span becomes part of one
    that it directly precedes. Raises ConfigError if a type is named twice, or joined without being
    left out.
    """

    name: str
    types: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...] = ()
    join_preceding: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for target, sources in self.types.items():
            if not sources:
                raise self._error(f"{target} has no types", "name some, or take it out")
        named = Counter(self.named)
        if twice := [name for name, count in named.items() if count > 1]:
            raise self._error(f"named twice: {_listed(twice)}", "map a type once, or leave it out")
        for target, joined in self.join_preceding.items():
            if target not in self.types:
                problem = f"nothing is mapped to {_listed([target], self.types)} of join_preceding"
                raise self._error(problem, "name a key of types")
            if stray := [name for name in joined if name not in self.left_out]:
                problem = f"in join_preceding but not in left_out: {_listed(stray, self.left_out)}"
                raise self._error(problem, "leave out by name what is not mapped where it is alone")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LabelMap":
        """From the keys of a file in ``conf/eval_dataset/label_map``. Raises ConfigError."""
        label = f"label map {config.get('name') or '(no name)'}"
        if unknown := sorted(set(map(str, config)) - _KEYS):
            problem = f"{label}: unknown key {_listed(unknown, _KEYS)}"
            raise ConfigError(f"{problem}; the keys are {', '.join(sorted(_KEYS))}")
        if missing := sorted(key for key in _REQUIRED if config.get(key) is None):
            raise ConfigError(f"{label}: lacks {_listed(missing)}")
        return cls(
            name=str(config["name"]),
            types=_lists(config["types"], f"{label}: types"),
            left_out=_names(config["left_out"], f"{label}: left_out"),
            join_preceding=_lists(config.get("join_preceding") or {}, f"{label}: join_preceding"),
        )

    def to_dict(self) -> dict[str, Any]:
        """As ``from_config`` takes it."""
        return {
            "name": self.name,
            "types": {type_: list(names) for type_, names in self.types.items()},
            "left_out": list(self.left_out),
            "join_preceding": {type_: list(names) for type_, names in self.join_preceding.items()},
        }

    @property
    def named(self) -> tuple[str, ...]:
        """Every type of the model that the map names, mapped ones first."""
        return tuple(name for names in self.types.values() for name in names) + self.left_out

    def check(self, label_set: Collection[str], complete: bool = True) -> None:
        """Hold the map to a model's types: each mapped or left out by name, and no others.

        Where ``label_set`` is not ``complete``, only those that a system happens to predict, the
        map may name others. Raises ConfigError that lists what is misspelt and what is forgotten.
        """
        unknown = [name for name in self.named if name not in label_set] if complete else []
        forgotten = sorted(set(label_set) - set(self.named))
        problems = []
        if len(unknown) == len(self.named):
            has = _listed(sorted(label_set)[:5])
            problems.append(f"not types of the model: all that it names; the model has {has}")
        elif unknown:
            problems.append(f"not types of the model: {_listed(unknown, label_set)}")
        if forgotten and len(unknown) < len(self.named):
            problems.append(f"neither mapped nor left out: {_listed(forgotten)}")
        if problems:
            remedy = (
                "name every type of the model once, under types or left_out; a model that has the "
                "corpus's own types needs no map (eval_dataset.label_map=null)"
            )
            raise self._error("; ".join(problems), remedy)

    def apply(self, prediction: Prediction, text: str) -> Prediction:
        """The prediction with the corpus's types; ``text`` is the document's.

        A chain of spans that are to be joined, with nothing but white space between them and the
        span that they precede, becomes one with it, from the first's start; its confidence is the
        geometric mean over its tokens (over its parts, where tokens are not known). Token output
        stays as it is, in the model's types. Raises UserError on a type that the map does not name.
        """
        spans = tuple(_joined(target, parts) for target, parts in self._parts(prediction, text))
        return replace(prediction, spans=spans)

    def _parts(self, prediction: Prediction, text: str) -> list[tuple[str, list[Span]]]:
        """For each resulting span its type and the spans that it is made of, in order."""
        if prediction.end > len(text):
            raise UserError(
                f"document {prediction.document}: predictions end at {prediction.end}, outside the "
                f"text of {len(text)} characters; give the text that was predicted on"
            )
        targets = {name: target for target, names in self.types.items() for name in names}
        result, chain = [], []  # chain: left-out spans, each directly before the next
        for span in prediction.spans:
            if chain and (span.start < chain[-1].end or text[chain[-1].end : span.start].strip()):
                chain = []
            if target := targets.get(span.type):
                joinable = self.join_preceding.get(target, ())
                first = len(chain)
                while first and chain[first - 1].type in joinable:
                    first -= 1
                result.append((target, [*chain[first:], span]))
                chain = []
            elif span.type in self.left_out:
                chain.append(span)
            else:
                problem = f"predicted, but neither mapped nor left out: {span.type!r}"
                raise self._error(problem, "check the map against the model's types")
        return result

    def _error(self, problem: str, remedy: str) -> ConfigError:
        return ConfigError(f"label map {self.name}: {problem}; {remedy}")


def by_name(model_types: Iterable[str], corpus_types: Iterable[str]) -> LabelMap | None:
    """The map of types to those of the same name, whatever the case, all others left out; None
    where no name agrees."""
    targets = {name.casefold(): name for name in corpus_types}
    types: dict[str, tuple[str, ...]] = {}
    left_out = []
    for name in model_types:
        if target := targets.get(name.casefold()):
            types[target] = (*types.get(target, ()), name)
        else:
            left_out.append(name)
    return LabelMap(SAME_NAMES, types, tuple(left_out)) if types else None


@dataclass(frozen=True)
class MappedPredictions:
    """Predictions in the corpus's types, and what became of the spans that are not among them.

    ``joined``: spans that became part of the one they precede, and ``left_out``, by the model's
    type; ``not_in_corpus``: spans dropped for a type that the corpus does not have, by that type.
    """

    label_map: str
    predictions: tuple[Prediction, ...]
    joined: Mapping[str, int]
    left_out: Mapping[str, int]
    not_in_corpus: Mapping[str, int]

    def to_dict(self) -> dict:
        """For JSON: the map's name and the counts."""
        return {
            "label_map": self.label_map,
            "joined": dict(self.joined),
            "left_out": dict(self.left_out),
            "not_in_corpus": dict(self.not_in_corpus),
        }


def map_predictions(
    label_map: LabelMap | None,
    documents: Iterable[Document],
    predictions: Iterable[Prediction],
    corpus_types: Collection[str],
) -> MappedPredictions:
    """Apply the map to every prediction, restricted to ``corpus_types``, and count what is lost.

    Without a map (evaluation at home) types stay as they are, and a type that the corpus does not
    have stays too: it is a false positive. Raises UserError if map and corpus have no type in
    common, or a prediction's document is not given.
    """
    predictions = tuple(predictions)
    if label_map is None:
        return MappedPredictions("identity", predictions, {}, {}, {})
    if not set(label_map.types) & set(corpus_types):
        raise UserError(
            f"label map {label_map.name} yields {', '.join(label_map.types)}, and the corpus has "
            f"none of them but {', '.join(sorted(corpus_types))}; choose the map made for it"
        )
    texts = {document.id: document.text for document in documents}
    joined: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    not_in_corpus: Counter[str] = Counter()
    mapped = []
    for prediction in predictions:
        if prediction.document not in texts:
            raise UserError(f"document {prediction.document} is predicted but its text is missing")
        parts = label_map._parts(prediction, texts[prediction.document])
        used = Counter(span.type for _, spans in parts for span in spans)
        left_out.update(Counter(span.type for span in prediction.spans) - used)
        joined.update(span.type for _, spans in parts for span in spans[:-1])
        not_in_corpus.update(target for target, _ in parts if target not in corpus_types)
        spans = tuple(_joined(*part) for part in parts if part[0] in corpus_types)
        mapped.append(replace(prediction, spans=spans))
    return MappedPredictions(
        label_map.name, tuple(mapped), dict(joined), dict(left_out), dict(not_in_corpus)
    )


def _joined(target: str, parts: list[Span]) -> Span:
    """One span from the first's start to the last's end; white space in between is no gap."""
    if len(parts) == 1:
        return replace(parts[0], type=target)
    rows = tuple(row for span in parts for row in span.log_probs)
    given = [span.confidence for span in parts if span.confidence is not None]
    if all(span.tokens for span in parts):  # the geometric mean of all tokens, as in a single span
        confidence = math.exp(sum(row[0] for row in rows) / len(rows))
    elif len(given) == len(parts):
        confidence = math.prod(given) ** (1 / len(parts))
    else:
        confidence = None
    return Span(
        parts[0].start,
        parts[-1].end,
        target,
        confidence,
        tuple(gap for span in parts for gap in span.gaps),
        tuple(at for span in parts for at in span.tokens),
        rows,
    )


def _lists(value: object, what: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{what} must give a list for each type of the corpus, not {value!r}")
    return {str(key): _names(names, f"{what}.{key}") for key, names in value.items()}


def _names(value: object, what: str) -> tuple[str, ...]:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    if not listed or not all(isinstance(name, str) and name for name in value):
        raise ConfigError(f"{what} must be a list of type names, not {value!r}")
    return tuple(value)


def _listed(names: Iterable[str], known: Iterable[str] = ()) -> str:
    """The names in quotes, each with the nearest of the known ones."""
    known = list(known)
    nearest = {name: difflib.get_close_matches(name, known, n=1) for name in names}
    return ", ".join(
        f"{name!r}" + (f" (did you mean {found[0]!r}?)" if found else "")
        for name, found in nearest.items()
    )
