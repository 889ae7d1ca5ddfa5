"""The search for schedules, and the packs that it makes."""
