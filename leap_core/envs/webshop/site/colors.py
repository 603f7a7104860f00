"""Plain colours: an option such as "forest green" is compared by the first of them, in this order, that it contains."""

from collections.abc import Container

_COLORS_TEXT = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo ivory
ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor
mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand
sapphire seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
wheat white wine yellow
"""
COLORS = tuple(_COLORS_TEXT.split())


def first_color(text: Container[str]) -> str | None:
    """The first of `COLORS` that `text` contains, even inside a word ("red" in "tailored"); None where it has none."""
    return next((color for color in COLORS if color in text), None)
