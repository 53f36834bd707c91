"""The policy that joining writes, for the hospital to read and edit."""

from __future__ import annotations

DEFAULT = """\
# What this hospital's node may answer. Every line is needed; while one is missing or misspelt, nothing is answered:
# the node adds noise to the others' answers, and no record is read.
# Changes hold from the next question on. To see what this file allows, in words: farr node policy check

# --- who ---

# On whose authority may be asked, as the registrar certified it: "all", or a list of "nation", "province",
# "prefecture", "county", "insurer", "researcher".
authorities = "all"

# Which analysts may ask: "all", or a list of their ids.
analysts = "all"

# --- what ---

# Tables that may be asked about: "all", or a list such as ["admission", "visit"].
tables = "all"

# Columns that may be read, for groups, conditions or figures: "all", or a list such as ["admission.sex"].
columns = "all"

# --- how many hospitals hide this one ---

# Whether an answer may show this hospital's own row, that is, tell it apart from the others (GROUP BY site). If not,
# it puts zeros there, and the result says so. Noise is added either way.
own_row = false

# A group of hospitals (one country, one level) smaller than this counts as telling this hospital apart.
site_group_minimum = 3

# The fewest hospitals on the roster, among those that are asked, and behind the answer.
minimum_hospitals = 3

# The fewest hospitals in a sum that neither pool what they know with the coordinator nor with others. This hospital's
# part is hidden among theirs. It is the round's smallest number of hospitals less the colluders that are feared.
least_honest = 2

# The weakest fear of colluding hospitals under which a question is answered: "none", "one-fifth" or "one-third" of all
# hospitals. A weaker fear means less noise from each hospital, since more of it is counted upon.
trust_floor = "one-third"

# Days for which a new hospital on the roster does not count yet in the rules above. You can let one count at once with
# farr node members accept.
newcomer_days = 7

# The smallest count that pages about an answer show: a smaller one is shown as "<10".
minimum_cell = 10

# --- how much ---

# Privacy loss that this hospital's patients may ever be charged, as an epsilon at a delta of one in a million. It is
# the total over all questions for the life of this node, and never starts again.
lifetime_epsilon = 10.0

# The most that one question may cost, likewise.
most_epsilon_per_question = 1.0

# The most that the questions of one period may cost together: a limit on the pace. What is not used does not add up.
# A period is a "day", "week", "month", "quarter" or "year" of the calendar.
period = "month"
epsilon_per_period = 5.0

# How far this hospital's clocks are ahead of UTC: periods begin at their midnight. Without this line, at that of UTC.
# utc_offset = "+08:00"

# --- what a person here has to approve ---

# Purposes whose every question waits until somebody here has approved it: "none", "all", or a list.
approval_purposes = "none"

# A question that costs more than this waits for approval as well.
approval_above_epsilon = 1.0

# --- purposes ---

# Each purpose that may be asked for, with the most that its questions may ever cost. A purpose that is not listed is
# not answered.
[purposes]
statistics = 10.0
# research = 3.0

# --- how fine ---

# The finest part of the calendar that may be told apart: "day", "week", "month", "quarter" or "year". For a list of
# codes with levels, add a line such as: region = "prefecture". Without a line, its codes may be told apart.
[finest]
time = "day"

# --- models that learn from the patients here ---

# Training takes many rounds of one run. The limits on one question above are for a whole run, and a person approves a
# run once. Without the lines from here on, nothing is trained.
[training]

# Models that Farr itself trains, each patient's part clipped here: "all", "none", or a list of "linear", "logistic",
# "poisson", "cox".
models = ["linear", "logistic", "poisson", "cox"]

# Neural networks, likewise: "none", "all", or a list of the digests of their layers.
networks = "none"

# Flower apps of researchers, by the digest of their code: a list. Farr runs each in a sandbox and clips what it gives.
apps = []

# Whether an app may run although this machine can make no sandbox for it, and if so, why: in your own words.
unsandboxed_apps = false
unsandboxed_reason = ""

# The most time that one round of an app may take, and the most memory.
most_app_minutes = 30
most_app_megabytes = 2048
"""
"""What joining writes."""
