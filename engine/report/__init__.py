"""Reports for people: a run folder in, one HTML page or a folder of pictures out."""
