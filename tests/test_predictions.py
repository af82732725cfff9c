import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medner.documents import Document
from medner.errors import DataError, UserError
from medner.prediction_files import read_predictions, write_predictions
from medner.predictions import Prediction, Span, Tokens

TEXT = "Fever of 39 °C,\u2028 then\r\na 𝛽-blocker."
DOCUMENT = Document("d1", TEXT)
TOKENS = Tokens(((0, 5), (6, 8), (9, 11)), ("B-Sign", "O", "I-Lab"), (0.9, 0.25, 0.123456))
PREDICTION = Prediction("d1", (Span(0, 5, "Sign", 0.875), Span(9, 14, "Lab", 1 / 3)), TOKENS)
WITH_TOKENS = Span(0, 5, "Sign", 0.5, tokens=(0,), log_probs=((-0.6931, -2.0, -3.5, -4.0, -1.5),))
PLAIN = {"start": 0, "end": 5, "type": "Sign", "text": "Fever", "confidence": 0.5}


@st.composite
def predicted_documents(draw):
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    confidence = st.floats(0, 1)
    types = st.sampled_from(["Sign_symptom", "Krankheit/Ä", "a b"])
    spans = [
        Span(start, end, draw(types), draw(confidence))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    tokens = None
    if draw(st.booleans()):
        offsets = tuple((cut, min(cut + 1, len(text))) for cut in cuts)
        rounded = tuple(round(draw(confidence), 6) for _ in cuts)
        tokens = Tokens(offsets, tuple(draw(types) for _ in cuts), rounded)
    return text, tuple(draw(st.permutations(spans))), tokens


@given(st.lists(predicted_documents(), max_size=4))
def test_what_is_written_is_read(tmp_path_factory, drawn):
    path = tmp_path_factory.mktemp("predictions") / "predictions.jsonl"
    documents = [Document(f"d{i}", text) for i, (text, _, _) in enumerate(drawn)]
    predictions = [Prediction(f"d{i}", spans, tokens) for i, (_, spans, tokens) in enumerate(drawn)]
    write_predictions(path, predictions, documents)
    assert read_predictions(path, documents) == predictions
    assert read_predictions(path) == predictions
    assert list(path.parent.iterdir()) == [path]


def test_the_file_is_what_the_docstring_says(tmp_path):
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [PREDICTION], [Document("other", ""), DOCUMENT])
    assert json.loads(path.read_text("utf-8")) == {
        "document": "d1",
        "spans": [
            {"start": 0, "end": 5, "type": "Sign", "text": "Fever", "confidence": 0.875},
            {"start": 9, "end": 14, "type": "Lab", "text": "39 °C", "confidence": 1 / 3},
        ],
        "tokens": {
            "start": [0, 6, 9],
            "end": [5, 8, 11],
            "tag": ["B-Sign", "O", "I-Lab"],
            "confidence": [0.9, 0.25, 0.123456],
        },
    }


def test_spans_that_are_discontinuous_overlap_or_say_what_their_tokens_say(tmp_path):
    path = tmp_path / "predictions.jsonl"
    bare = Span(0, 5, "Sign")
    gap = Span(0, 11, "Lab", 0.5, gaps=((5, 6), (8, 9)))
    tokens = replace(TOKENS, classes=5)
    prediction = Prediction("d1", (bare, WITH_TOKENS, gap), tokens)
    write_predictions(path, [prediction], [DOCUMENT])
    assert read_predictions(path, [DOCUMENT]) == [prediction]
    first, second, third = json.loads(path.read_text("utf-8"))["spans"]
    assert first == {"start": 0, "end": 5, "type": "Sign", "text": "Fever"}
    assert second["log_probs"] == [[-0.6931, -2.0, -3.5, -4.0, -1.5]]
    assert third["text"] == "Fever of 39"
    assert third["fragments"] == [[0, 5], [6, 8], [9, 11]]


