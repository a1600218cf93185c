"""What conversions ask and answer."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.core.schemas import Strict, example


class ConvertIn(Strict):
    """What a customer becomes."""

    model_config = example({"kind": "company", "name": "Công ty TNHH Hoa Sen"})

    kind: Literal["individual", "company"]
    name: Annotated[
        str | None, Field(max_length=255, description="The new name; a new company's `company_name` if absent.")
    ] = None
    attach_to: Annotated[
        UUID | None,
        Field(description="Id of the customer that the lead is a contact of; found by its phones if absent."),
    ] = None


class ConvertOut(BaseModel):
    """What came of a conversion."""

    id: Annotated[UUID, Field(description="The customer, or the one that the lead was attached to.")]
    kind: str
    attached: Annotated[bool, Field(description="Whether the lead became a contact of a customer who was there.")]
    contact_id: Annotated[UUID | None, Field(description="The contact that the person is now.")]
    merge_id: Annotated[
        UUID | None, Field(description="What was attached is undone with `POST /merges/{merge_id}/undo`.")
    ]
    version: int
