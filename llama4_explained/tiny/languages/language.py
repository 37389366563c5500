"""What a language must be able to say about a picture: questions, and the right answers to them.

Every language is one class in a file of its own, written out with its own grammar: gender, number, case, counters and
word order are not translated from English. `ALL` in the package has one of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple")
DIRECTIONS = ("left", "right", "above", "below")
CODES = ("ar", "de", "en", "es", "fr", "hi", "id", "it", "ko", "pt", "th", "tl", "vi")
MOST_OBJECTS = 4


@dataclass(frozen=True)
class Thing:
    """One kind of object, such as a red circle; names are those of `SHAPES` and `COLORS`."""

    shape: str
    color: str

    @property
    def kinds(self) -> frozenset[str]:
        """The two words that say what it is."""
        return frozenset((self.shape, self.color))


@dataclass(frozen=True)
class Group:
    """Objects of one kind that are in the same picture, 1 to `MOST_OBJECTS`."""

    count: int
    thing: Thing


class Language(ABC):
    """One language. Questions are whole sentences; answers are as short as a person's would be, also with a full stop.

    A shape or colour that is None is left open: a count of all "objects", or of all objects of a colour.
    """

    code: str  # ISO 639-1, one of CODES
    name: str  # in the language itself
    names: dict[str, str]  # code -> what this language calls each of the thirteen, as `ask_translation` needs it

    @abstractmethod
    def ask_caption(self) -> str:
        """What is in the picture?"""

    @abstractmethod
    def caption(self, groups: Sequence[Group]) -> str:
        """A red circle, two blue squares and a green star.  (1 to 4 groups, in order)"""

    @abstractmethod
    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        """How many objects are there? / How many stars are there? / How many red objects are there?"""

    @abstractmethod
    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        """Two.  (0 to 4, in words, agreeing with what is counted where the language does so)"""

    @abstractmethod
    def ask_color(self, shape: str) -> str:
        """What colour is the star?  (there is one star)"""

    @abstractmethod
    def color(self, color: str, shape: str) -> str:
        """Red.  (agreeing with the shape where the language does so)"""

    @abstractmethod
    def ask_shape(self, color: str) -> str:
        """What shape is the red object?  (there is one red object)"""

    @abstractmethod
    def shape(self, shape: str) -> str:
        """A star."""

    @abstractmethod
    def ask_existence(self, thing: Thing) -> str:
        """Is there a red star?"""

    @abstractmethod
    def yes(self) -> str:
        """Yes."""

    @abstractmethod
    def no(self) -> str:
        """No."""

    @abstractmethod
    def ask_relation(self, thing: Thing, other: Thing) -> str:
        """Where is the red star, seen from the blue circle?  (one of each)"""

    @abstractmethod
    def relation(self, direction: str) -> str:
        """To the left. / To the right. / Above. / Below.  (the answer to `ask_relation`)"""

    @abstractmethod
    def ask_translation(self, code: str, text: str) -> str:
        """Translate into German: A red star.  (`code` is another language; `text` is in this one)"""

    @abstractmethod
    def note(self, key: str, value: str) -> str:
        """The number of K is 42.  (one line of a long text to remember; `key` is a Latin letter)"""

    @abstractmethod
    def ask_note(self, key: str) -> str:
        """What is the number of K?  (the answer is the value alone)"""


def listed(phrases: Sequence[str], conjunction: str) -> str:
    """One phrase; two with the conjunction between; of more, the first ones with commas: a, b and c."""
    *first, last = phrases
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def sentence(text: str, end: str = ".") -> str:
    """With a capital letter at its beginning, and what ends it."""
    return f"{text[0].upper()}{text[1:]}{end}"
