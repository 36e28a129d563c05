"""From scores to answers: a run and labels in; figures with intervals, or a threshold, out."""
