"""From text to a checked recipe: YAML, terms, schedules, names, checks, the JSON schema. Nothing here imports torch."""
