"""Indicators over pooled records in plain pandas: what the pack must come to where there is no noise."""

import numpy as np
import pandas as pd

PUBLIC = {
    "beds": 900,
    "population": 9_600_000,
    "population_15": 8_000_000,
    "population_0_14": 1_600_000,
    "population_15_44": 4_000_000,
    "population_45_64": 2_800_000,
    "population_65": 1_200_000,
}
WHO = (886 + 869 + 860, 847 + 822 + 793 + 761 + 715 + 659, 604 + 537 + 455 + 372, 296 + 221 + 152 + 91 + 63)
"""The WHO world standard under 15, 45, 65, and above."""

CENSUS = (235_389_183, 174_783_724, 123_595_596, 67_039_684)
"""People of the census of 2020 from 45 to under 55, 65, 75, and above."""

FIRST, LAST = pd.Timestamp("2026-10-01"), pd.Timestamp("2026-10-31 23:59:59")


def within(frame, day):
    """Return the rows of the month."""
    days = pd.to_datetime(frame[day])
    return frame[(days >= FIRST) & (days <= LAST)]


def returned(frame, days, *, same=(), after):
    """Tell of each row whether another of the same patient begins 0 to ``days`` days after its end, or ended before."""
    out, into = (pd.to_datetime(frame[name]).to_numpy() for name in ("disch_dt", "adm_dt"))
    groups = frame.groupby(["pid", *same], sort=False).indices
    found = np.zeros(len(frame), dtype=bool)
    for places in groups.values():
        for one in places:
            for other in places:
                early, late = (one, other) if after else (other, one)
                gap = (into[late] - out[early]) / np.timedelta64(1, "D")
                found[one] |= one != other and 0 <= gap <= days
    return found


def share(condition, known=None):
    """Return the percentage of rows in which a condition holds, of those in which it is known."""
    return 100 * (condition if known is None else condition[known]).mean()


def standardised_mortality(tables):
    """Return the mortality of stroke in each group of ages, weighted by the census."""
    stays = within(tables["discharge"], "disch_dt")
    strokes = stays[stays["dx_main"].eq("I63") & (stays["age"] >= 45)]
    fatal = strokes["disch_way"].eq("5") & (strokes["los"] <= 30)
    group = np.searchsorted([45, 55, 65, 75], strokes["age"], side="right") - 1
    return 100 * np.average([fatal[group == place].mean() for place in range(4)], weights=CENSUS)


def survival(tables, days):
    """Return Kaplan and Meier's estimate at a time, of the first discharges with a tumour."""
    stays = tables["discharge"]
    tumours = within(stays[stays["tumour_site"].notna() & ~stays.duplicated(["pid", "tumour_site"])], "disch_dt")
    followed, died = tumours["fu_days"].astype(int).to_numpy(), tumours["fu_event"].eq("Y").to_numpy()
    left = [1 - died[followed == day].sum() / (followed >= day).sum() for day in np.unique(followed) if day <= days]
    return np.prod(left)


