"""When a figure may be claimed (docs/scoring.md, "Skill" and "Probability"). Apart, so that the board reads it without numpy."""

TOO_FEW, NO_SKILL, SKILL = "too_few", "no_skill", "skill"
MIN_LEAVERS = 100
MIN_LOWER_BOUND = 0.53
# Red is expected to leave so many times as often as yellow.
EXPECTED_RATIO = 1.3
EXPECTED_OVER_ACTUAL = (0.8, 1.25)
