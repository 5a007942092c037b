"""The event log in PostgreSQL: appends, loads, numbers, imports, migrations."""