def test_numpy_numbers_are_written_as_plain_ones(tmp_path):
    path = tmp_path / "predictions.jsonl"
    offsets = tuple((start, end) for start, end in np.array([[0, 5], [6, 8]]))
    tokens = Tokens(offsets, ("B-Sign", "O"), tuple(np.array([0.7, 1 / 3], dtype=np.float32)))
    span = Span(np.int64(0), np.int32(5), "Sign", np.float32(0.5))
    write_predictions(path, [Prediction("d1", (span,), tokens)], [DOCUMENT])
    (read,) = read_predictions(path, [DOCUMENT])
    assert read.spans == (Span(0, 5, "Sign", 0.5),)
    assert read.tokens == Tokens(((0, 5), (6, 8)), ("B-Sign", "O"), (0.7, 0.333333))


def test_spans_are_put_in_order_and_may_touch():
    left, right = Span(0, 5, "A", 1), Span(5, 6, "B", 0)
    assert Prediction("d", (right, left)).spans == (left, right)
    assert Prediction("d", (right, left)).end == 6
    assert Prediction("d", (), TOKENS).end == 11
    assert Prediction("d").end == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Span(3, 3, "A", 0.5), "not a span"),
        (lambda: Span(-1, 3, "A", 0.5), "not a span"),
        (lambda: Span(0, 3, "", 0.5), "needs a type"),
        (lambda: Span(0, 3, "A", 1.01), "lies in"),
        (lambda: Span(0, 3, "A", float("nan")), "lies in"),
        (lambda: Span(0, 9, "A", 1, gaps=((4, 3),)), "out of order"),
        (lambda: Span(0, 9, "A", 1, gaps=((0, 3),)), "not a span"),
        (lambda: Span(0, 9, "A", 1, tokens=(2,)), "as many tokens"),
        (lambda: Span(0, 9, "A", 1, tokens=(2,), log_probs=((0.1,),)), "at most 0"),
        (lambda: Prediction("d", (WITH_TOKENS,)), "the document has none"),
        (lambda: Prediction("d", (replace(WITH_TOKENS, tokens=(3,)),), TOKENS), "has token 3"),
        (lambda: Tokens(((0, 1),), (), (0.5,)), "as many offsets"),
        (lambda: Tokens(((2, 1),), ("O",), (0.5,)), "not a token"),
        (lambda: Tokens(((0, 1),), ("",), (0.5,)), "needs a tag"),
        (lambda: Tokens(((0, 1),), ("O",), (-0.5,)), "lies in"),
    ],
)
def test_values_that_mean_nothing_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def line(**changes) -> str:
    span = {**PLAIN, **changes.pop("span", {})}
    record = {"document": "d1", "spans": [span], **changes}
    return json.dumps({key: value for key, value in record.items() if value != "absent"})


