import pytest
import torch

from llama4_explained.tiny.information import entropy, information, mutual_information


def numbers(below: int, count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(below, (count,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([3, 3, 3], 0.0), ([0, 0, 1, 1], 1.0), ([0, 5, 2, 3], 2.0), ([0, 1, 1, 1], 0.8112781)],
)
def test_entropy_by_hand(labels, expected):
    assert entropy(torch.tensor(labels)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("choices", "labels", "expected"),
    [
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.0),  # independent
        ([0, 1, 2, 3], [3, 0, 2, 1], 2.0),  # the same under other names: all of the entropy
        ([0, 1, 2, 3], [0, 0, 1, 1], 1.0),  # all of the labels', half of the choices'
        ([0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 1, 1], 0.0817042),  # 1 - H(1/3, 2/3)
        ([7, 7, 7], [0, 1, 2], 0.0),
        ([0, 1], [2, 0], 1.0),  # more labels than choices, and the other way round
    ],
)
def test_mutual_information_by_hand(choices, labels, expected):
    for one, other in ((choices, labels), (labels, choices)):
        assert mutual_information(torch.tensor(one), torch.tensor(other)) == pytest.approx(expected, abs=1e-7)


def test_what_chance_seems_to_tell_is_taken_away():
    """8 experts and 13 languages that know nothing of each other, a few hundred tokens."""
    choices, labels = numbers(8, 300), numbers(13, 300, seed=1)
    found = information(choices, labels)
    assert mutual_information(choices, labels) > 0.15
    assert found.bits + found.shuffled == pytest.approx(mutual_information(choices, labels))
    assert abs(found.bits) < 0.03 and abs(found.share) < 0.01


def test_what_is_told_remains():
    labels = numbers(4, 2000)
    found = information(labels, labels)
    assert found.entropy == pytest.approx(entropy(labels))
    assert found.bits == pytest.approx(found.entropy - found.shuffled)
    assert found.share > 0.99


def test_tokens_of_one_group_are_no_independent_witnesses():
    """Each of 40 conversations prefers an expert of its own, whatever its language; only whole ones show that."""
    group = torch.arange(40).repeat_interleave(50)
    choices, language = numbers(8, 40)[group], numbers(4, 40, seed=1)
    fooled = information(choices, language[group])
    found = information(choices, language, group)
    assert fooled.bits > 0.3 and abs(found.bits) < 0.1
    assert found.entropy == fooled.entropy


def test_labels_that_are_all_the_same_tell_nothing():
    assert information(numbers(4, 50), torch.zeros(50, dtype=torch.int64)).share == 0.0
