"""What OpenCV does not decode, or not right: content and header in, grey samples out."""
