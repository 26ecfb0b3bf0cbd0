"""Reports for people: lines of styled text, coloured on a terminal and plain elsewhere."""
