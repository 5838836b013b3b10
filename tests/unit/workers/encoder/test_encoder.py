import threading

import numpy as np
import pytest

from orchestra.core.errors import UsageError
from workers.encoder import encoder as module
from workers.encoder.encoder import Encoder, shared_encoder

TITLES = [
    "Nature's Way organic green tea, 20 bags",
    "Men's red cotton T-shirt size XL",
    "有机红茶 500克 简装，北京",
    "Kids' waterproof rain jacket 🧥 blue",
    "无线蓝牙耳机，黑色",
    "Cafe\u0301 crème brûlée ﬁne sugar",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return shared_encoder()


def test_vectors_and_states_are_those_of_the_float32_network(encoder: Encoder) -> None:
    torch = pytest.importorskip("torch")
    from workers.training.encoder import bert

    model, tokenizer = bert(), encoder.tokenizer
    for text, encoded in zip(TITLES, encoder.encode(TITLES), strict=True):
        first, tokens = tokenizer(["query: ", text])
        ids = [tokenizer.bos, *first.ids, *tokens.ids, tokenizer.eos]
        with torch.no_grad():
            states = model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        vector = states.mean(axis=0) / np.linalg.norm(states.mean(axis=0))
        assert vector @ encoded.vector > 0.997
        own = states[1 + len(first.ids) : -1]
        assert encoded.states.shape == own.shape == (len(encoded.offsets), 384)
        assert _cosines(own, encoded.states).mean() > 0.995


def test_vectors_have_length_one_and_order_texts_by_meaning(encoder: Encoder) -> None:
    red, shirt, tea = encoder.vectors(["red cotton shirt", "红色棉质衬衫", "organic green tea"])

    assert np.linalg.norm(red) == pytest.approx(1.0, abs=1e-5)
    assert red @ shirt > red @ tea


def test_a_text_in_a_batch_is_what_it_is_alone(encoder: Encoder) -> None:
    alone = Encoder.load()
    together = encoder.encode(TITLES)
    for text, encoded in zip(TITLES, together, strict=True):
        (single,) = alone.encode([text])
        np.testing.assert_allclose(single.states, encoded.states, atol=5e-2)
        assert single.vector @ encoded.vector > 0.9999


def test_a_text_that_stands_twice_is_one_object_and_kept(encoder: Encoder) -> None:
    first, _, again = encoder.encode(["green tea", "black tea", "green tea"])

    assert first is again
    assert encoder.encode(["green tea"])[0] is first
    with pytest.raises(ValueError, match="read-only"):
        first.vector[0] = 1.0


def test_a_long_text_is_read_in_windows(encoder: Encoder) -> None:
    text = "organic green tea from China " * 300
    (encoded,) = encoder.encode([text])

    assert len(encoded.states) == len(encoded.offsets) > 512
    assert encoded.offsets[-1, 1] == len(text.rstrip())
    assert encoded.vector @ encoder.vectors(["organic green tea from China"])[0] > 0.8


@pytest.mark.parametrize("text", ["", "   ", "\u0007"])
def test_a_text_without_words_has_the_prefix_s_vector_and_no_states(
    encoder: Encoder, text: str
) -> None:
    (encoded,) = encoder.encode([text])

    assert encoded.states.shape == (0, 384)
    np.testing.assert_allclose(encoded.vector, encoder.vectors([""])[0], atol=1e-6)


def test_a_script_that_the_vocabulary_lacks_is_counted(encoder: Encoder) -> None:
    unknown, known = encoder.encode(["ᚠᚢᚦ ᚨᚱᚲ", "rune stone"])

    assert unknown.unknown == 2
    assert known.unknown == 0


def test_no_texts_give_nothing(encoder: Encoder) -> None:
    assert encoder.encode([]) == []
    assert encoder.vectors([]).shape == (0, 384)


def test_states_of_an_earlier_layer_come_beside_the_same_vector(encoder: Encoder) -> None:
    (last,) = encoder.encode(["green tea"])
    (earlier,) = encoder.encode(["green tea"], states_of=6)

    np.testing.assert_allclose(earlier.vector, last.vector, atol=1e-6)
    assert not np.allclose(earlier.states, last.states)
    (pruned,) = Encoder.load(layers=6).encode(["green tea"])
    np.testing.assert_allclose(earlier.states, pruned.states, atol=1e-5)


def test_layers_that_are_not_there_are_refused_with_those_that_are(encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="states_of is 13; the encoder has layers 1 to 12"):
        encoder.encode(["tea"], states_of=13)
    with pytest.raises(UsageError, match=r"no graph of 7 layers \(there are \[6, 12\]\)"):
        Encoder.load(layers=7)


def test_the_cache_stays_within_its_bytes() -> None:
    small = Encoder.load(cache_bytes=40_000)
    small.encode(TITLES)

    assert 0 < small._encoded_texts.nbytes <= 40_000


def test_threads_that_ask_first_at_once_make_one_encoder() -> None:
    found: list[Encoder] = []
    threads = [threading.Thread(target=lambda: found.append(shared_encoder())) for _ in range(4)]
    kept = module._SHARED[:]
    module._SHARED.clear()
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        module._SHARED[:] = kept
    assert len(found) == 4
    assert len({id(one) for one in found}) == 1


def test_threads_that_encode_at_once_agree(encoder: Encoder) -> None:
    fresh = Encoder.load()
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(fresh.vectors(TITLES))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 3
    for vectors in found:
        np.testing.assert_allclose(vectors, encoder.vectors(TITLES), atol=5e-3)


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
