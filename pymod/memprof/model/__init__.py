"""Numbers and names: what a snapshot, a profile or a recording holds. No text, no action."""
