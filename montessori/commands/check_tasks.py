"""Whether lm-eval has the tasks that rows of `harnesses` name, and takes their examples."""

from montessori.graph.references import Rows


def task_problems(rows: Rows) -> list[str]:
    """A problem for each unknown task, and for examples of a task that is defined without."""
    harnesses = rows["harnesses"]
    if not harnesses:
        return []
    # Imported only for rows of harnesses: it reads the thousands of task files of lm-eval.
    from montessori.evals.public.task_names import find_task_files, suggest_tasks

    files = find_task_files()
    if files is None:
        return []
    unknown = {row.task for row in harnesses.values()} - set(files)
    close = suggest_tasks(unknown) if unknown else {}
    problems = [
        f"harnesses.{name}.task: lm-eval has no task {row.task!r}{close[row.task]}"
        for name, row in harnesses.items()
        if row.task in close
    ]
    return problems + [
        f"harnesses.{name}.shots: {row.shots} examples, but the task {row.task} is defined without "
        "examples; write 0, or -1 for the task's own number"
        for name, row in harnesses.items()
        if row.shots > 0 and (file := files.get(row.task)) and file.never_has_examples()
    ]
