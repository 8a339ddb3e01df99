"""The base of the data classes: what programs call on a pydantic model, without pydantic."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any, TypeVar

_M = TypeVar("_M", bound="Model")


class Model:
    """A data class with the methods of a pydantic model that programs use."""

    @classmethod
    def model_validate(cls: type[_M], data: Any) -> _M:
        """Returns an object with these members. Members that the class does not have are ignored."""
        if isinstance(data, cls):
            return data
        if not isinstance(data, dict):
            raise ValueError(f"cannot read {cls.__name__}: it is not an object")
        names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        try:
            return cls(**{name: value for name, value in data.items() if name in names})
        except TypeError as error:
            # The text of the error names the missing members, and no values.
            raise ValueError(f"cannot read {cls.__name__}: {error}") from None

    @classmethod
    def model_validate_json(cls: type[_M], text: str | bytes) -> _M:
        """Returns the object of a JSON text."""
        return cls.model_validate(json.loads(text))

    def model_dump(self) -> dict[str, Any]:
        """Returns the members as a dictionary, secrets included."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    def to_dict(self) -> dict[str, Any]:
        """Returns the members as a dictionary, secrets included."""
        return self.model_dump()

    def model_dump_json(self) -> str:
        """Returns the members as JSON, secrets included."""
        return json.dumps(self.model_dump(), default=_value)

    def __getitem__(self, name: str) -> Any:
        """Returns a member by its name, as in a dictionary."""
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None


def _value(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} is not JSON")
