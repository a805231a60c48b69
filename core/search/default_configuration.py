"""Which configuration a collection gets where its maker leaves that open: the recommended one of the experiments that are here."""

from dataclasses import dataclass, replace

from core.errors import CollectionError, UserError, WeightsError
from core.experiments.store import Configuration
from core.models import registry
from core.models import weights as weights_
from core.search import recommendation
from core.search.engine import Engine
from core.settings import settings

# The shipped datasets on which every model was computed, so their scores can be compared.
_SHIPPED = ("objects200", "emoji200")


@dataclass(frozen=True)
class Choice:
    """A configuration, and in a sentence why it was chosen."""

    model: str
    layer: str
    pooling: str
    metric: str
    why: str


def choose(
    engine: Engine,
    *,
    model: str | None = None,
    weights: str = weights_.IMAGENET,
    layer: str | None = None,
    pooling: str | None = None,
    metric: str | None = None,
) -> Choice:
    """The configuration to take that has the parts that are given and works on this machine without a download.

    The cheapest that can't be told from the best by the mean score at k = 10 on the shipped datasets, or on all others where none of those are here, among vectors of
    at most ``MAX_CHOSEN_DIMENSIONS`` numbers. Weights from a file are judged by what the ImageNet weights of the model score. Without
    such an experiment it is the layer before the last, average pooling and cosine distance. Loads no model.

    Raises
    ------
    UnknownNameError : there is no such model, or the model has no such layer.
    WeightsError : no model was named, and none has weights on this machine.
    CollectionError : the model must be named.
    """
    if model is not None:
        defined = registry.get_model(model)
        if layer is not None:
            defined.layer(layer)
    trained = weights != weights_.UNTRAINED
    if not weights_.has_name(weights) and model is None:
        raise CollectionError("Name the model that the file of weights belongs to (--model).")
    wanted: dict[str, str | None] = {"model": model, "layer": layer, "pooling": pooling, "metric": metric}
    given = {part: value for part, value in wanted.items() if value is not None}
    named: dict[str, str] = {part: given[part] for part in ("model", "layer") if part in given}
    for names in (
        [name for name in engine.grid.dataset_names() if name in _SHIPPED],
        engine.grid.dataset_names(),
    ):
        if best := _best(engine, names, trained, given):
            why = best.why
        elif best := _best(engine, names, trained, named):
            why = f"{best.why} Judged with {best.pooling} pooling and {best.metric} distance, since there are no other experiments."
        else:
            continue
        if not weights_.has_name(weights):
            why += " Judged with its ImageNet weights."
        return replace(best, pooling=pooling or best.pooling, metric=metric or best.metric, why=why)
    usual = _without_experiments(model, trained, layer)
    return Choice(
        model=usual.name,
        layer=layer or usual.layers[-2:][0].name,
        pooling=pooling or "avg",
        metric=metric or "cosine",
        why="There are no experiments here to choose by, so what was not given is the default: "
        "the layer before the last, average pooling and cosine distance.",
    )


def _best(engine: Engine, names: list[str], trained: bool, given: dict[str, str]) -> Choice | None:
    """The configuration to take on as many of these datasets as any has been computed on."""
    there: dict[Configuration, list[str]] = {}
    for name in names:
        try:
            found = engine.searchable(engine.grid.dataset(name))
        except UserError:
            # A dataset that can't be read has nothing to say.
            continue
        for one in found:
            fits = (
                one.weights != weights_.UNTRAINED
            ) == trained and one.dimensions <= settings.MAX_CHOSEN_DIMENSIONS
            if fits and all(getattr(one, part) == value for part, value in given.items()):
                there.setdefault(one.configuration, []).append(name)
    # Of those on as many datasets, the ones on the first of them, so that all are compared on the same.
    most = max(there.values(), key=len, default=[])
    among = [one for one, on in there.items() if on == most]
    if (
        not among
        or (chosen := recommendation.recommend([engine.grid.load(name) for name in most], among)) is None
    ):
        return None
    taken = chosen.taken
    on = " and ".join(sorted(most))
    untrained = "" if trained else "untrained "
    parts = f" with {', '.join(given.values())}" if given else ""
    mean = "a mean score of " if len(most) > 1 else ""
    why = f"Of the {untrained}configurations{parts} that work on this machine without a download, this is "
    if taken == chosen.best:
        why += f"the best on {on}: {mean}{chosen.taken_mean:.1f} of 100 at k = 10."
    else:
        why += (
            f"the cheapest that can't be told from the best on {on}: {mean}{chosen.taken_mean:.1f} of 100 at k = 10; the best has "
            f"{chosen.best_mean:.1f}."
        )
    return Choice(taken.model, taken.layer, taken.pooling, taken.metric, why)


def _without_experiments(model: str | None, trained: bool, layer: str | None) -> registry.Model:
    """The model of that name, or the first of those that work here and have the layer."""
    if model is not None:
        return registry.get_model(model)
    here = [one for one in registry.MODELS.values() if not trained or weights_.availability(one)[0]]
    if not here:
        raise WeightsError(
            "No model has weights on this machine; `playground models list` says what can be had and how."
        )
    fitting = [one for one in here if layer is None or layer in {each.name for each in one.layers}]
    if not fitting:
        raise CollectionError(f"No model with weights here has a layer {layer!r}; name its model as well.")
    return fitting[0]
