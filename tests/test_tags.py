"""Tags: seqeval is the oracle for where an entity starts and ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from medner.corpora.tags import assemble, chunks, parse_tag
from medner.documents import Entity


def found(tags: list[str]) -> list[tuple[int, int, str]]:
    return chunks([parse_tag(tag) for tag in tags])


tags = st.lists(
    st.one_of(
        st.just("O"), st.builds("{}-{}".format, st.sampled_from("BIES"), st.sampled_from("xy"))
    ),
    max_size=12,
)


@given(tags)
def test_as_seqeval_reads_them(tags):
    assert found(tags) == [(first, last + 1, type_) for type_, first, last in get_entities(tags)]


@given(tags)
def test_bilou_is_bioes_by_other_names(tags):
    bilou = [{"E": "L", "S": "U"}.get(tag[0], tag[0]) + tag[1:] for tag in tags]
    assert found(bilou) == found(tags)


SCHEMES = {
    "BIO": "B-x I-x B-x O B-y B-x I-x",
    "IOB1": "I-x I-x B-x O I-y I-x I-x",
    "BIOES": "B-x E-x S-x O S-y B-x E-x",
    "BILOU": "B-x L-x U-x O U-y B-x L-x",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes(scheme):
    wanted = [(0, 2, "x"), (2, 3, "x"), (4, 5, "y"), (5, 7, "x")]
    assert found(SCHEMES[scheme].split()) == wanted


def test_types_keep_all_that_follows_the_prefix():
    assert found(["B-Lab-value", "I-Lab-value", "I-a b"]) == [(0, 2, "Lab-value"), (2, 3, "a b")]


@pytest.mark.parametrize("tag", ["Age", "B", "B-", "b-Age", "o", "", "B_Age", "M-Age", "0"])
def test_unknown_tags(tag):
    with pytest.raises(ValueError, match=f"^tag '{tag}' is unknown; write O, or a type after B-, "):
        parse_tag(tag)


def test_line_breaks_stand_without_spaces():
    tokens = ["\n", "He", "has", "\n", "\n", "gout", ".", "\r\n", "Fine"]
    tagged = assemble(tokens, [("O", "")] * 5 + [("B", "D")] + [("O", "")] * 3)
    assert tagged.text == "\nHe has\n\ngout .\r\nFine"
    assert tagged.entities == (Entity(((9, 13),), "D"),)
    assert not tagged.passed_over


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "bc", "\n", "\u2005", " ", "a b", "😀"]),
            st.sampled_from([("O", ""), ("B", "x"), ("I", "x"), ("I", "y")]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_entities_are_their_tokens(tagged_tokens):
    tokens, tags = zip(*tagged_tokens, strict=True)
    tagged = assemble(tokens, tags)
    alone = [
        assemble(tokens[first:after], [("O", "")] * (after - first)).text
        for first, after, _ in chunks(tags)
    ]
    assert [tagged.text[entity.start : entity.end] for entity in tagged.entities] == alone
    assert [entity.type for entity in tagged.entities] == [type_ for _, _, type_ in chunks(tags)]


def test_empty_tokens():
    tagged = assemble(["a", "", "b"], [("B", "x"), ("O", ""), ("O", "")])
    assert (tagged.text, dict(tagged.passed_over)) == ("a b", {"empty tokens": 1})
    with pytest.raises(ValueError, match=r"^token 2 is empty, but tagged as an entity$"):
        assemble(["a", ""], [("B", "x"), ("I", "x")])
