"""The colours of all figures: Okabe and Ito's, which stay apart for colour-blind readers."""

BLACK, GREY = "#000000", "#999999"
ORANGE, SKY_BLUE, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

LINES = (ORANGE, SKY_BLUE, GREEN, BLUE, VERMILION, PURPLE, BLACK, GREY)  # yellow is too pale for a line on white
