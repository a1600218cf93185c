"""What customers refuse, and why."""

from collections.abc import Mapping
from typing import Any

from app.core.errors import AppError, Conflict
from app.core.i18n import Language, language
from app.identity.errors import NameTaken as NameTaken


class PhoneTaken(Conflict):
    """Another customer has this phone. `existing_id` is given when the caller may see that customer."""

    code = "phone_taken"
    vi, en = "Số điện thoại đã tồn tại", "This phone number already exists"


class PhoneInContact(Conflict):
    """A contact of another customer has this phone. `existing_id` is given when the caller may see that customer."""

    code = "phone_in_contact"
    vi = "Số điện thoại {phone} đã tồn tại trong liên hệ của khách hàng {customer}/ chủ sở hữu {owner}"
    en = "The phone {phone} belongs to a contact of the customer {customer}/ owner {owner}"

    def message(self, chosen: Language | None = None) -> str:
        """The guide's sentence, or one for a customer that has no owner."""
        phone, customer, owner = (self.values[name] for name in ("phone", "customer", "owner"))
        if owner is not None:
            return super().message(chosen)
        if (chosen or language.get()) == "vi":
            return f"Số điện thoại {phone} đã tồn tại trong liên hệ của khách hàng {customer} (chưa có chủ sở hữu)"
        return f"The phone {phone} belongs to a contact of the customer {customer}, which has no owner"


class Duplicate(Conflict):
    """Another customer has the values of one of the workspace's duplicate keys. `existing_id` is given, and that
    customer and its owner are named, when the caller may see that customer."""

    code = "duplicate"
    vi, en = "{label} đã tồn tại", "{label} already exists"

    def __init__(self, *, label: str, existing: tuple[str, str | None] | None = None, extra: Mapping[str, Any]) -> None:
        """`existing` is the other customer's name and its owner's, if it has one."""
        super().__init__(label=label, extra=extra)
        self.existing = existing

    def message(self, chosen: Language | None = None) -> str:
        """The sentence, which names the other customer to whom it may be named."""
        if self.existing is None:
            return super().message(chosen)
        label, (customer, owner) = self.values["label"], self.existing
        if (chosen or language.get()) == "vi":
            whose = f"thuộc chủ sở hữu {owner}" if owner else "(chưa có chủ sở hữu)"
            return f"{label} đã tồn tại trong khách hàng {customer} {whose}"
        whose = f"whose owner is {owner}" if owner else "which has no owner"
        return f"{label} already exists in the customer {customer}, {whose}"


class MergedInto(AppError):
    """The customer was merged into the one that `Location` and `merged_into` name: read that one."""

    status, code = 308, "merged"
    vi, en = "Khách hàng đã được gộp vào khách hàng khác", "The customer was merged into another"


class ValueTaken(Conflict):
    """Another customer has this value of a field that must be unique."""

    code = "value_taken"
    vi, en = "{label} đã tồn tại", "{label} already exists"


class GroupNameMissing(AppError):
    """A group needs a name."""

    status, code = 422, "group_name_required"
    vi, en = "Vui lòng nhập tên nhóm", "Please enter the group's name"


class GroupDescriptionMissing(AppError):
    """The workspace's parameters ask for a description of each group."""

    status, code = 422, "group_description_required"
    vi, en = "Vui lòng nhập mô tả nhóm", "Please enter the group's description"


class NotEntrusted(AppError):
    """A customer that is only shared with the caller, or that the pool lends, is not the caller's to pass on."""

    status, code = 403, "not_entrusted"
    vi = "Chỉ người phụ trách mới được chuyển hoặc chia sẻ khách hàng này"
    en = "Only whoever is in charge of this customer may hand it over or share it"


class GroupNameTaken(Conflict):
    """The workspace has a group of this name."""

    code = "group_name_taken"
    vi, en = "Tên nhóm đã tồn tại", "A group of this name already exists"


class InUse(Conflict):
    """Customers have this value of a list, so it cannot go; switch it off instead."""

    code = "in_use"
    vi = "Đang có {count} khách hàng dùng giá trị này nên không thể xóa; hãy chuyển sang ngừng sử dụng"
    en = "{count} customers have this value, so it cannot be deleted; deactivate it instead"


class ImportRunning(Conflict):
    """A running import may give this value of a list to customers, so it cannot go before that has ended."""

    code = "import_running"
    vi = "Đang có file khách hàng được nhập, vui lòng xóa giá trị này sau khi nhập xong"
    en = "Customers are being imported; please delete this value when that has ended"


class AttributeNameTaken(Conflict):
    """The workspace has a field of this name."""

    code = "attribute_name_taken"
    vi, en = "Tên thuộc tính đã tồn tại", "A field of this name already exists"


class NotUniqueYet(Conflict):
    """Customers share values of this attribute, so it cannot become unique."""

    code = "attribute_not_unique"
    vi = "Có {count} giá trị đang bị trùng, chưa thể đặt là duy nhất"
    en = "{count} values are used more than once, so the field cannot be unique yet"


class AttributeKeyTaken(Conflict):
    """A field has this key, or a deleted one had it: the values it left must not become another field's."""

    code = "attribute_key_taken"
    vi, en = "Khóa của thuộc tính đã được dùng", "The key belongs to another field, perhaps a deleted one"


class TooManyAttributes(Conflict):
    """The workspace has as many fields of its own as there can be."""

    code = "too_many_attributes"
    vi, en = "Chỉ có thể thêm tối đa {limit} thuộc tính", "There can be at most {limit} fields of your own"


class ChoiceInUse(Conflict):
    """Customers have a value that the change would take away."""

    code = "choice_in_use"
    vi = "Đang có {count} khách hàng dùng giá trị “{choice}” nên không thể xóa; hãy đổi tên hoặc sửa các khách hàng đó"
    en = "{count} customers have the value “{choice}”, so it cannot be removed; rename it or change them first"
