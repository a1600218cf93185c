"""The exceptions to the laws. Each has its reason; an entry that nothing needs any more fails the law it is for."""

# Tables that belong to no tenant, so that nothing walls their rows.
NO_TENANT = {
    "workspace": "the list of tenants itself: read before the tenant is known, written only by the owner",
}

# Tables of rows that pass through, without row-level security because COPY refuses it.
STAGING = {
    "import_staging": "COPY is refused into a table with row-level security; rows live inside one transaction",
}

# Tables that the dispatcher may look at across tenants.
DISPATCHED = {
    "job": "the sweeper must learn which tenants have due work",
    "workspace": "the sweeper's list of tenants",
}

# Indexes that do not begin with tenant_id.
ACROSS_TENANTS: dict[str, str] = {}

# Who may step into another role. crm_app is whom API and workers log in as.
ROLE_CHANGES = {
    ("app/filters/search.py", "crm_search"): "the search door",
    ("app/filters/search.py", "NONE"): "the way back from the search door",
    ("app/core/db.py", "crm_dispatch"): "the sweeper's look at due work",
    ("app/core/migrate.py", "crm_owner"): "migrations",
    ("app/doctor.py", "crm_owner"): "looks at all tenants, over the owner's own URL",
    ("app/core/owner.py", "crm_owner"): "the operator's commands, over the owner's own URL",
    ("migrations/env.py", "crm_owner"): "alembic on the command line",
}

# Who may open a connection that is not the pool's.
CONNECTIONS = {
    "app/core/db.py": "the pool",
    "app/core/migrate.py": "migrations run as the owner",
    "app/embedded.py": "waits until the private server answers",
    "app/doctor.py": "looks at all tenants as the owner",
    "migrations/env.py": "alembic on the command line",
}

# Operations that change nothing a person could ask about, or whose fact is recorded elsewhere.
NO_EVENT = {
    "preview_merge": "it says what a merge would do, and writes nothing",
    "preview_bulk_customers": "it says what a bulk change would do, and writes nothing",
    "refresh_tokens": "a refresh extends the session that `user.signed_in` began; a reuse of one records its own event",
    "read_notification": "the mark is the reader's own, and `read_at` says when it was made",
    "read_all_notifications": "the marks are the reader's own, and `read_at` says when they were made",
    **dict.fromkeys(
        ("search_customers", "count_customers", "validate_filter", "count_filters"),
        "it only reads: a filter is too long for a query string",
    ),
}

# PATCHes, PUTs and DELETEs that take no If-Match.
NO_VERSION = {
    "unshare_customer": "whom it is shared with is a set: to be taken out twice is to be taken out once",
    "remove_group_customers": "membership is a set: leaving twice is leaving once, and nobody's edit is overwritten",
    "take_dismissal_back": "a dismissal never changes, and taking it back twice is taking it back once",
    **dict.fromkeys(
        (
            "remove_customer_phone",
            "remove_customer_email_address",
            "remove_customer_postal_address",
            "remove_customer_link",
        ),
        "a value never changes: it is there or not, and removing it twice is removing it once",
    ),
}

# POSTs that ignore an Idempotency-Key.
NO_KEY = {
    "login": "nobody is known yet whom a key could belong to",
    "refresh_tokens": "nobody is known yet whom a key could belong to; a token works once by itself",
    **dict.fromkeys(
        ("search_customers", "count_customers", "validate_filter", "count_filters"),
        "it only reads, and doing so twice has no effect",
    ),
}

# Operations whose every row another process has changed again before a test can look.
OVERTAKEN = {
    "create_import": "the reply waits for the worker, which reads the file and changes the import, its job and the key",
}

# Operations that anybody may call.
PUBLIC = {
    "login": "it proves who calls",
    "refresh_tokens": "the refresh token proves who calls",
    "get_export_file": "the signed link proves who calls, so that a browser can follow it; it ends after minutes",
    "health_live": "asked by the supervisor; says nothing",
    "health_ready": "asked by the load balancer; names only our own parts",
    "metrics": "for the operator's scraper, kept inside by the proxy; holds no customer data",
}

# Functions that run as their owner.
DEFINERS = {
    "forget_customers": "a purge empties the history of who is gone, which the application itself cannot change",
    "refresh_statistics": "ANALYZE needs the owner of the table; it takes no argument and tells no row",
}

# Those that take arguments: the tenant, which they compare with the transaction's own, and what it is about.
DEFINERS_TAKE = {"forget_customers": 2}
