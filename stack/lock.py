"""Resolve every Maven coordinate of `versions.py` once and write artifacts.lock.

Run by a developer after a version changes: `python -m stack.lock`. Everybody else only reads the lock.
With `--python` it is Python's own lock that is written, see `lock_python.py`.

1. Closures are resolved with jgo's own resolver.
2. Every artifact is downloaded and hashed.
3. The lock is written, sorted, one line per artifact and bundle, so that a diff shows what changed.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import click
import jgo.maven as maven

from stack.errors import LockError
from stack.lock_python import relock
from stack.versions import BUNDLES, Bundle

LOCK = Path(__file__).with_name("artifacts.lock")


def artifacts_of(context: maven.MavenContext, bundle: Bundle) -> list[maven.Artifact]:
    roots = []
    for coordinate in bundle.coordinates:
        group, name, version, packaging, classifier = (*coordinate.split(":"), "", "")[:5]
        component = context.project(group, name).at_version(version)
        roots.append(component.artifact(classifier, packaging or "jar"))
    if not bundle.closure:
        return roots
    dependencies = [context.create_dependency(c) for c in bundle.coordinates]
    _, nodes = context.resolver.get_dependency_list(dependencies)
    found = {a.key: a for a in roots}
    for node in nodes:
        dependency = node.dep
        if f"{dependency.groupId}:{dependency.artifactId}" in bundle.exclude:
            continue
        if dependency.scope in (None, "compile", "runtime") and not dependency.optional:
            found.setdefault(dependency.artifact.key, dependency.artifact)
    return list(found.values())


def write_artifacts() -> None:
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        context = maven.MavenContext(resolver=maven.PythonResolver(), repo_cache=Path(scratch), timeout=60)
        for bundle in BUNDLES:
            for artifact in artifacts_of(context, bundle):
                click.echo(f"{bundle.name}: {artifact}", err=True)
                path = artifact.resolve()
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                where = f"{artifact.component.path_prefix.as_posix()}/{artifact.filename}"
                lines.append(f"{bundle.name} {digest} {path.stat().st_size} {where}")
    header = "# bundle sha256 bytes path; written by `python -m stack.lock` from stack/versions.py\n"
    LOCK.write_text(header + "\n".join(sorted(lines)) + "\n")


@click.command()
@click.option("--python", is_flag=True, help="Write requirements.txt, from pyproject.toml, with uv.")
@click.option("--upgrade", is_flag=True, help="With --python: to the newest versions that fit.")
def main(python: bool, upgrade: bool) -> None:
    """Write artifacts.lock, from stack/versions.py."""
    if upgrade and not python:
        raise click.UsageError("--upgrade goes with --python; versions of servers are in stack/versions.py")
    if not python:
        write_artifacts()
        return
    try:
        relock(upgrade=upgrade)
    except LockError as exc:
        raise click.ClickException(str(exc)) from exc


if __name__ == "__main__":
    main()
