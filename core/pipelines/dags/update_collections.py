"""A DAG of Apache Airflow for each collection of ``UPDATE_COLLECTIONS``: extract what is new in shards, and publish a checked copy.

It runs in ``.venv-airflow``, imports nothing of the project, and calls the command ``playground`` for all work. ``docs/scale.md`` describes
its environment variables and parameters.
"""

import json
import os
import subprocess
from pathlib import Path

from airflow.sdk import DAG, Asset, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

PLAYGROUND = os.environ.get(
    "UPDATE_COMMAND", str(Path(__file__).resolve().parents[3] / ".venv" / "bin" / "playground")
)
# The exit code of a staged copy that is not published: trying again would refuse it again.
REFUSED = 3


def playground(*arguments: object) -> str:
    """Run a command of the project and return what it prints; its progress and errors are in the log of the task."""
    command = [PLAYGROUND, *map(str, arguments)]
    print(*command, flush=True)
    # Bars of progress are for terminals.
    environment = {**os.environ, "TQDM_DISABLE": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    print(done.stdout, flush=True)
    if done.returncode == REFUSED:
        raise AirflowFailException("The staged copy was not published; the log says why.")
    done.check_returncode()
    return done.stdout


def update(collection: str, shards: str) -> DAG:
    """The DAG that updates a collection; ``shards`` is the folder for its shards."""

    @dag(
        dag_id=f"update_{collection}",
        description=f"Update the collection {collection} and publish it if searches are as good as before",
        schedule=os.environ.get("UPDATE_SCHEDULE", "@daily"),
        catchup=False,
        # Two runs would write to the same shards and the same staged copy.
        max_active_runs=1,
        default_args={"retries": 2},
        params={
            "sources": Param(
                [], type="array", items={"type": "string"}, description="more sources than it remembers"
            ),
            "shard_size": Param(5_000, type="integer", minimum=1, description="images in a shard"),
            "recall_margin": Param(0.02, type="number", description="how far recall@10 may fall"),
            "precision_margin": Param(0.02, type="number", description="how far label precision@10 may fall"),
        },
        tags=["embedding playground"],
    )
    def steps() -> None:
        @task
        def scan() -> list[int]:
            """The numbers of the shards that have to be extracted."""
            params = get_current_context()["params"]
            found = playground(
                "shards", "scan", *params["sources"],
                "--collection", collection, "--out", shards, "--shard-size", params["shard_size"], "--json",
            )  # fmt: skip
            missing: list[int] = json.loads(found)["missing"]
            return missing

        @task(max_active_tis_per_dag=int(os.environ.get("UPDATE_WORKERS", "2")))
        def extract(shard: int) -> None:
            playground("shards", "extract", "--out", shards, "--shard", shard)

        # All shards may be there already.
        @task(trigger_rule="none_failed")
        def stage() -> None:
            playground("collection", "stage", collection, "--replace")

        @task(task_id="import")
        def import_() -> None:
            playground("collection", "import", collection, shards, "--staged")

        @task
        def index() -> None:
            playground("collection", "optimize", collection, "--staged")

        @task
        def verify() -> None:
            playground("collection", "verify", collection, "--staged")

        @task(outlets=[Asset(f"collection_{collection}")])
        def publish() -> None:
            params = get_current_context()["params"]
            playground(
                "collection", "publish", collection,
                "--recall-margin", params["recall_margin"], "--precision-margin", params["precision_margin"],
            )  # fmt: skip

        extract.expand(shard=scan()) >> stage() >> import_() >> index() >> verify() >> publish()

    made: DAG = steps()
    return made


for _collection in os.environ.get("UPDATE_COLLECTIONS", "").split():
    globals()[f"update_{_collection}"] = update(
        _collection, f"{os.environ['UPDATE_SHARDS'].rstrip('/')}/{_collection}"
    )
