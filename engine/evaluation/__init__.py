"""From scores to answers: a run and labels in; figures with intervals, or a threshold, out."""

RESAMPLES = 1000  # of the bootstrap; the third digit of an end of an interval is noise
