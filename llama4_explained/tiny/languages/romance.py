"""What French, Italian, Portuguese and Spanish have in common: two genders, and adjectives that stand after the noun
and agree with it in gender and number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .language import Group, Language, listed, sentence

SINGULAR, PLURAL = 0, 1  # where the forms are in the pairs of a language's tables
Forms = tuple[str, str]
ByGender = Mapping[str, str]  # "m" and "f"


class Romance(Language):
    """A Romance language is its tables, its questions, and its articles."""

    nouns: Mapping[str, Forms]
    genders: Mapping[str, str]
    adjectives: Mapping[str, Mapping[str, Forms]]  # colour -> gender -> forms
    numbers: Mapping[str, Sequence[str]]  # gender -> 0 to 4, as an answer of one word
    one: ByGender  # before a noun
    conjunction: str
    directions: Mapping[str, str]

    def caption(self, groups: Sequence[Group]) -> str:
        return sentence(listed([self.counted(group) for group in groups], self.conjunction))

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return sentence(self.numbers[self.genders[shape or "object"]][number])

    def color(self, color: str, shape: str) -> str:
        return sentence(self.adjectives[color][self.genders[shape]][SINGULAR])

    def shape(self, shape: str) -> str:
        return sentence(self.with_article(self.one, shape))

    def relation(self, direction: str) -> str:
        return self.directions[direction]

    def phrase(self, shape: str, color: str | None, number: int) -> str:
        """estrella, estrellas rojas"""
        noun = self.nouns[shape][number]
        return f"{noun} {self.adjectives[color][self.genders[shape]][number]}" if color else noun

    def with_article(self, article: ByGender, shape: str, color: str | None = None) -> str:
        """un círculo, la estrella roja, al círculo rojo"""
        return f"{article[self.genders[shape]]} {self.phrase(shape, color, SINGULAR)}"

    def counted(self, group: Group) -> str:
        """un círculo rojo, dos círculos rojos"""
        thing = group.thing
        if group.count == 1:
            return self.with_article(self.one, thing.shape, thing.color)
        number = self.numbers[self.genders[thing.shape]][group.count]
        return f"{number} {self.phrase(thing.shape, thing.color, PLURAL)}"
