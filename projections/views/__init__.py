"""The read models, one file each, as pure folds."""
