"""What the matrices of the contract need to know of a domain: how one of its objects is made, and what its bodies hold.

A new operation with an id in it fails the laws until its path stands in MAKERS (or its body's member in BODY_IDS).
A new body needs a line in BODIES only if the contract's example cannot be sent twice.
"""

from tests.factories.people import PASSWORD
from tests.laws.making.customers import (
    address_body,
    attribute,
    attribute_body,
    contact_body,
    contract,
    contract_body,
    customer,
    customer_body,
    email_body,
    field_of_customers,
    filter_body,
    group,
    group_body,
    in_the_group,
    lead,
    link_body,
    listed,
    of_a_company,
    of_its_customer,
    phone_body,
    saved_filter,
    shared_with_somebody,
    tabs_body,
    transaction,
    trashed,
    view_body,
    with_two,
)
from tests.laws.making.duplicates import after_a_scan, as_they_are, cluster, dismissal, keys_body, merge, with_another
from tests.laws.making.people import (
    api_key,
    key_body,
    notification,
    other_settings,
    role,
    team,
    team_body,
    user,
    user_body,
)
from tests.laws.making.work import (
    bulk_job,
    by_its_link,
    customers_file,
    dry_run,
    ended_job,
    export,
    finished_import,
    job,
    paused_import,
    uploaded,
    waiting_import,
)
from tests.laws.scene import API, Before, Body, Maker

# How to make what a path's last parameter names. A key is an operation's id, or a path that ends with the parameter.
MAKERS: dict[str, Maker] = {
    f"{API}/users/{{user_id}}": user,
    f"{API}/roles/{{role_id}}": role,
    f"{API}/teams/{{team_id}}": team,
    f"{API}/api-keys/{{key_id}}": api_key,
    f"{API}/customers/{{customer_id}}": customer,
    f"{API}/customers/{{customer_id}}/contacts/{{contact_id}}": of_a_company("contacts", contact_body),
    f"{API}/customers/{{customer_id}}/phones/{{point_id}}": of_a_company("phones", phone_body),
    f"{API}/customers/{{customer_id}}/emails/{{point_id}}": of_a_company("emails", email_body),
    f"{API}/customers/{{customer_id}}/addresses/{{point_id}}": of_a_company("addresses", address_body),
    f"{API}/customers/{{customer_id}}/links/{{point_id}}": of_a_company("links", link_body),
    f"{API}/customers/{{customer_id}}/shares/{{user_id}}": shared_with_somebody,
    "convert_customer": lead,
    "list_contacts": with_two("contacts", contact_body),
    "list_customer_phones": with_two("phones", phone_body),
    "list_customer_email_addresses": with_two("emails", email_body),
    "list_customer_postal_addresses": with_two("addresses", address_body),
    "list_customer_links": with_two("links", link_body),
    f"{API}/groups/{{group_id}}": group,
    f"{API}/sources/{{value_id}}": listed("/sources"),
    f"{API}/customer-types/{{value_id}}": listed("/customer-types"),
    f"{API}/relationships/{{value_id}}": listed("/relationships"),
    f"{API}/filters/{{filter_id}}": saved_filter,
    f"{API}/tags/{{tag_id}}": listed("/tags"),
    f"{API}/tiers/{{tier_id}}": listed("/tiers"),
    f"{API}/transaction-types/{{type_id}}": listed("/transaction-types"),
    f"{API}/transactions/{{transaction_id}}": transaction,
    f"{API}/contracts/{{contract_id}}": contract,
    f"{API}/attributes/{{attribute_id}}": attribute,
    f"{API}/fields/{{key}}": field_of_customers,
    f"{API}/imports/{{import_id}}": uploaded,
    "pause_import": waiting_import,
    "resume_import": paused_import,
    "cancel_import": waiting_import,
    "undo_import": finished_import,
    "list_import_rows": dry_run,
    "get_import_result": dry_run,
    f"{API}/jobs/{{job_id}}": job(),
    "resume_job": job("pause"),
    "watch_job": ended_job,
    f"{API}/notifications/{{notification_id}}": notification,
    # The trash has no address of its own for one of its customers; the law of cursors asks for what a list holds.
    f"{API}/customers/trash/{{customer_id}}": trashed,
    "restore_customer": trashed,
    "purge_customer": trashed,
    "list_job_items": bulk_job,
    "undo_job": bulk_job,
    f"{API}/exports/{{export_id}}": export,
    f"{API}/merges/{{merge_id}}": merge,
    f"{API}/duplicates/{{cluster}}": cluster,
    f"{API}/duplicates/dismissals/{{dismissal_id}}": dismissal,
}

# Path parameters that name the same thing in every workspace, so that none is foreign.
SHARED = {f"{API}/fields/{{key}}": "built-in fields have one key everywhere"}

