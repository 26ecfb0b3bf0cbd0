"""Text and pages from what model holds, for people."""
