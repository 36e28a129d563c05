"""Colours that stay apart for colour-blind eyes; marks and words say the same beside them.

Source: Okabe and Ito 2008, https://jfly.uni-koeln.de/color/
"""

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
RED = "#D55E00"
SKY = "#56B4E9"
BLACK = "#000000"
GREY = "#767676"
