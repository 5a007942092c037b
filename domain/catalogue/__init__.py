"""Procedures, agencies, calendars and waivers: their types, and the data beside them."""