# Queries that an operation needs to succeed.
QUERIES: dict[str, dict[str, str]] = {
    "purge_customer": {"confirm": "Khách hàng bị xóa sẽ không thể khôi phục lại"},
}

# What an id in a body or a query names, by operation and place.
BODY_IDS: dict[tuple[str, str], Maker] = {
    ("create_team", "parent_id"): team,
    ("create_team", "members[]"): user,
    ("update_team", "parent_id"): team,
    ("update_team", "members[]"): user,
    ("create_customer", "owner"): user,
    ("update_customer", "owner"): user,
    ("create_customer", "referrer"): customer,
    ("create_customer", "referrer_user"): user,
    ("update_customer", "referrer_user"): user,
    ("update_customer", "referrer"): customer,
    ("convert_customer", "attach_to"): customer,
    ("share_customer", "users[]"): user,
    ("add_group_customers", "ids[]"): customer,
    ("remove_group_customers", "ids[]"): customer,
    ("start_import", "group.id"): group,
    ("bulk_customers", "selection.ids[]"): customer,
    ("bulk_customers", "selection.exclude[]"): customer,
    ("bulk_customers", "params.owner"): user,
    ("preview_bulk_customers", "selection.ids[]"): customer,
    ("preview_bulk_customers", "selection.exclude[]"): customer,
    ("preview_bulk_customers", "params.owner"): user,
    ("create_export", "selection.ids[]"): customer,
    ("create_export", "selection.exclude[]"): customer,
    ("create_filter", "users[]"): user,
    ("create_filter", "roles[]"): role,
    ("create_filter", "teams[]"): team,
    ("update_filter", "users[]"): user,
    ("update_filter", "roles[]"): role,
    ("update_filter", "teams[]"): team,
    ("count_filters", "ids[]"): saved_filter,
    ("count_customers", "ids[]"): customer,
    ("count_customers", "exclude[]"): customer,
    ("create_transaction", "customer_id"): customer,
    ("create_transaction", "type_id"): listed("/transaction-types"),
    ("create_quick_transaction", "type_id"): listed("/transaction-types"),
    ("update_transaction", "type_id"): listed("/transaction-types"),
    ("create_contract", "customer_id"): customer,
    ("dismiss_duplicates", "customer_ids[]"): customer,
    ("preview_merge", "master_id"): customer,
    ("preview_merge", "source_ids[]"): customer,
    ("merge_customers", "master_id"): customer,
    ("merge_customers", "source_ids[]"): customer,
}

# Places of a body that are filled instead of another one, never with it.
INSTEAD = {"referrer_user": "referrer", "filter": "ids[]", "selection.filter": "selection.ids[]"}

# Fields by which a filter tree finds customers, whose values are ids.
TREE_IDS: dict[str, Maker] = {
    "id": customer,
    "owner": user,
    "team": team,
    "shared_with": user,
    "referrer": customer,
    "referrer_user": user,
    "groups": group,
    "tags": listed("/tags"),
    "tier": listed("/tiers"),
    "source": listed("/sources"),
    "customer_type": listed("/customer-types"),
    "relationship": listed("/relationships"),
}

# Where the bulk actions read ids, and what these name. `tag` takes names only, and adds those that are not there.
BULK = ("bulk_customers", "preview_bulk_customers")
ACTION_IDS: dict[str, tuple[str, Maker]] = {
    "owner": ("params.owner", user),
    "set_field": ("params.value", user),
    "share": ("params.users[]", user),
    "unshare": ("params.users[]", user),
    "groups_add": ("params.groups[]", group),
    "groups_move": ("params.groups[]", group),
    "groups_remove": ("params.groups[]", group),
    "untag": ("params.tags[]", listed("/tags")),
    "tier": ("params.value", listed("/tiers")),
    "source": ("params.value", listed("/sources")),
    "customer_type": ("params.value", listed("/customer-types")),
    "relationship": ("params.value", listed("/relationships")),
}
ACTION_PARAMS = {"set_field": {"field": "owner"}}
# What takes a filter only from who says how many it finds.
EXPECTING = ("bulk_customers",)

QUERY_IDS: dict[tuple[str, str], Maker] = {
    # Filters are not parameters of their own in the contract: any field may be one.
    ("list_transactions", "customer_id"): customer,
    ("list_transactions", "type_id"): listed("/transaction-types"),
    ("list_contracts", "customer_id"): customer,
    ("list_merges", "customer_id"): customer,
    ("list_merges", "batch_id"): job(),
    ("list_dismissals", "customer_id"): customer,
    **{("list_customers", field): make for field, make in TREE_IDS.items()},
}

