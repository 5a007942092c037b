"""The city that one log is kept for."""

CITY = "H29"
"""Thành phố Hồ Chí Minh (QĐ 20/2020/QĐ-TTg); a role held for it reaches every `H29.x`."""
