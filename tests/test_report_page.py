"""The page of an evaluation: whole, alone, and of no danger whatever the texts hold."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from handmade import real
from modelled import model_of_letters
from real_data import needs_corpora

from medner.analysis import Training, analyse
from medner.documents import Document, Entity
from medner.gold import Gold
from medner.predictions import Prediction, Span
from medner.reach import BEYOND
from medner.report.browser import browser_data
from medner.report.page import write_page
from medner.scoring.errors import find_errors
from medner.scoring.label_map import map_predictions

HOSTILE = '𝛽 </script><script>alert(1)</script><!--  & "quoted" {{ 7 * 7 }} <b>gout</b> \u2028'


def page(path: Path, documents: list[Document], predictions: list[Prediction], text=True) -> str:
    types = {entity.type: 1 for document in documents for entity in document.entities}
    gold = Gold("test", "there", tuple(documents), {"types": types}, None)
    mapped = map_predictions(None, documents, predictions, gold.types)
    found = analyse(gold, predictions, mapped, gold.types, Training())
    write_page(path / "report.html", "<i>a system</i>", gold, mapped, found, text)
    return (path / "report.html").read_text(encoding="utf-8")


def data_of(html: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])


class Elements(HTMLParser):
    """The page's elements, and what of it would be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0
        self.fetched: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.scripts += tag == "script"
        self.fetched += [v for n, v in attrs if n in ("src", "srcset", "data", "action")]
        self.fetched += [
            v for n, v in attrs if n == "href" and tag != "a" and not v.startswith("#")
        ]


def hostile() -> tuple[list[Document], list[Prediction]]:
    start = HOSTILE.index("gout")
    entity = Entity(((start, start + 4),), "<Disease>")
    document = Document("</script>1", HOSTILE, (entity,))
    return [document], [Prediction(document.id, (Span(0, 9, "<Disease>", 0.5),))]


def test_a_hostile_text_is_text(tmp_path: Path) -> None:
    documents, predictions = hostile()
    html = page(tmp_path, documents, predictions)
    found = Elements(html)
    assert found.scripts == 3
    assert found.fetched == []
    assert "<b>gout" not in html
    assert "49" not in data_of(html)["documents"][0]["text"]
    assert data_of(html)["documents"][0]["text"] == HOSTILE
    assert data_of(html)["documents"][0]["id"] == "</script>1"
    assert "&lt;i&gt;a system&lt;/i&gt;" in html


def test_without_text_there_is_none(tmp_path: Path) -> None:
    documents, predictions = hostile()
    html = page(tmp_path, documents, predictions, text=False)
    (document,) = data_of(html)["documents"]
    assert (document["text"], document["length"]) == (None, len(HOSTILE))
    assert "gout" not in html and "quoted" not in html


