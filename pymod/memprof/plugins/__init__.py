"""memprof within other tools."""
