"""The columns of every table that a stage writes, and what a row of it stands for."""

from collections.abc import Mapping

import polars as pl

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

MESSAGE = pl.Struct({"role": pl.String, "content": pl.String})


#: Rows of dialogue: seeds, reference sets, data sets.
ROWS: Schema = {
    "row_id": pl.String,
    "messages": pl.List(MESSAGE),
    "instruction": pl.String,
    "response": pl.String,
    "skill": pl.String,
}


#: Everything a teacher wrote, kept or dropped, in order (prompt, sample).
PROBE: Schema = {
    **ROWS,
    "prompt_id": pl.String,
    "sample": pl.Int64,
    "prompt": pl.String,
    "raw": pl.String,
    "dropped": pl.String,
    "response_tokens": pl.Int64,
}

#: The `reference` of a score on the whole reference set; the others are its skills.
ALL_REFERENCES = "all"

#: A student signal: higher is better for the student; `neutral` splits chosen from rejected.
SCORES: Schema = {
    "row_id": pl.String,
    "prompt_id": pl.String,
    "reference": pl.String,
    "score": pl.Float64,
    "neutral": pl.Float64,
}


#: Preference pairs of raw teacher texts.
PAIRS: Schema = {
    "pair_id": pl.String,
    "prompt_id": pl.String,
    "prompt": pl.String,
    "chosen": pl.String,
    "rejected": pl.String,
    "chosen_row": pl.String,
    "rejected_row": pl.String,
    "chosen_score": pl.Float64,
    "rejected_score": pl.Float64,
}


#: Questions with their answers: a preference set. `response` is the full gold text or null; a
#: `closed` question is answered at once, without working.
QUESTIONS: Schema = {
    "question_id": pl.String,
    "task": pl.String,
    "skill": pl.String,
    "input": pl.String,
    "target": pl.String,
    "response": pl.String,
    "closed": pl.Boolean,
}


#: Whether examinees answered right: one row per examinee (model and shots) and question.
OUTCOMES: Schema = {
    "examinee": pl.String,
    "task": pl.String,
    "question_id": pl.String,
    "correct": pl.Boolean,
}


#: ARTE's drafts, one row per question and rationale. `instruction` is the question, `response`
#: the rationale as written, `skill` the task; `prompt` and `raw` are those of the question.
DRAFTS: Schema = {
    **PROBE,
    "question_id": pl.String,
    "target": pl.String,
    "style": pl.Int64,
    "naive": pl.String,
}


#: A run's answers to the open benchmarks.
ANSWERS: Schema = {
    "item_id": pl.String,
    "benchmark": pl.String,
    "turn": pl.Int64,
    "prompt": pl.String,
    "answer": pl.String,
    "tokens": pl.Int64,
    "finished": pl.Boolean,
}


#: Raw verdicts of a judge on a run's answers, one row each (evals/judging/verdicts.py says what
#: the columns hold): all that the metrics need, so that no judge is asked twice.
VERDICTS: Schema = {
    "item_id": pl.String,
    "benchmark": pl.String,
    "turn": pl.Int64,
    "judge": pl.String,
    "preference": pl.Float64,
    "score": pl.Float64,
    "correct": pl.Boolean,
    "length": pl.Int64,
    "against_length": pl.Int64,
    "note": pl.String,
    "family": pl.String,
    "difficulty": pl.Float64,
    "against": pl.String,
    "repeat": pl.Int64,
    "swapped": pl.Boolean,
    "method": pl.String,
    "problem": pl.String,
    "key": pl.String,
    "raw": pl.String,
    "first": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "usd": pl.Float64,
}


#: Items of public benchmarks as lm-eval asked and scored them; responses and metrics as JSON.
SAMPLES: Schema = {
    "task": pl.String,
    "item": pl.String,
    "filter": pl.String,
    "prompt": pl.String,
    "target": pl.String,
    "response": pl.String,
    "metrics": pl.String,
    "prompt_hash": pl.String,
}
