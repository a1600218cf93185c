"""Customers as the search door finds them."""

from typing import Final

from app.filters.search import Entity

CUSTOMERS: Final = Entity("crm.customer", words="crm.customer_search")
# Where a capped count stops: shown as 10.000+.
CAP: Final = 10_001
