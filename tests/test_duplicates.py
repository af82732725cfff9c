"""Duplicates: what is found in real corpora, what is left alone, and an oracle over all pairs."""

import random
import re
import time
from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import accumulate, combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import CORPORA, needs_corpora

from medner import duplicates
from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document
from medner.duplicates import find_groups, merge_groups, normalise

NONE = {"patient": 0, "equal": 0, "similar": 0, "contained": 0}


@cache
def corpus(name: str) -> tuple[Document, ...]:
    format_, folder, errata = {
        "maccrobat": ("brat", "maccrobat2020", "maccrobat2020"),
        "ncbi": ("pubtator", "ncbi_disease", "ncbi_disease"),
        "bc5cdr": ("pubtator", "bc5cdr", None),
    }[name]
    return read_corpus(
        CorpusSource(name, format_, str(Path(CORPORA, folder)), {}, errata)
    ).documents


def notes(*texts: str) -> list[Document]:
    return [Document(str(number), text) for number, text in enumerate(texts)]


def words(seed: int, count: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"{draw.choice('bcdfgh')}{draw.randrange(10_000)}" for _ in range(count))


@needs_corpora
def test_case_reports_are_unrelated():
    assert find_groups(corpus("maccrobat")).groups == ()


@needs_corpora
def test_duplicates_in_the_abstracts():
    ncbi = [replace(document, group=None) for document in corpus("ncbi")]
    found = find_groups(ncbi)
    assert [[id[:7] for id in group] for group in found.groups] == [["8528200", "8528200"]]
    assert found.pairs == NONE | {"equal": 1}
    # an updated Cochrane review, and a paragraph on heparin published again
    found = find_groups(corpus("bc5cdr"))
    assert found.groups == (("10726030", "9646784"), ("16034922", "19370593"))
    assert found.pairs == NONE | {"contained": 2}


@needs_corpora
def test_changed_copies_of_every_report_find_their_originals():
    """A sentence replaced, a note copied into a longer one, other white space and case."""
    reports = [Document(report.id, report.text) for report in corpus("maccrobat")]
    copies = []
    for number, report in enumerate(reports):
        sentences = re.split(r"(?<=\.)\s+", report.text)
        sentences[number % len(sentences)] = "Nothing of the kind was ever seen again."
        begun = " ".join(report.text.split()[:40])
        copies.append(Document(f"{report.id}-sentence", " ".join(sentences)))
        copies.append(Document(f"{report.id}-begun", begun))
        copies.append(Document(f"{report.id}-space", f"\n{begun.upper()} ".replace(" ", "\n\n")))
    found = find_groups([*reports, *copies])
    assert [len(group) for group in found.groups] == [4] * len(reports)
    assert all(len({id[:8] for id in group}) == 1 for group in found.groups)
    assert found.pairs["equal"] == len(reports)
    longer = Document("longer", f"{reports[0].text}\n\n{reports[5].text}")
    assert find_groups([*reports, longer]).groups == ((reports[0].id, reports[5].id, "longer"),)


def test_a_changed_sentence_is_similar_and_a_copied_note_is_contained():
    a, b, c = words(1, 100), words(2, 15), words(3, 400)
    twin = a.split()
    twin[50:65] = b.split()
    found = find_groups(notes(a, " ".join(twin), f"{c} {a}", c.replace("b", "q").replace("c", "q")))
    assert found.groups == (("0", "1", "2"),)
    assert found.pairs == NONE | {"similar": 1, "contained": 2}


def test_equality_ignores_space_punctuation_case_width_and_ligatures():
    same = [
        "The \ufb01rst CT-scan (2 mm): normal.",  # a ligature
        "the first\n\nCT scan, 2\u2009mm; normal",
        "\uff34\uff28\uff25 first ct SCAN 2 \u339c normal",  # full width, and mm as one character
    ]
    assert normalise(same[0]) == normalise(same[1]) == normalise(same[2])
    found = find_groups(notes(*same, "The first CT-scan (3 mm): normal."))
    assert found.groups == (("0", "1", "2"),) and found.pairs == NONE | {"equal": 3}