def truths(tables):
    """Return the exact figures of some indicators, by name."""
    everything = tables["discharge"].copy()
    everything["again"] = returned(everything, 31, after=True)
    stays = within(everything, "disch_dt")
    alive = stays[stays["disch_way"] != "5"]
    operated = stays[stays["op_main"].notna()]
    born = stays[stays["dx_main"] == "O80"]
    claims = tables["claim"].copy()
    claims["split"] = returned(claims, 7, same=("dx_main",), after=False)
    inpatient = within(claims, "settle_dt")
    inpatient = inpatient[inpatient["setting"] == "21"]
    paid = within(claims, "settle_dt")
    paid = paid[paid["pay"].isin(["DRG", "DIP"])]
    lines = tables["charge"].copy()
    lines["repeat"] = lines.duplicated(["pid", "item", "svc_dt"])
    lines = within(lines, "svc_dt")
    results = tables["lab_result"].copy()
    tested = results[results["organism"].notna()].sort_values("ts")
    tested = within(tested[~tested.duplicated(["pid", "organism", "drug"])], "ts")
    mrsa = tested[(tested["organism"] == "sau") & (tested["drug"] == "J01CF04")]
    looked_up = within(results[results["recog_query"] == "Y"], "ts")
    used = within(results[results["recog_used"] == "Y"], "ts")
    sugar = within(results[results["item"] == "4548-4"], "ts")
    visits = within(tables["visit"], "dt")
    reports = within(tables["case_report"], "report_ts")
    reports = reports[reports["disease"] != "plague"]
    delay = (pd.to_datetime(reports["report_ts"]) - pd.to_datetime(reports["dx_ts"])) / pd.Timedelta(minutes=1)
    adults = stays[(stays["age"] >= 15) & stays["dx_main"].notna()]
    avoidable = adults["dx_main"].isin(["J44", "I50", "I10", "E11"])
    elective = operated[operated["op_urgency"] == "E"]
    clots = elective["dx_other"].eq("I82;I10") & elective["poa"].eq("4;1")
    notified = reports[~reports["disease"].isin(["varicella"])]
    aged = np.searchsorted([0, 15, 45, 65], notified["age"], side="right") - 1
    people = [PUBLIC[name] for name in ("population_0_14", "population_15_44", "population_45_64", "population_65")]
    rates = [100_000 * (aged == place).sum() / people[place] for place in range(4)]
    strokes = stays[stays["dx_main"].eq("I63") & (stays["age"] >= 45)]
    fatal = strokes["disch_way"].eq("5") & (strokes["los"] <= 30)
    return {
        "discharges": len(stays),
        "visits": len(visits),
        "los_mean": stays["los"].mean(),
        "bed_use": 100 * stays["los"].sum() / (PUBLIC["beds"] * 31),
        "visits_per_discharge": len(visits) / len(stays),
        "operated_share": share(stays["op_main"].notna()),
        "level4_share": share(operated["op_level"] == "4", operated["op_level"].notna()),
        "transfers_down": stays["disch_way"].isin(["2", "3"]).sum(),
        "transfer_rate": 10 * share(stays["disch_way"].isin(["2", "3"])),
        "referrals_out": visits["ref_out"].eq("Y").sum(),
        "referral_matrix": stays["disch_way"].isin(["2", "3"]).sum(),
        "cmi": stays["drg_wt"].mean(),
        "time_efficiency": stays["los"].sum() / stays["drg_los"].sum(),
        "mortality": share(stays["disch_way"] == "5"),
        "readmission_31": share(alive["again"] & (alive["readm_plan"] == "N")),
        "caesarean_rate": share(born["op_main"] == "74.1"),
        "infections_per_bed_day": 1000 * stays["hai"].eq("Y").sum() / stays["los"].sum(),
        "clots_after_surgery": 1000 * clots.sum() / len(elective),
        "antibacterial_intensity": 100 * stays["abx_ddd"].sum() / stays["los"].sum(),
        "mrsa": share(mrsa["sir"] == "R"),
        "cost_per_case": stays["cost"].mean(),
        "drug_share": 100 * stays["cost_drug"].sum() / stays["cost"].sum(),
        "drg_balance": 100 * (paid["total"].sum() - paid["standard"].sum()) / paid["standard"].sum(),
        "cost_outliers": share(inpatient["multiple"] == "H"),
        "duplicate_charges": 10 * share(lines["repeat"]),
        "split_admissions": 10 * share(inpatient["split"]),
        "rule_violations": 10 * share(lines["rule"].notna()),
        "violations_by_rule": lines["rule"].notna().sum(),
        "notifiable_cases": len(reports),
        "reports_in_time": share(delay <= 1440),
        "ili_share": share(visits["ili"] == "Y"),
        "incidence": 100_000 * len(notified) / PUBLIC["population"],
        "incidence_standardised": np.average(rates, weights=WHO),
        "stroke_mortality": share(fatal),
        "avoidable_share": share(avoidable),
        "recognition_rate": share(looked_up["recog_used"] == "Y"),
        "recognition_saved": used["saved"].sum(),
        "hba1c_control": share(sugar["value"].astype(float) < 7),
        "missing_diagnosis": 10 * share(stays["dx_main"].isna()),
    }
