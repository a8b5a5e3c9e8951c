"""Colours and marks, the same in every figure; the colours are those of Okabe and Ito, which every eye tells apart."""

ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE, GREY = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#5A5A5A",
)
CLASS_COLOURS = (GREY, ORANGE, SKY, PURPLE, GREEN)
ARM_STYLES: dict[str, tuple[str, str]] = {
    "scratch": (GREY, "s"),
    "fine_tune": (VERMILION, "o"),
    "class_balanced": (ORANGE, "^"),
    "random_head": ("#882255", "<"),
    "risk_map_paper": (SKY, "v"),
    "risk_map_paper_shuffled": ("#8C6D31", "p"),
    "risk_map_centred": (GREEN, "P"),
    "risk_map_focused_sampled": (BLUE, "D"),
    "risk_map_focused_sampled_shuffled": (PURPLE, "X"),
    "risk_map_focused": ("#332288", "*"),
}
_OTHER_STYLE = ("#999999", "h")
SERIES_STYLES = ((GREY, "s"), (ORANGE, "^"), (SKY, "v"), (GREEN, "P"), ("#332288", "D"))


def arm_style(arm: str) -> tuple[str, str]:
    """Return the colour and the mark of an arm; arms without their own share one."""
    return ARM_STYLES.get(arm, _OTHER_STYLE)
