"""The made-up city: people, lives, a day of it, what must hold, the demo."""