@pytest.mark.parametrize("text", ["", " \n", "...", "Unremarkable.", "No change since then."])
def test_very_short_texts_are_not_duplicates(text):
    assert find_groups(notes(text, text, text)).groups == ()


def test_short_texts_are_duplicates_only_if_equal():
    short = words(1, duplicates.NEAR_WORDS - 1)
    assert find_groups(notes(short, f"{short} more")).groups == ()
    assert find_groups(notes(short, short)).groups == (("0", "1"),)
    enough = words(1, duplicates.NEAR_WORDS)
    assert find_groups(notes(enough, f"{enough} more")).groups == (("0", "1"),)


def test_boilerplate_joins_nothing_but_counts_once_something_else_is_shared():
    template = words(0, 60)
    many = [f"{template} {words(seed, 40)}" for seed in range(1, duplicates.BOILERPLATE + 50)]
    assert find_groups(notes(*many)).groups == ()
    twin = f"{template} {words(1, 10)} {words(999, 30)}"  # shares 10 words of the first's own 40
    found = find_groups(notes(*many, twin))
    assert found.groups == (("0", str(len(many))),) and found.pairs == NONE | {"similar": 1}
    assert len(find_groups(notes(*many[:50])).largest) == 50  # with few, it is most of the text


def test_patients_and_texts_are_united():
    documents = [
        Document("a", words(1, 30), group="p"),
        Document("b", words(2, 30), group="p"),
        Document("c", words(2, 30).upper(), group="q"),
        Document("d", words(3, 30), group="q"),
        Document("e", words(4, 30)),
        Document("f", words(5, 30), group="r"),
        Document("g", "", group="s"),
        Document("h", "", group="s"),
    ]
    found = find_groups(documents)
    assert found.groups == (("a", "b", "c", "d"), ("g", "h"))
    assert found.pairs == NONE | {"patient": 3, "equal": 1}
    assert found.largest == ("a", "b", "c", "d")
    assert found.summary() == (
        "6 documents in 2 groups (pairs: 3 patient, 1 equal); the largest has 4: a, b, c, d"
    )
    assert find_groups([]).largest == () and "alone" in find_groups([]).summary()


def similarity(first: str, second: str) -> tuple[float, float]:
    """Jaccard similarity and containment, by definition."""
    one, other = (
        {tuple(text.split()[i : i + 4]) for i in range(len(text.split()) - 3)}
        for text in (first, second)
    )
    common = len(one & other)
    return common / len(one | other), common / min(len(one), len(other))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.sampled_from([50, 1_000, 4_000_000]))
def test_every_pair_above_the_threshold_is_found_and_no_other(seed, count, at_once):
    """Texts put together from few passages, so that all degrees of likeness occur."""
    draw = random.Random(seed)
    passages = [words(draw.randrange(8), draw.randint(3, 30)) for _ in range(6)]
    texts = [" ".join(draw.choices(passages, k=draw.randint(1, 5))) for _ in range(count)]
    texts = list(dict.fromkeys(text for text in texts if len(text.split()) >= 20))
    similar, contained = [], []
    for first, second in combinations(range(len(texts)), 2):
        jaccard, containment = similarity(texts[first], texts[second])
        if containment >= 0.5:
            (similar if jaccard >= 0.5 else contained).append((f"{first:02}", f"{second:02}"))
    documents = [Document(f"{number:02}", text) for number, text in enumerate(texts)]
    draw.shuffle(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "PAIRS_AT_ONCE", at_once)
        found = find_groups(documents)
    assert found.pairs == NONE | {"similar": len(similar), "contained": len(contained)}
    assert list(found.groups) == merge_groups(similar + contained)


@given(st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=4), max_size=8))
def test_merge_groups_are_the_connected_components(groups):
    merged = merge_groups(groups)
    flat = [member for group in merged for member in group]
    assert len(flat) == len(set(flat)) and merged == sorted(merged)
    reach = {member: {member} for group in groups for member in group}
    for _ in reach:
        for group in groups:
            union = set().union(*(reach[member] for member in group))
            for member in group:
                reach[member] = union
    assert merged == sorted({tuple(sorted(r)) for r in reach.values() if len(r) > 1})