def tokens_line(**changes) -> str:
    tokens = {"start": [0], "end": [5], "tag": ["O"], "confidence": [0.5], **changes}
    return line(tokens={key: value for key, value in tokens.items() if value != "absent"})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "a prediction is a JSON object"),
        (b"\xff", "utf-8"),
        (line(spans="absent"), "a prediction lacks spans"),
        (line(document="absent"), "a prediction lacks document"),
        (line(token=1), "a prediction has no field token"),
        (line(document=7), "document is of type str, not 7"),
        (line(document=""), "document is empty"),
        (line(spans={}), "spans is of type list"),
        (line(spans=[3]), "a span is a JSON object"),
        (line(spans=[{"start": 0, "end": 5}]), "a span lacks type, text"),
        (line(span={"start": True}), "start is of type int, not True"),
        (line(span={"end": 5.0}), "end is of type int, not 5.0"),
        (line(span={"start": 5}), r"\(5, 5\) is not a span"),
        (line(span={"start": -2}), r"\(-2, 5\) is not a span"),
        (line(span={"confidence": 1.5}), r"lies in \[0, 1\], not 1.5"),
        (line(span={"confidence": float("nan")}), r"lies in \[0, 1\], not nan"),
        (line(span={"confidence": "high"}), "confidence is of type float, not 'high'"),
        (line(span={"confidence": 10**400}), "confidence is of type float"),
        (line(span={"text": "Feve"}), "'Feve' is not as long as 0-5"),
        (line(span={"text": "Fewer"}), "'Fewer' at 0-5 is 'Fever' in document d1"),
        (line(span={"end": 99}), "offset 99 is outside the text of document d1, 35 characters"),
        (line(document="d9"), "document d9 is not among those"),
        (line(span={"fragments": [[0, 2], [4, 6]]}), "are not those of 0-5"),
        (line(span={"fragments": [[0, 2], [4]]}), "are not those of 0-5"),
        (line(span={"fragments": [[0, 2], [4, 5]]}), "'Fever' is not as long as"),
        (line(span={"tokens": [0], "log_probs": [[0.5]]}), "at most 0"),
        (line(span={"tokens": ["0"], "log_probs": [[-1]]}), "tokens is of type int"),
        (line(tokens=[]), "tokens is a JSON object"),
        (tokens_line(tag="absent"), "tokens lacks tag"),
        (tokens_line(tag=[]), "as many offsets"),
        (tokens_line(end=[]), "as many starts as ends"),
        (tokens_line(end=[99]), "offset 99 is outside"),
        (tokens_line(confidence=[2]), r"lies in \[0, 1\], not 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad, message):
    documents = [Document("d0", TEXT), DOCUMENT]
    path = tmp_path / "predictions.jsonl"
    good = line(document="d0").encode() + b"\n"
    path.write_bytes(good + (bad if isinstance(bad, bytes) else bad.encode()) + b"\n")
    with pytest.raises(DataError, match=message) as caught:
        read_predictions(path, documents)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_a_document_predicted_twice_is_named_with_both_lines(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join([line(), line(document="d2"), line()]))
    with pytest.raises(DataError, match=r":3: document d1 is also on line 1"):
        read_predictions(path)


def test_a_whole_number_will_do_for_a_confidence(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text(line(span={"confidence": 1}))
    assert read_predictions(path, [DOCUMENT])[0].spans == (Span(0, 5, "Sign", 1.0),)


def test_spans_of_a_line_may_be_in_any_order(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text(line(spans=[{**PLAIN, "start": 6, "end": 8, "text": "of"}, PLAIN]))
    spans = (Span(0, 5, "Sign", 0.5), Span(6, 8, "Sign", 0.5))
    assert read_predictions(path, [DOCUMENT]) == [Prediction("d1", spans)]


def test_a_missing_file_is_one_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_predictions(tmp_path / "predictions.jsonl")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (Prediction("d1"), "predicted twice"),
        (Prediction("unknown"), "not among"),
        (Prediction("d2", (Span(0, 3, "A", 1),)), "outside the text"),
        (Prediction("d2", (), Tokens(((0, 3),), ("O",), (1,))), "outside the text"),
    ],
)
def test_a_file_is_written_whole_or_not_at_all(tmp_path, second, message):
    path = tmp_path / "predictions.jsonl"
    documents = [DOCUMENT, Document("d2", "ab")]
    with pytest.raises(ValueError, match=message):
        write_predictions(path, [PREDICTION, second], documents)
    assert list(tmp_path.iterdir()) == []

    write_predictions(path, [PREDICTION], documents)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        write_predictions(path, [PREDICTION, second], documents)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stands_while_the_new_one_is_written(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text("old")
    seen = []

    def predictions():
        yield PREDICTION
        seen.append(path.read_text())

    write_predictions(path, predictions(), [DOCUMENT])
    assert seen == ["old"]
    assert read_predictions(path) == [PREDICTION]


def test_the_file_gets_the_usual_permissions(tmp_path):
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [], [])
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
