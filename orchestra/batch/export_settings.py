"""What a channel wants that no table of products says: currency, seller, countries, labels.

It is the block `export` of a recipe, and decides no answer: a batch stays itself whatever it says.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field as Attribute
from pydantic import field_validator, model_validator

from orchestra.core.job import Word

COUNTRY = r"^[A-Z]{2}$"  # ISO 3166-1 alpha-2
CURRENCY = r"^[A-Z]{3}$"  # ISO 4217


class Seller(Word):
    """Who sells, as OpenAI's feed asks for it; all are addresses but the name."""

    name: str = ""
    url: str = ""
    privacy_policy: str = ""
    terms: str = ""
    return_policy: str = ""


class AiLabels(Word):
    """Which labels of text that a model wrote are added; see docs/channels.md. Not legal advice.

    `china`: GB 45438-2025, a sentence that people see and an object that programs read. `eu`: the
    machine-readable mark of the EU AI Act's Article 50(2). `provider` is the name or code of who
    runs the models, `propagator` that of who publishes the file (default: the provider).
    """

    china: bool = False
    eu: bool = False
    provider: str = ""
    propagator: str = ""

    @model_validator(mode="after")
    def _names_the_provider(self) -> Self:
        if self.china and not self.provider.strip():
            raise ValueError("china wants a provider: the name or code of who runs the models")
        return self


class ExportSettings(Word):
    """How channel files are written.

    `columns` say for an attribute of the channel which column of the table, or which field of the
    recipe, it is taken from; `constants` give it one value for all rows. `link` is the address of a
    product's page and `photos` that of a photo with a local path, with `{id}`, `{handle}` or any
    `{column}` in them. `language` is the one whose written parts go out, where several were
    written. Raises `ValidationError` for a country or currency that is no code.
    """

    language: Literal["en", "zh"] | None = None
    currency: str | None = Attribute(default=None, pattern=CURRENCY)
    link: str = ""
    photos: str = ""
    columns: dict[str, str] = Attribute(default_factory=dict)
    constants: dict[str, str] = Attribute(default_factory=dict)
    seller: Seller = Seller()
    countries: tuple[str, ...] = ()
    store_country: str | None = Attribute(default=None, pattern=COUNTRY)
    ai_labels: AiLabels = AiLabels()

    @field_validator("countries")
    @classmethod
    def _are_codes(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [code for code in countries if len(code) != 2 or not code.isupper()]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no country code; write two capitals, such as US")
        return countries