def test_time_grows_with_the_documents_not_with_their_pairs():
    draw = random.Random(0)
    vocabulary = [f"w{number}" for number in range(20_000)]
    weights = [1 / (rank + 1) for rank in range(20_000)]  # Zipf, so that phrases recur
    texts = [" ".join(draw.choices(vocabulary, weights, k=200)) for _ in range(4_000)]
    start = time.process_time()
    assert find_groups(notes(*texts[:500])).groups == ()
    assert time.process_time() - start < 1
    start = time.process_time()
    found = find_groups(notes(*texts, *(f"{text} end" for text in texts[:100])))
    assert time.process_time() - start < 12
    assert found.pairs == NONE | {"similar": 100}


def abstracts(count: int, draw: random.Random) -> tuple[list[Document], list[tuple[str, str]]]:
    """Like those of NCBI and BC5CDR; and pairs of the ids of some with those of their copies.

    Words follow two words, or one, as they do there, and stock phrases come in between, so that
    phrases recur about as often as there; of 60 sentences the commonest ends every second abstract.
    """
    real = [
        normalise(document.text).split() for name in ("ncbi", "bc5cdr") for document in corpus(name)
    ]
    following = defaultdict(list)
    for text in real:
        for one, two, three in zip(text, text[1:], text[2:], strict=False):
            following[two].append(three)
            following[one, two].append(three)
    starts = (draw.choice(real) for _ in range(30_000))
    phrases = [
        text[(at := draw.randrange(len(text) - 7)) : at + draw.randint(4, 7)] for text in starts
    ]
    weights = list(accumulate((rank + 3) ** -0.9 for rank in range(len(phrases))))

    def passage(length: int) -> list[str]:
        made = list(draw.choice(phrases))
        while len(made) < length:
            kind = draw.random()
            context = (made[-2], made[-1]) if kind < 0.25 else made[-1]
            if kind > 0.98 or context not in following:
                made += draw.choices(phrases, cum_weights=weights)[0]
            else:
                made.append(draw.choice(following[context]))
        return made

    sentences = [passage(draw.randint(6, 20)) for _ in range(60)]
    texts = {}
    for number in range(count):
        ends = [
            word
            for rank, each in enumerate(sentences)
            if draw.random() < 0.5 / (rank + 1) ** 1.3
            for word in each
        ]
        texts[f"{number:06}"] = passage(max(100, len(draw.choice(real)))) + ends
    planted = []
    for number, id in enumerate(draw.sample(sorted(texts), count // 25)):
        text = texts[id]
        at = draw.randrange(80)
        copy = (
            [word.upper() for word in text],
            text[:at] + passage(12) + text[at + 15 :],  # a sentence replaced
            text[: len(text) // 3],  # the beginning alone
            text + texts[f"{draw.randrange(count):06}"],  # copied into a longer one
        )[number % 4]
        planted.append((id, f"copy{number}"))
        texts[f"copy{number}"] = copy
    return [Document(id, " ".join(text)) for id, text in texts.items()], planted


@pytest.mark.slow
@needs_corpora
def test_the_work_grows_little_faster_than_the_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, as what is sorted: the index's entries, and pairs of texts that share a shingle.

    Of 100,000 such abstracts they are found in a minute, with 2.4 GB.
    """
    counted, work = duplicates._candidates, []

    def counting(owner, documents_with):
        work.append(len(owner))
        for first, second, shared in counted(owner, documents_with):
            work[-1] += len(first)
            yield first, second, shared

    monkeypatch.setattr(duplicates, "_candidates", counting)
    for count in (4_000, 16_000):
        documents, planted = abstracts(count, random.Random(0))
        group_of = {id: group for group in find_groups(documents).groups for id in group}
        assert len(planted) == count // 25
        assert [copy for id, copy in planted if copy not in group_of.get(id, ())] == []
        strangers = set(group_of) - {id for pair in planted for id in pair}
        assert len(strangers) < count / 100  # that were copied from, or are of stock phrases
    assert work[1] < 6 * work[0]  # for four times as many; were it all pairs, it would be 16