# Bodies by operation, for those whose example in the contract cannot be sent twice or names what is not there.
BODIES: dict[str, Body] = {
    "login": lambda scene: {"workspace": scene.workspace.slug, "username": scene.person.username, "password": PASSWORD},
    "refresh_tokens": lambda scene: {"refresh_token": scene.person.refresh_token},
    "update_me": lambda scene: {"full_name": scene.text()},
    "change_my_password": lambda scene: {
        "current_password": PASSWORD,
        "new_password": f"cà phê trứng {scene.number()}",
    },
    "create_user": user_body,
    "update_user": lambda scene: {"full_name": scene.text()},
    "create_team": team_body,
    "update_team": team_body,
    "update_role": lambda scene: {"name": scene.text()},
    "create_api_key": key_body,
    "update_settings": lambda _: {},
    "create_customer": customer_body,
    "update_customer": lambda scene: {"note": scene.text()},
    "create_contact": contact_body,
    "update_contact": lambda scene: {"note": scene.text()},
    "convert_customer": lambda _: {"kind": "individual"},
    "add_customer_phone": lambda scene: {"value": scene.phone()},
    "add_customer_email_address": lambda scene: {"value": f"{scene.canary}{scene.number()}@example.com"},
    "add_customer_postal_address": lambda scene: {"value": scene.text()},
    "add_customer_link": lambda scene: {"value": f"https://example.com/{scene.canary}/{scene.number()}"},
    "put_my_customer_tabs": tabs_body,
    "put_customer_tabs": tabs_body,
    "create_group": group_body,
    "update_group": lambda scene: {"name": scene.text()},
    "add_group_customers": lambda _: {},
    "remove_group_customers": lambda _: {},
    "create_source": lambda scene: {"name": scene.text()},
    "create_customer_type": lambda scene: {"name": scene.text()},
    "create_relationship": lambda scene: {"name": scene.text()},
    "update_source": lambda scene: {"name": scene.text()},
    "update_customer_type": lambda scene: {"name": scene.text()},
    "update_relationship": lambda scene: {"name": scene.text()},
    "create_filter": filter_body,
    "update_filter": lambda scene: {"name": scene.text(), "visibility": "shared"},
    "count_filters": lambda _: {},
    "count_customers": lambda _: {},
    "put_my_view": view_body,
    "put_view": view_body,
    "create_tag": lambda scene: {"name": scene.text()},
    "update_tag": lambda scene: {"name": scene.text()},
    "create_tier": lambda scene: {"name": scene.text(), "benefits": scene.text()},
    "update_tier": lambda scene: {"name": scene.text()},
    "create_transaction_type": lambda scene: {"name": scene.text()},
    "update_transaction_type": lambda scene: {"name": scene.text()},
    "create_transaction": lambda scene: {"name": scene.text()},
    "create_quick_transaction": lambda scene: {"name": scene.text()},
    "update_transaction": lambda scene: {"name": scene.text()},
    "create_contract": contract_body,
    "update_contract": lambda scene: {"note": scene.text()},
    "move_customer": lambda _: {"relationship": "Nóng"},
    "update_score_rules": lambda scene: {"thresholds": [scene.number() * 10 + star for star in range(1, 6)]},
    "create_attribute": attribute_body,
    "update_attribute": lambda scene: {"name": scene.text()},
    "create_import": customers_file,
    "start_import": lambda _: {"dry_run": True},
    "bulk_customers": lambda _: {"action": "owner", "selection": {}, "params": {}},
    "preview_bulk_customers": lambda _: {"action": "owner", "selection": {}, "params": {}},
    "create_export": lambda _: {"selection": {}, "columns": ["name", "phone"]},
    "set_duplicate_keys": keys_body,
    "dismiss_duplicates": lambda _: {},
    "preview_merge": lambda _: {},
    "merge_customers": lambda _: {},
    "update_field": lambda scene: {"position": scene.number() % 100 + 1},
}

# Where an operation's version comes from when no path parameter says it.
VERSIONS: dict[str, str] = {
    "update_me": "/me",
    "set_duplicate_keys": "/duplicate-keys",
    "update_settings": "/settings",
    "update_score_rules": "/score-rules",
    "put_my_view": "/me/views/customers",
    "put_view": "/views/customers",
    "put_my_customer_tabs": "/me/tabs/customers",
    "put_customer_tabs": "/tabs/customers",
}

# What must be so before the operation has something to do.
BEFORE: dict[str, Before] = {
    "remove_group_customers": in_the_group,
    **dict.fromkeys(
        (
            "get_contact",
            "update_contact",
            "delete_contact",
            "remove_customer_phone",
            "remove_customer_email_address",
            "remove_customer_postal_address",
            "remove_customer_link",
            "unshare_customer",
        ),
        of_its_customer,
    ),
    "update_settings": other_settings,
    "get_export_file": by_its_link,
    "merge_customers": as_they_are,
    "dismiss_duplicates": with_another,
    "merge_by_rule": after_a_scan,
}
