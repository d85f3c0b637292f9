"""params.yaml and dvc.yaml as data: sections, rows, references, profiles, editing."""
