"""What the request models of every domain are made of."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

# Absent, and with no default in the contract: a client that sends defaults would change what it did not mean to.
ABSENT: Any = Field(default_factory=lambda: None)


class Strict(BaseModel):
    """A request: an unknown member is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")

    def given(self) -> dict[str, Any]:
        """The members that the request holds: absent is not null."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def patch_of(model: type[BaseModel]) -> type[Strict]:
    """The base of a request that changes some members of a model: the same members and limits, all absent."""
    members: dict[str, Any] = {
        name: (Annotated[one.annotation, Field(description=one.description), *one.metadata], ABSENT)
        for name, one in model.model_fields.items()
    }
    return create_model(f"{model.__name__}Patch", __base__=Strict, **members)


def example(value: dict[str, Any]) -> ConfigDict:
    """The configuration of a request that shows this example in the contract."""
    return ConfigDict(json_schema_extra={"example": value})
