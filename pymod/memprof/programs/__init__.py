"""Running somebody's program."""
