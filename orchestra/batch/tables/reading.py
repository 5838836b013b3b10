"""How a table is to be read where it is not left to the file: format, delimiter, encoding."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from orchestra.batch.tables.formats import ALL
from orchestra.core.job import Word

DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


class ReadAs(Word):
    """What is given of a table's reading; None is found out.

    `format` is one of `formats.ALL`, `delimiter` one character or a name such as `tab`.
    """

    format: str | None = None
    delimiter: str | None = None
    encoding: str | None = None

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.format is not None and self.format not in ALL:
            raise ValueError(f"there is no format {self.format!r}; there are {', '.join(ALL)}")
        sign = self.sign
        if sign is not None and (len(sign) != 1 or sign in '"\r\n\0'):
            names = ", ".join(name for name in DELIMITER_NAMES if name.isalpha())
            raise ValueError(
                f"delimiter={self.delimiter!r} is not one character; give one such as ';', or "
                f"{names}"
            )
        return self

    @property
    def sign(self) -> str | None:
        """The delimiter as it stands in the file."""
        return (
            None if self.delimiter is None else DELIMITER_NAMES.get(self.delimiter, self.delimiter)
        )

    @property
    def is_grouped(self) -> bool:
        """Whether rows of one product are joined."""
        return self.format is not None and ALL[self.format].is_grouped


AS_FOUND = ReadAs()  # all is left to the file
