"""Preference pairs: within a prompt, texts above neutral are preferred to texts below it.

Pure functions on polars tables. Cross rule: Montessori-Instruct, arXiv 2410.14208, section 3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import polars as pl

from montessori.artifacts.files import new_folder, read_table, row_id, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, PAIRS, PROBE, SCORES
from montessori.errors import MontessoriError
from montessori.formats.recorded import format_facts, read_format
from montessori.graph.limits import Count, EmptyOr, NotNegative, SomeAboveZero, Whole
from montessori.models.lineage import writer_hashes


@dataclass(frozen=True)
class PrefsParams:
    """Section `prefs`: which pairs are made."""

    rule: Literal["cross", "best-worst"]
    neutral: Literal["scores", "prompt", "prompt-mean"]
    skills: Annotated[dict[str, NotNegative], EmptyOr(SomeAboveZero())]
    margin: Annotated[NotNegative, "standard deviations"]
    max_per_prompt: Annotated[Whole, "pairs"]
    min_pairs: Annotated[Count, "pairs"]


def write_pairs(scores: Path, probe: Path, out: Path, settings: PrefsParams) -> dict[str, Any]:
    """Write `out`/pairs.parquet from a scores table and its probe; return metrics.

    Raises MontessoriError when scores and probe do not belong together, or pairs are too few.
    """
    labelled = label_rows(
        read_table(scores / "scores.parquet", SCORES),
        read_table(probe / "rows.parquet", PROBE),
        settings.neutral,
        settings.skills,
    )
    pairs = make_pairs(labelled, settings)
    facts = count_pairs(labelled, pairs)
    # Before the number of pairs: this message names the cause.
    if labelled["score"].n_unique() == 1:
        raise _equal_scores(labelled.height, scores)
    if pairs.height < settings.min_pairs:
        raise _too_few_pairs(facts, settings, scores)
    manifest = {"pairs": pairs.height, **writer_hashes(probe), **format_facts(read_format(probe))}
    with new_folder(out, {"scores": scores, "probe": probe}, manifest) as folder:
        write_table(pairs, folder / "pairs.parquet", PAIRS)
    return facts | measure_skills(labelled, pairs)


# Neutral scores from the rows of a prompt. The mean of equal scores is that score: computing it
# could differ in the last bit, and every row would then be above or below neutral.
_SCORE = pl.col("score")
_MEDIAN = _SCORE.median().over("prompt_id")
_MEAN = (
    pl.when(_SCORE.min().over("prompt_id") == _SCORE.max().over("prompt_id"))
    .then(_SCORE)
    .otherwise(_SCORE.mean().over("prompt_id"))
)


def label_rows(
    scores: pl.DataFrame,
    probe: pl.DataFrame,
    neutral: str = "scores",
    skills: Mapping[str, float] = MappingProxyType({}),
) -> pl.DataFrame:
    """The kept rows with the side of neutral that each is on.

    Columns row_id, prompt_id, score, neutral, side (1 above neutral, -1 below, 0 equal), prompt,
    raw, skill, place (row of the probe). Scores are those on the whole reference set, or weighted
    means over `skills`. With `neutral` "scores" the table's own neutral counts, or the median of
    the prompt where it is null; with "prompt" always the median; with "prompt-mean" the mean, which
    also splits a prompt in which most rows have the best score. Raises MontessoriError when a
    scored row is not in the probe.
    """
    whole = (
        _average_skills(scores, skills)
        if skills
        else scores.filter(pl.col("reference") == ALL_REFERENCES)
    )
    known = probe.with_row_index("place").select(
        "row_id", "prompt", "raw", "skill", "dropped", "place"
    )
    joined = whole.join(known, on="row_id", how="left", maintain_order="left")
    missing = joined.filter(pl.col("place").is_null())
    if missing.height or whole.height == 0:
        raise MontessoriError(
            f"{missing.height} of {whole.height} scored rows are not in the probe",
            where=f"scores table, row {missing['row_id'][0]}" if missing.height else "scores table",
            expected="a scores table of this probe's rows, with reference 'all'",
            next="give the round the probe that its scores were made from, in params.yaml, rounds",
        )
    choices = {
        "scores": pl.col("neutral").fill_null(_MEDIAN),
        "prompt": _MEDIAN,
        "prompt-mean": _MEAN,
    }
    return (
        joined.filter(pl.col("dropped").is_null())
        .with_columns(choices[neutral].alias("neutral"))
        .with_columns((pl.col("score") - pl.col("neutral")).sign().cast(pl.Int64).alias("side"))
        .drop("reference", "dropped")
        .sort("place")
    )


def _average_skills(scores: pl.DataFrame, skills: Mapping[str, float]) -> pl.DataFrame:
    """The weighted mean of scores and neutral scores over skills, per row.

    Raises MontessoriError for a skill that the table does not have.
    """
    known = set(scores["reference"].unique()) - {ALL_REFERENCES}
    unknown = sorted(set(skills) - known)
    if unknown:
        raise MontessoriError(
            f"the scores have no skill {unknown[0]!r}",
            where="params.yaml, key prefs.skills",
            expected=" or ".join(sorted(known)) or "a reference set with skills",
            next="fix prefs.skills, or empty it for the whole reference set",
        )
    total = sum(skills.values())
    weight = pl.col("reference").replace_strict(dict(skills), default=None) / total
    return (
        scores.filter(pl.col("reference").is_in(list(skills)))
        .group_by("row_id", "prompt_id", maintain_order=True)
        .agg(
            (pl.col("score") * weight).sum(),
            (pl.col("neutral") * weight).sum(),
            pl.col("neutral").is_null().any().alias("blank"),
        )
        # A sum passes over nulls; a neutral that is missing for one skill is missing altogether.
        .with_columns(pl.when("blank").then(None).otherwise("neutral").alias("neutral"))
        .select("row_id", "prompt_id", pl.lit("weighted").alias("reference"), "score", "neutral")
    )


def make_pairs(labelled: pl.DataFrame, settings: PrefsParams) -> pl.DataFrame:
    """The PAIRS table of labelled rows: prompts in probe order, largest differences first.

    Equal texts never make a pair. Of equal differences the earlier rows of the probe win.
    """
    columns = ["prompt_id", "prompt", "raw", "row_id", "score", "place"]
    above = labelled.filter(pl.col("side") > 0).select(columns)
    below = labelled.filter(pl.col("side") < 0).select(columns).drop("prompt")
    crossed = above.join(below, on="prompt_id", suffix="_low").filter(
        pl.col("raw") != pl.col("raw_low")
    )
    # The deviation of an empty table is None.
    deviation = labelled["score"].std(ddof=0) or 0.0
    gap = pl.col("score") - pl.col("score_low")
    wide = crossed.with_columns(gap.alias("gap")).filter(
        pl.col("gap") >= settings.margin * deviation
    )
    first_row = pl.col("place").min().over("prompt_id")
    ordered = wide.sort(
        first_row, "gap", "place", "place_low", descending=[False, True, False, False]
    )
    most = 1 if settings.rule == "best-worst" else settings.max_per_prompt
    if most:
        ordered = ordered.filter(pl.int_range(pl.len()).over("prompt_id") < most)
    return _to_pairs_table(ordered)


def _to_pairs_table(ordered: pl.DataFrame) -> pl.DataFrame:
    ids = [row_id(*rows) for rows in ordered.select("row_id", "row_id_low").iter_rows()]
    return ordered.select(
        pl.Series("pair_id", ids, dtype=pl.String),
        "prompt_id",
        "prompt",
        pl.col("raw").alias("chosen"),
        pl.col("raw_low").alias("rejected"),
        pl.col("row_id").alias("chosen_row"),
        pl.col("row_id_low").alias("rejected_row"),
        pl.col("score").alias("chosen_score"),
        pl.col("score_low").alias("rejected_score"),
    )


def count_pairs(labelled: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, Any]:
    """Numbers of rows, prompts, ties and pairs, and the mean difference of scores in a pair."""
    prompts = labelled.group_by("prompt_id", maintain_order=True).agg(
        (pl.col("side") > 0).any().alias("above"), (pl.col("side") < 0).any().alias("below")
    )
    gap = pl.col("chosen_score") - pl.col("rejected_score")
    return {
        "pairs": pairs.height,
        "rows": labelled.height,
        "prompts": prompts.height,
        "prompts_used": pairs["prompt_id"].n_unique(),
        "prompts_one_sided": prompts.filter(~(pl.col("above") & pl.col("below"))).height,
        "ties": labelled.filter(pl.col("side") == 0).height,
        "mean_difference": float(pairs.select(gap.mean()).item() or 0.0),
    }


def measure_skills(labelled: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, Any]:
    """Share of each skill among chosen and among rejected texts; empty without skills."""
    known = labelled.filter(pl.col("skill").is_not_null()).select("row_id", "skill")
    if known.height == 0:
        return {}
    shares = {}
    for side in ("chosen", "rejected"):
        rows = pairs.select(pl.col(f"{side}_row").alias("row_id")).join(known, on="row_id")
        counts = rows.group_by("skill", maintain_order=True).len().sort("skill")
        # Python divides: Polars multiplies by the reciprocal, which may move the last digit.
        shares[f"{side}_skills"] = {
            skill: count / pairs.height for skill, count in counts.iter_rows()
        }
    return shares


def _equal_scores(rows: int, scores: Path) -> MontessoriError:
    return MontessoriError(
        f"all {rows} scores are equal, so no text is preferred to another",
        where=str(scores / "scores.parquet"),
        expected="scores that differ within prompts",
        next="use another signal in params.yaml, section rounds, then `dvc repro`",
    )


def _too_few_pairs(facts: dict[str, Any], settings: PrefsParams, scores: Path) -> MontessoriError:
    return MontessoriError(
        f"{facts['pairs']} preference pairs are too few: of {facts['prompts']} prompts "
        f"{facts['prompts_one_sided']} have rows on one side of neutral only, and "
        f"{facts['ties']} of {facts['rows']} rows are exactly neutral",
        where=str(scores / "scores.parquet"),
        expected=f"at least {settings.min_pairs} pairs (prefs.min_pairs)",
        next="set prefs.neutral: prompt (rows of a prompt are then compared with its median) or "
        "prompt-mean (with its mean, for scores with many ties), lower prefs.margin, or raise "
        "probe.prompts in params.yaml; then `dvc repro`",
    )