def test_plots_are_svg_whose_text_is_text(tmp_path: Path) -> None:
    documents, predictions, _ = model_of_letters(1)
    html = page(tmp_path, documents, predictions)
    plots = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(plots) == 2
    for plot in plots:
        tree = ElementTree.fromstring(plot)
        words = {element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")}
        assert {"confidence", "share correct"} <= words or {"coverage", "share wrong"} <= words
    files = [tmp_path / f"{name}.svg" for name in ("reliability", "risk_coverage")]
    assert [file.read_text().strip() for file in files] == plots
    assert page(tmp_path, documents, predictions) == html  # nothing of it is a date, or chance


def test_the_browser_has_every_span_and_every_error() -> None:
    documents, predictions, _ = model_of_letters(2)
    errors = find_errors(documents, predictions)
    data = browser_data(documents, predictions, errors, text=True)
    spans = [span for document in data["documents"] for span in document["spans"]]
    assert sum(span[2] for span in spans) == sum(len(d.entities) for d in documents)
    assert sum(not span[2] for span in spans) == sum(len(p.spans) for p in predictions)
    for side, counts in ((1, errors.counts(False)), (0, errors.counts(True))):
        for kind, number in counts.items():
            found = [s for s in spans if s[2] == side and s[3] is not None]
            assert sum(data["kinds"][s[3]] == kind for s in found) == number


def test_of_two_equal_spans_the_wrong_one_is_shown_as_wrong() -> None:
    """Strictly one of them is right, as the scores count it."""
    document = Document("a", "fever and cough", (Entity(((0, 5),), "Sign"),))
    prediction = Prediction("a", (Span(0, 5, "Sign", 0.9), Span(0, 5, "Sign", 0.3)))
    errors = find_errors([document], [prediction])
    (only,) = browser_data([document], [prediction], errors, text=True)["documents"]
    assert [(confidence, kind) for *_, kind, confidence in only["spans"]] == [
        (None, None), (0.9, None), (0.3, 0),
    ]  # fmt: skip
    assert [mistake.span.confidence for mistake in errors.mistakes] == [0.3]


def table_of(html: str, section: str) -> list[list[str]]:
    """The words in the cells of a section's first table."""
    body = html.split(f'<section id="{section}">')[1].split("</thead>")[1].split("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", body, re.S)
    return [
        [re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]
        for row in rows
    ]


def test_the_figures_are_those_of_the_analysis(tmp_path: Path) -> None:
    documents, predictions, _ = model_of_letters(3)
    gold = Gold("test", "there", tuple(documents), {"types": {"Type0": 1, "Type1": 1}}, None)
    mapped = map_predictions(None, documents, predictions, gold.types)
    training = Training(documents[:1])
    found = analyse(gold, predictions, mapped, gold.types, training)
    write_page(tmp_path / "report.html", "a system", gold, mapped, found, True)
    html = (tmp_path / "report.html").read_text()
    overall, details = found.scores.overall, found.details
    low, high = details["intervals"]["f1"]
    assert f"<dt>F1</dt><dd>{overall.f1:.3f}</dd>" in html
    assert f'<dd class="interval">{low:.3f} to {high:.3f}</dd>' in html
    assert f"Gold and predictions: {details['alignment']['verdict']}." in html
    types = {row[0]: row[1:4] for row in table_of(html, "types")}
    assert types == {
        name: [str(n) for n in (c.gold, c.predicted, c.correct)]
        for name, c in found.scores.by_type.items()
    }
    kinds = [
        row for row in table_of(html, "errors") if row[0] in details["errors"]["false_positives"]
    ]
    assert sum(int(row[1]) for row in kinds) == overall.predicted - overall.correct
    assert sum(int(row[2]) for row in kinds) == overall.gold - overall.correct
    novelty = details["recall_by"]["novelty"]
    rows = [row[1:4] for row in table_of(html, "recall") if row[1] in novelty]
    assert rows == [[name, str(s["gold"]), str(s["correct"])] for name, s in novelty.items()]
    rows = table_of(html, "confusion")
    columns = [*(row[0] for row in rows[:-1]), "none"]
    confusion = {
        (row[0], name): int(cell or 0)
        for row in rows
        for name, cell in zip(columns, row[1:], strict=True)
    }
    wanted = {
        (gold or "no entity", predicted or "none"): count
        for (gold, predicted), count in found.errors.confusion.items()
    }
    assert {key: count for key, count in confusion.items() if count} == wanted
    assert "could have had\nall of these entities" in html


def test_what_is_out_of_reach_is_told_by_cause(tmp_path: Path) -> None:
    documents, predictions, _ = model_of_letters(1)
    document, prediction = documents[0], predictions[0]
    last = prediction.tokens.offsets[-1]
    read = prediction.tokens.offsets[-2][1]
    entities = (Entity(((0, read),), "Type0"), Entity((tuple(last),), "Type1"))
    cut = replace(
        prediction,
        spans=(),
        tokens=replace(
            prediction.tokens,
            offsets=prediction.tokens.offsets[:-1],
            tags=prediction.tokens.tags[:-1],
            confidence=prediction.tokens.confidence[:-1],
        ),
    )
    html = page(tmp_path, [replace(document, entities=entities)], [cut])
    assert "could have had\nno more than 0.500 of these entities." in html
    assert f'<th scope="row">{BEYOND}</th><td class="n">1</td>' in html
    assert "Windows lose none" not in html


@needs_corpora
@pytest.mark.slow
def test_bc5cdr_s_page_is_below_5_mb(tmp_path: Path) -> None:
    corpus = real("bc5cdr")
    documents = [d for d in corpus.documents if d.id in set(corpus.parts["test"])]
    predictions = [
        Prediction(
            d.id, tuple(Span(e.start, max(e.end - 1, e.start + 1), e.type, 0.5) for e in d.entities)
        )
        for d in documents
    ]
    html = page(tmp_path, documents, predictions)
    assert 0.5e6 < len(html.encode()) < 5e6
