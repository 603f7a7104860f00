"""Everything about Prefect that is not a flow: its server, session, UI, secrets and a plugin."""
