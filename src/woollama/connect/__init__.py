"""Other programs' settings, so that they ask woollama: what to write where, and how to take it back."""
