"""Contacts: the people of a customer, and its and their phones, addresses and links."""
