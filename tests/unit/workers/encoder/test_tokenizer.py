import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.encoder.packed import PackedFile, read_packed
from workers.encoder.source import find_file, map_file
from workers.encoder.tokenizer import Tokenizer

PACKED = read_packed(map_file(find_file()))
TOKENIZER = Tokenizer(PACKED)
TEXTS = [
    "Red cotton shirt 500g, organic",
    "有机红茶 500克 简装，北京",
    "Cafe\u0301 crème  brûlée",
    "ﬁne ①  x　y",
    "👍🏽 emoji 🧀🍕 ok",
    "👩‍👩‍👧 family\u200bpack",
    "한국어 ᄒ\u1161ᆫ글",
    "ꦲꦏ ᚠᚢᚦ unknown",
    "\ttabs\nand\r\nlines ",
    "a\ud800b",
]


def _pieces(packed: PackedFile) -> list[str]:
    offsets = packed.pieces.offsets.tolist()
    return [packed.pieces.text[a:b].decode() for a, b in itertools.pairwise(offsets)]


def _spans(text: str) -> list[str]:
    (tokens,) = TOKENIZER([text])
    return [text[start:end] for start, end in tokens.offsets.tolist()]


def test_offsets_are_the_characters_that_a_piece_stands_for() -> None:
    assert _spans("Red cotton T-shirt") == ["Red", "cotton", "T", "-", "shirt"]
    assert "".join(_spans("有机红茶，北京")) == "有机红茶，北京"
    assert "①" in _spans("no ① tea")
    assert "🍕" in _spans("hot 🍕!")


def test_an_accent_of_its_own_is_read_with_its_letter() -> None:
    composed, apart = TOKENIZER(["Café crème", "Cafe\u0301 cre\u0300me"])

    assert composed.ids.tolist() == apart.ids.tolist()
    assert _spans("Cafe\u0301 au lait")[0] == "Cafe\u0301"


@pytest.mark.parametrize("text", TEXTS)
def test_spans_follow_each_other_and_leave_out_only_spaces_and_controls(text: str) -> None:
    (tokens,) = TOKENIZER([text])
    covered = 0
    for start, end in tokens.offsets.tolist():
        assert 0 <= start <= end <= len(text)
        assert start >= covered or start == end or text[start:end]
        covered = max(covered, end)
    kept = {at for start, end in tokens.offsets.tolist() for at in range(start, end)}
    lost = [text[at] for at in range(len(text)) if at not in kept]
    assert all(not c.strip() or c in "\u200b\u200d\ufe0f" for c in lost), lost


@pytest.mark.parametrize("text", TEXTS[:4] + TEXTS[6:7] + ["word " * 50, "长" * 300])
def test_pieces_are_those_of_a_library_s_unigram_model(text: str, library) -> None:
    from workers.encoder.normal import spell

    (tokens,) = TOKENIZER([text])
    expected = library.encode(spell(text, PACKED.characters).text, add_special_tokens=False).ids
    assert tokens.ids.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_ids_and_spans_within_it(text: str) -> None:
    (tokens,) = TOKENIZER([text])
    assert len(tokens.ids) == len(tokens.offsets)
    for start, end in tokens.offsets.tolist():
        assert 0 <= start <= end <= len(text)


def test_a_word_without_end_is_cut() -> None:
    (tokens,) = TOKENIZER(["x" * 10_000])
    assert tokens.offsets[-1, 1] == 10_000


def test_hashes_of_pieces_differ() -> None:
    hashes = TOKENIZER._vocabulary._hashes
    assert (hashes[1:] != hashes[:-1]).all()


@pytest.fixture(scope="module")
def library():
    tokenizers = pytest.importorskip("tokenizers")
    scores = PACKED.pieces.scores.tolist()
    model = tokenizers.models.Unigram(
        list(zip(_pieces(PACKED), scores, strict=True)), unk_id=3, byte_fallback=False
    )
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.WhitespaceSplit(),
            tokenizers.pre_tokenizers.Metaspace(),
        ]
    )
    return made
