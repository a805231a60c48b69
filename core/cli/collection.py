"""``collection``: index your own images and search them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.cli import index_table, output
from core.errors import UserError


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    group = output.group(commands, "collection", "build and search collections of your own images")

    create = _command(group, "create", _create, "create an empty collection")
    create.add_argument(
        "--model",
        help="see models list; default: chosen by the experiments, among those that work on this machine",
    )
    create.add_argument("--weights", default="imagenet", help="imagenet (default), untrained, or a file")
    create.add_argument(
        "--layer", help="a layer of the model, such as block6_output; default: chosen by the experiments"
    )
    create.add_argument(
        "--pooling", help="avg (default where model and layer are given), max, gem or flatten"
    )
    create.add_argument(
        "--metric",
        help="cosine (default where model and layer are given), euclidean, manhattan or chebyshev",
    )
    create.add_argument(
        "--engine",
        default="faiss",
        help="index engine: faiss (default, a file), pgvector (in the PostgreSQL database of the catalog) or milvus",
    )
    create.add_argument(
        "--index",
        default="auto",
        help="kind of index: auto (default; exact below 50,000 images), flat or hnsw; with faiss also ivf, ivfpq or a factory string; with "
        "milvus also ivf_flat and kinds of a cluster",
    )
    create.add_argument(
        "--dtype", default="float16", help="number type of the stored vectors: float16 (default) or float32"
    )

    adding = _stageable(group, "add", _add, "add images; unchanged images are not read again")
    adding.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a folder, an image, a pattern, a URL, or a CSV, TSV or Parquet list of paths or URLs",
    )
    adding.add_argument(
        "--path-column",
        metavar="NAME",
        help="column of a list that has the paths; default: the first with a usual name, such as path or file_name",
    )
    _labels_from(adding)
    adding.add_argument("--restore-removed", action="store_true", help="also add images that were removed")
    adding.add_argument(
        "--label-level",
        type=output.level,
        metavar="N",
        help="level of the folders that name the labels: 1 for those directly in the added folder, 2 for those below, or none; it is "
        "remembered for the folder; default: found from the structure",
    )
    adding.add_argument(
        "--preview",
        action="store_true",
        help="show the labels and what is left out, and store nothing",
    )
    output.json_option(adding)

    importing = _stageable(
        group, "import", _import, "add the images of shards whose vectors were computed elsewhere"
    )
    importing.add_argument("shards", metavar="FOLDER", help="folder of the shards, or a URL: s3://…, gs://…")
    importing.add_argument("--restore-removed", action="store_true", help="also add images that were removed")
    importing.add_argument(
        "--allow-other-versions",
        action="store_true",
        help="accept vectors that were computed with other versions of the libraries that decode images",
    )
    output.json_option(importing)

    update = _stageable(group, "update", _update, "read the sources again and store what changed")
    _labels_from(update)
    output.json_option(update)

    remove = _command(group, "remove", _remove, "remove images; their files stay, and --undo restores them")
    _which(remove)
    remove.add_argument("--undo", action="store_true", help="restore removed images: those named, or all")

    purge = _command(
        group,
        "purge",
        _purge,
        "forget removed images permanently, and delete the files of those that were uploaded",
    )
    _which(purge)
    output.yes_option(purge)

    search = _stageable(group, "search", _search, "find the nearest neighbors of images")
    search.add_argument(
        "images", nargs="+", metavar="IMAGE", type=Path, help="file of an image to search with"
    )
    search.add_argument("-k", type=int, default=10, help="neighbors of each image (default: 10)")
    _where(search)
    output.json_option(search)

    info = _stageable(group, "info", _info, "show what is in a collection")
    info.add_argument(
        "--failures", action="store_true", help="list the files that can't be read, with the reason"
    )
    info.add_argument(
        "--removed", action="store_true", help="list the removed images, and how to restore them"
    )
    output.json_option(info)

    listing = output.command(group, "list", _list, "list the collections")
    output.json_option(listing)

    _stageable(group, "verify", _verify, "check that catalog, vectors and index are complete and agree")

    optimize = _stageable(group, "optimize", _optimize, "compact the vectors and rebuild the index")
    optimize.add_argument("--index", help="switch to this kind of index")
    optimize.add_argument("--metric", help="switch to this metric")

    migrate = _command(group, "migrate", _migrate, "move the index to another engine")
    migrate.add_argument("--engine", required=True, help="faiss, pgvector or milvus")
    migrate.add_argument("--index", help="kind of index (default: auto)")

    export = _command(group, "export", _export, "write vectors and metadata to a Parquet file")
    export.add_argument("file", type=Path, metavar="FILE.parquet", help="file to write")

    backup = _command(group, "backup", _backup, "write a collection to one archive")
    backup.add_argument("file", type=Path, metavar="FILE.tar", help="archive to write")

    restore = output.command(
        group, "restore", _restore, "create a collection from an archive of collection backup"
    )
    restore.add_argument("file", type=Path, metavar="FILE.tar", help="archive to read")
    restore.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        help="name of the new collection; default: the name in the archive",
    )

    tune = _command(group, "tune", _tune, "measure kinds of index on the vectors of a collection")
    index_table.add_options(tune)
    tune.add_argument(
        "--engine", action="append", help="engine to measure; repeatable; default: the one in use"
    )
    tune.add_argument("--apply", action="store_true", help="switch the collection to the best")

    duplicates = _command(group, "duplicates", _duplicates, "list groups of near-duplicates")
    duplicates.add_argument(
        "--threshold",
        type=float,
        default=0.05,
        help="largest distance between near-duplicates (default: 0.05)",
    )
    output.json_option(duplicates)

    stage = _command(
        group, "stage", _stage, "make a copy of a collection, to change and check before it is published"
    )
    stage.add_argument("--replace", action="store_true", help="replace an existing staged copy")

    publish = _command(
        group, "publish", _publish, "replace a collection by its staged copy, unless the copy is worse"
    )
    publish.add_argument(
        "--recall-margin",
        type=float,
        default=0.02,
        metavar="X",
        help="how much recall@10 of the index may fall; what it had above 0.95 does not count (default: 0.02)",
    )
    publish.add_argument(
        "--precision-margin",
        type=float,
        default=0.02,
        metavar="X",
        help="how much precision@10 of the labels may fall (default: 0.02)",
    )
    publish.add_argument(
        "--sample", type=int, default=500, metavar="N", help="number of images to search with (default: 500)"
    )
    output.json_option(publish)

    delete = _stageable(
        group, "delete", _delete, "delete a collection and its experiments; files of images stay"
    )
    output.yes_option(delete)


def _command(group: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    parser = output.command(group, name, function, text)
    parser.add_argument("name", metavar="NAME", help="name of the collection")
    return parser


def _stageable(group: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    parser = _command(group, name, function, text)
    parser.add_argument("--staged", action="store_true", help="use the staged copy (see collection stage)")
    return parser


def _labels_from(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels-from",
        metavar="LIST",
        help="list whose labels count where lists disagree; without it, these images keep their label",
    )


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="an image, a folder or a pattern")
    _where(parser)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="such as label=cat or 'price<20'; repeatable, all must hold",
    )


def _open(options: argparse.Namespace) -> Any:
    from core.collections import Collection, lifecycle

    # Only some commands have the option.
    staged = getattr(options, "staged", False)
    return Collection.open(options.name, lifecycle.staged_folder() if staged else None, load=_load)


def _load(about: Any) -> Any:
    from core.collections import embedder

    embedder.check(about)
    output.prepare_network(about.model, about.weights)
    return embedder.load(about)


def _create(options: argparse.Namespace) -> None:
    from core.collections import Collection
    from core.search import default_configuration, shared_engine

    parts = {part: getattr(options, part) for part in ("model", "layer", "pooling", "metric")}
    chosen = None
    if options.model is None or options.layer is None:
        chosen = default_configuration.choose(shared_engine.engine(), weights=options.weights, **parts)
        parts = {part: getattr(chosen, part) for part in parts}
    with Collection.create(
        options.name,
        weights=options.weights,
        engine=options.engine,
        index=options.index,
        dtype=options.dtype,
        **parts,
    ) as created:
        if chosen is not None:
            print(
                f"Chose {chosen.model}, layer {chosen.layer}, {chosen.pooling} pooling, {chosen.metric} distance. "
                f"{chosen.why}"
            )
        print(
            f"Created the collection {created.about.name!r}; `playground collection add {created.about.name} FOLDER` fills it."
        )


def _add(options: argparse.Namespace) -> None:
    if options.preview:
        _preview(options)
        return
    with _open(options) as opened, output.Bar() as bar:
        report = opened.add(
            options.paths,
            bar,
            path_column=options.path_column,
            labels_from=options.labels_from,
            restore_removed=options.restore_removed,
            label_level=options.label_level,
        )
    _report(report, options)


def _import(options: argparse.Namespace) -> None:
    with _open(options) as opened, output.Bar() as bar:
        report = opened.import_shards(
            options.shards,
            bar,
            restore_removed=options.restore_removed,
            allow_other_versions=options.allow_other_versions,
        )
    _report(report, options)
    if report.problems:
        raise UserError(" ".join(report.problems))


def _preview(options: argparse.Namespace) -> None:
    with _open(options) as opened, output.Bar() as bar:
        preview = opened.preview(
            options.paths, bar, path_column=options.path_column, label_level=options.label_level
        )
    if options.json:
        output.print_json(preview.to_json())
        return
    rows = [
        {"label": label.name, "images": label.pictures, "example": label.example} for label in preview.labels
    ]
    output.table(rows, False, "No image has a label.")
    for problem in preview.problems:
        print(f"{problem.path}: {problem.reason}", file=sys.stderr)
    disagree = f" ({preview.conflicting:,} since rows disagree)" if preview.conflicting else ""
    print(
        f"{preview.pictures:,} images, {preview.unlabelled:,} of them without a label{disagree}. "
        f"Left out: {preview.left_out:,} hidden or system files and folders, {preview.failed:,} that can't be read."
    )
    choice = " Choose others with --label-level N or none." if preview.levels else ""
    print(f"{preview.rule()}{choice} Nothing was stored.")


def _update(options: argparse.Namespace) -> None:
    with _open(options) as opened, output.Bar() as bar:
        report = opened.update(bar, labels_from=options.labels_from)
    _report(report, options)
    if report.problems:
        raise UserError(" ".join(report.problems))


def _report(report: Any, options: argparse.Namespace) -> None:
    if options.json:
        output.print_json(report.to_json())
        return
    if report.conflicting:
        print(report.conflict_summary(), file=sys.stderr)
        for conflict in report.conflicts:
            print(f"  {conflict.sentence()}", file=sys.stderr)
    if report.kept_out:
        print(
            f"`playground collection add {options.name} PATH --restore-removed` also adds what was removed."
        )
    if report.duplicates:
        print(
            f"{report.duplicates:,} of the added images have the same content as another one and share its vector."
        )
    if report.failed:
        print(f"`playground collection info {options.name} --failures` says why some failed.")
    print(report.summary())


def _remove(options: argparse.Namespace) -> None:
    if options.undo:
        _undo(options)
        return
    if not options.paths and not options.where:
        raise UserError("Give what to remove: paths, or conditions with --where.")
    with _open(options) as opened:
        notes, sources = opened.notes(options.where), opened.source_paths
        print(f"{opened.remove(options.paths, options.where):,} removed")
        forgotten = [path for path in sources if path not in opened.source_paths]
    for path in forgotten:
        print(f"Forgot the source {path}: `playground collection update` no longer reads it.")
    _print_notes(notes)


def _undo(options: argparse.Namespace) -> None:
    with _open(options) as opened, output.Bar() as bar:
        report = opened.restore(options.paths, options.where, bar)
    print(f"{report.restored:,} restored" + (f", {report.failed:,} failed" if report.failed else ""))
    if report.failed:
        print(f"`playground collection info {options.name} --removed` says why some failed.")


def _purge(options: argparse.Namespace) -> None:
    with _open(options) as opened:
        if not options.yes:
            if not sys.stdin.isatty():
                raise UserError("Purging can't be undone; confirm with --yes.")
            which = ", ".join([*options.paths, *options.where]) or "all of them"
            question = f"Permanently forget the removed images of {options.name!r} ({which}), with the files of uploads? [y/N] "
            if input(question).strip().lower() != "y":
                raise UserError("Nothing was purged.")
        print(f"{opened.purge(options.paths, options.where):,} purged")


def _search(options: argparse.Namespace) -> None:
    from core.imaging import decode

    with _open(options) as opened:
        images = [decode.read(path) for path in options.images]
        results = opened.search(images, options.k, options.where)
        _print_notes(opened.notes(options.where))
    rows = [
        {
            "query": str(path),
            "rank": rank,
            "distance": round(hit.distance, 6),
            "label": hit.label,
            "path": opened.full_path(hit.path),
            "also": [opened.full_path(path) for path in hit.also],
            "metadata": hit.metadata,
        }
        for path, hits in zip(options.images, results, strict=True)
        for rank, hit in enumerate(hits, 1)
    ]
    if not options.json:
        dropped = {"also", "metadata"} if len(results) > 1 else {"also", "metadata", "query"}
        rows = [{key: value for key, value in row.items() if key not in dropped} for row in rows]
    output.table(rows, options.json, "Nothing found.")


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _info(options: argparse.Namespace) -> None:
    with _open(options) as opened:
        if options.failures:
            rows = [{"path": row.path, "reason": row.reason} for row in opened.images("failed")]
            output.table(rows, options.json, "Every file could be read.")
            return
        if options.removed:
            output.table(_removed(opened), options.json, "No image was removed.")
            return
        about, state, info = opened.about, opened.state, opened.info()
    facts = {
        **output.fields(about, "name model weights layer pooling"),
        "metric": state.metric,
        "dimensions": about.dimensions,
        "vectors": f"{about.dtype}, {info.vector_bytes / 1e6:.1f} MB",
        "images": info.images,
        "different images": info.contents,
        "failures": info.failures,
        "removed": info.removed,
        "removed, until optimize": info.tombstones,
        "engine": state.engine,
        "index": f"{state.kind}: {info.factory or 'none yet'}, {info.index_bytes / 1e6:.1f} MB, {info.index_rows:,} rows",
        "catalog": f"{about.catalog}"
        + (f", {info.catalog_bytes / 1e6:.1f} MB" if info.catalog_bytes else ""),
        "labels": info.labels,
        "sources": list(info.sources),
    }
    if options.json:
        output.print_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{label} ({count:,})" for label, count in value.items()) or "none"
        elif isinstance(value, list):
            value = ", ".join(value) or "none"
        print(f"{name:<24}{value:,}" if isinstance(value, int) else f"{name:<24}{value}")


def _removed(opened: Any) -> list[dict[str, Any]]:
    from core.data import image_sources

    rows = [
        {
            "path": row.path,
            "name": image_sources.title(row.path, row.metadata),
            "label": row.label,
            "undo": row.reason or ("at once" if row.faiss_id is not None else "reads the file again"),
        }
        for row in opened.removed()
    ]
    again = "only by adding its source with --restore-removed"
    return rows + [
        {"path": path, "name": None, "label": None, "undo": again} for path in opened.removed_paths()
    ]


def _list(options: argparse.Namespace) -> None:
    from core.collections import Collection, names
    from core.collections.lifecycle import misnamed

    for name in misnamed():
        output.warn(
            f"the folder {name!r} holds a collection but has an invalid name; rename it with lower case letters, "
            "digits, - and _."
        )
    rows = []
    for name in names():
        try:
            with Collection.open(name) as opened:
                info, about, state = opened.info(), opened.about, opened.state
        except UserError as error:
            output.warn(f"{name}: {error}")
            continue
        rows.append(
            {
                "name": name,
                "images": info.images,
                **output.fields(about, "model layer pooling"),
                "metric": state.metric,
                "index": info.factory,
                "labels": len(info.labels),
                "failures": info.failures,
            }
        )
    output.table(rows, options.json, "No collections yet; `playground collection create` creates one.")


def _verify(options: argparse.Namespace) -> None:
    with _open(options) as opened, output.Bar() as bar:
        problems = opened.verify(progress=bar)
    if problems:
        raise UserError(" ".join(problems))
    print("Catalog, vectors and index are complete and agree.")


def _optimize(options: argparse.Namespace) -> None:
    with _open(options) as opened, output.Bar() as bar:
        opened.optimize(options.index, options.metric, bar)
        info = opened.info()
    print(f"{info.contents:,} vectors, index {info.factory or 'none'} of {info.index_bytes / 1e6:.1f} MB")


def _migrate(options: argparse.Namespace) -> None:
    with _open(options) as opened, output.Bar() as bar:
        opened.migrate(options.engine, options.index, bar)
        info = opened.info()
    # Not every server says how much its index takes.
    size = f" of {info.index_bytes / 1e6:.1f} MB" if info.index_bytes else ""
    print(f"{info.contents:,} vectors, index {info.factory}{size} in {options.engine}")


def _export(options: argparse.Namespace) -> None:
    from core.collections import export

    with _open(options) as opened, output.Bar() as bar:
        count = export.write(opened, options.file, bar)
    print(f"{count:,} images in {options.file}")


def _backup(options: argparse.Namespace) -> None:
    from core.collections import backup

    with _open(options) as opened, output.Bar() as bar:
        written = backup.write(opened, options.file, bar)
    print(
        f"{written.images:,} images and {written.uploads:,} uploaded files in {options.file}, {written.size / 1e6:,.1f} MB"
    )
    if written.missing:
        output.warn(
            f"{written.missing:,} uploaded files are missing; `playground collection verify` names them."
        )


def _restore(options: argparse.Namespace) -> None:
    from core.collections import Collection, backup

    with output.Bar() as bar:
        name = backup.restore(options.file, options.name, progress=bar)
    with Collection.open(name) as opened:
        print(f"Restored the collection {name!r} with {opened.info().images:,} images.")


def _tune(options: argparse.Namespace) -> None:
    from core.collections import index_tuning

    with _open(options) as opened:
        with output.Bar() as bar:
            found = index_tuning.measure(opened, options.index or (), bar, options.engine or ())
        best = index_table.show(found, index_table.limits(options), options.json)
        if options.apply:
            with output.Bar() as bar:
                if best.engine == opened.state.engine:
                    opened.optimize(index=best.kind, progress=bar)
                else:
                    opened.migrate(best.engine, best.kind, bar)
            print(f"The collection now uses {best.kind} in {best.engine}.", file=sys.stderr)
        elif not options.json:
            print(f"\n--apply switches the collection to {best.kind} in {best.engine}.", file=sys.stderr)


def _duplicates(options: argparse.Namespace) -> None:
    from core.collections import curation

    with _open(options) as opened, output.Bar() as bar:
        groups = curation.near_duplicates(opened, options.threshold, bar)
    rows = [
        {
            "group": number,
            "distance": round(member.value, 6),
            "label": member.label,
            "path": opened.full_path(member.path),
        }
        for number, group in enumerate(groups, 1)
        for member in group
    ]
    output.table(rows, options.json, f"No two images are within {options.threshold:g} of each other.")


def _stage(options: argparse.Namespace) -> None:
    from core.collections import staging

    staging.stage(options.name, replace=options.replace)
    print(
        f"Staged {options.name!r}. Change and check it with --staged, then `playground collection publish {options.name}`."
    )


def _publish(options: argparse.Namespace) -> None:
    from core.collections import staging

    gate = staging.Gate(options.recall_margin, options.precision_margin, options.sample)
    with output.Bar() as bar:
        published = staging.publish(options.name, gate=gate, progress=bar)
    rows = [
        {"": name, **output.fields(quality, "images queries recall label_precision")}
        for name, quality in vars(published).items()
        if quality is not None
    ]
    output.table(rows, options.json, "The staged copy was published already.")


def _delete(options: argparse.Namespace) -> None:
    from core.collections import labelled_dataset, lifecycle

    if not options.yes:
        if not sys.stdin.isatty():
            raise UserError("Deleting can't be undone; confirm with --yes.")
        with _open(options) as opened:
            count = opened.info().images
        question = f"Delete {options.name!r} with the vectors of {count:,} images? [y/N] "
        if input(question).strip().lower() != "y":
            raise UserError("Nothing was deleted.")
    if options.staged:
        lifecycle.delete(options.name, lifecycle.staged_folder())
    else:
        labelled_dataset.delete(options.name)
    print(f"Deleted {options.name!r}; files of images stay.")
