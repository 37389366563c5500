import pytest

from llama4_explained.devices import DEVICES, RESERVED_GIB, Device

GIB = 2**30


@pytest.mark.parametrize("divided", [0.5, 7, 8, 8.01, 100, 300])
@pytest.mark.parametrize("on_each", [0, 1.5])
def test_the_fewest_that_hold_it(divided, on_each):
    """Equal parts fit, and would not with one device less."""
    device = Device("", 10)
    needed = device.num_needed(int(divided * GIB), int(on_each * GIB), max_parts=100)
    room = 10 - RESERVED_GIB - on_each
    assert needed is not None and divided / needed <= room
    assert needed == 1 or divided / (needed - 1) > room


def test_too_small_in_any_number():
    assert Device("", 10).num_needed(50 * GIB, 9 * GIB, 48) is None
    assert Device("", 10).num_needed(49 * 9 * GIB, 0, 48) is None
    assert Device("", 10).num_needed(48 * 9 * GIB, 0, 48) == 48
    assert Device("", 10, shares_models=False).num_needed(10 * GIB, 0, 48) is None
    assert Device("", 10, shares_models=False).num_needed(9 * GIB, 0, 48) == 1


def test_a_device_has_less_than_it_is_sold_by():
    for device in DEVICES:
        sold = int(device.name.split()[-2])
        assert 0.7 * sold < device.gib < sold
