"""The thirteen languages of the tiny model: the twelve that Llama 4 was tuned for, and Korean."""

from .arabic import Arabic
from .english import English
from .french import French
from .german import German
from .hindi import Hindi
from .indonesian import Indonesian
from .italian import Italian
from .korean import Korean
from .language import CODES, Language
from .portuguese import Portuguese
from .spanish import Spanish
from .tagalog import Tagalog
from .thai import Thai
from .vietnamese import Vietnamese

__all__ = ["ALL", "BY_CODE", "CODES", "Language"]

ALL: tuple[Language, ...] = (
    Arabic(), German(), English(), Spanish(), French(), Hindi(), Indonesian(), Italian(), Korean(), Portuguese(),
    Thai(), Tagalog(), Vietnamese(),
)  # fmt: skip
BY_CODE = {language.code: language for language in ALL}
