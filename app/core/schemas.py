"""What the request models of every domain are made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

# Absent, and with no default in the contract: a client that sends defaults would change what it did not mean to.
ABSENT: Any = Field(default_factory=lambda: None)


class Strict(BaseModel):
    """A request: an unknown member is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")

    def given(self) -> dict[str, Any]:
        """The members that the request holds: absent is not null."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def example(value: dict[str, Any]) -> ConfigDict:
    """The configuration of a request that shows this example in the contract."""
    return ConfigDict(json_schema_extra={"example": value})
