"""Publishing small artifacts, for the tests of the store."""

from leap_core.disk.canonical import stage_key


def publish(store, files, stage="rollout", name="demo", inputs=None, experiment="demo", **config):
    """Publish `files` (relative path -> text) as one artifact whose key is made from `config` and `inputs`."""
    key = stage_key(stage, 1, config, inputs or {})
    output = store.workspace(stage, key) / "output"
    for path, text in files.items():
        (output / path).parent.mkdir(parents=True, exist_ok=True)
        (output / path).write_text(text)
    return store.publish(
        stage, key, name, version=1, config=config, inputs=inputs or {}, experiment=experiment, counts={"n": len(files)}
    )
