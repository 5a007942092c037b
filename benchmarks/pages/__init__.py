"""The page of figures and its plots."""
