"""Explanations of terms and short forms of numbers, in one place for all pages."""

from collections.abc import Sequence

from core.collections.index import engines
from core.evaluation import measures
from core.experiments.store import LayerRun
from core.metrics import METRICS
from core.models import registry
from core.projection import JUDGED_NEIGHBORS
from core.published.names import WEIGHTS as PUBLISHED

DATASET = (
    "A set of labeled images. Every experiment runs on all of them, so that models can be compared. A collection of your "
    "own images has one configuration, chosen when it was created."
)
MODEL = (
    "A convolutional network that turns an image into numbers. *ImageNet* weights were trained on a million "
    "photos; *untrained* ones are random: a control that shows what the training is worth."
)
LAYER = (
    "A network sees in steps. Early layers notice edges and colors, late ones notice parts and whole things. "
    "The model is cut at the layer you choose, and its output there describes the image."
)
POOLING = (
    "The output of a layer is a grid of numbers for every position in the image. Pooling turns it into one vector: "
    "**avg** takes the mean over all places, **max** the strongest, **gem** something in between, and "
    "**flatten** keeps every place, which makes long vectors."
)
METRIC = "How far apart two vectors are:\n\n" + "\n".join(
    f"- **{metric.name}**: {metric.explanation}" for metric in METRICS.values()
)
ENGINE = "What finds the nearest vectors:\n\n" + "\n".join(
    f"- **{name}**: {engines.get(name).description}" for name in engines.names()
)
NEIGHBORS = "How many of the nearest images to show, 5 to 20. The score uses the same number."
SCORE = (
    "How well the neighbors share the query's class, from 0 (none does) to 100 (all do). An early neighbor "
    "counts for more than a late one: with k neighbors, the first has weight k, the last has weight 1."
)
MEASURES = {
    "score": SCORE,
    "precision": "How many of the k nearest images are of the class of the query (precision@k).",
    "recall": "How many of all images of the class are among the k nearest (recall@k).",
    "ndcg": "Like the score, with weights that fall off more slowly, and 100 wherever no order could be better (normalized discounted cumulative gain).",
    "map": "Mean average precision over the ranking of all images: the mean of the precision at each image of the class, high when those come first.",
    "mrr": "Mean reciprocal rank: 100 where the nearest image is of the class, 50 where the second is the first that is, 33 where the third is.",
    "nearest": "How often the nearest image is of the class: the accuracy of a 1-nearest-neighbor classifier, which is precision@1.",
    "knn": "How often the k nearest images, by a vote, name the class. Of classes with as many votes one is drawn.",
    "probe": "How often a logistic regression on the vectors names the class of an image that it was not trained on (five-fold cross-validation). It is the "
    "same for all distances. Its interval counts each image as one that is tested; what it adds as one that is learned from is not known.",
}
MEASURE = "What configurations are compared by, everywhere on this page:\n\n" + "\n".join(
    f"- **{one.title}**: {MEASURES[name]}" for name, one in measures.MEASURES.items()
)
INTERVAL = (
    "Other images of the same classes, as many of each, would give another mean. The interval contains the mean over all such sets of "
    "images in about 95 of 100 cases. It counts each image as a query and as a neighbor of others: a quarter of the images is left out "
    "as both (delete-d jackknife)."
)
DIFFERENCE = (
    "Both configurations search for the same images, so their scores are compared image by image. Where the 95% interval of the mean "
    "difference includes 0, the difference may be chance. It counts each image as a query and as a neighbor of others (delete-d "
    "jackknife). Where fewer than 30 images differ, an exact sign-flip test decides: p is how often a difference as large comes up when "
    "A and B are swapped at random on each image."
)
BEST = (
    "All configurations are compared with the best at once (max-T test): of 100 sets of images like these, 95 leave out none that is as "
    "good. Those that are left can't be told from the best. How often a configuration is the best is counted over sets in which the "
    "scores vary as far as their intervals let them."
)
HALVES = (
    "The best of many configurations owes part of its score to luck. With this switch it is chosen by the searches from one half of "
    "each class, and all scores shown are those of the other half. The half is always the same one. Neighbors still come from all "
    "images, since the stored lists are too short to leave half of them out."
)
UNDIVIDED = "This measure is stored for all images together, so it can't be chosen on one half of them."
DISTANCE = (
    "A distance has no unit, so two comparisons are shown below it. **Closer than 97% of pairs**: of all pairs of "
    "images in the dataset, 97% are farther apart. **Same class 93 of 100 (88–96)**: of the neighbors at this distance, in the searches from "
    "all other images, so many are of the class that was searched for, with the 95% interval. The share never grows with the distance (isotonic "
    "regression). A second line is for the class of your picture, where that differs by more than 10 of 100."
)
COST = (
    "Time for one image was measured on the machine that ran the experiments, or on this one where *Times* says so. A vector takes 4 bytes "
    "for each of its numbers."
)
QUERY_TIME = (
    "Milliseconds from an image in memory to its neighbors: the network up to the layer, measured on the machine named below, and the "
    "median search in the index, which is planned from measured speeds (`playground plan` prints them)."
)
INDEX = (
    "The index that a collection of so many images gets: below 50,000 images an exact one, above a compressed one. Its size follows "
    "from its format."
)
RECALL = "How many of the ten nearest images the index finds, as a share. An exact index finds all; an approximate one is tuned to this."
IMAGES_TO_SEARCH = "How many images there will be to search in. Size and speed of the index depend on it."
UNTRAINED = (
    "This is an untrained control: the same network with random weights. It shows what the architecture alone "
    "achieves, so expect poor results."
)
CAVEATS = {
    "untrained": UNTRAINED,
    PUBLISHED: "These are the results that were published with the ConvNet Playground "
    "(cloudera/CML_AMP_Image_Analysis, Apache-2.0), not computed here: the nearest images of each, without their distances.",
}
TIES = (
    "Of images that are equally far, none is nearer. A score is then the mean over all orders of these. **Tied** is how often such a tie "
    "decides which images are among the first k. From 20% of the searches on, the distances do not separate the images."
)
NO_DISTANCES = "The nearest images were published, their distances were not."
UNJUDGED = (
    "This projection was published without its vectors, so its trustworthiness is not known. "
    "Each layer's points were turned to lie as those of the layer before."
)
PROJECTION = (
    "How many numbers of a vector become two or three to draw. **UMAP** keeps neighbors together and may bend "
    "everything else; **PCA** looks from the side where the vectors differ most and bends nothing, so much "
    "stays hidden."
)
TRUSTWORTHINESS = (
    "**Trustworthiness** says how far the chart can be believed: 1 when all points that are neighbors in it are "
    "neighbors among the full vectors too, lower the more other points come in between."
)
CONTINUITY = (
    f"**Continuity** says how much the chart tears apart: 1 when all images that are neighbors among the full vectors are neighbors in the "
    f"chart too, lower the farther apart they lie. Trustworthiness asks the reverse. Both look at the {JUDGED_NEIGHBORS} nearest."
)
SILHOUETTE = (
    "**Silhouette** says how far the classes are apart among the full vectors, whatever the chart shows: 1 when every class "
    "is well apart, 0 when they mix, below 0 when images are nearer to another class than to their own."
)

_POOLINGS = {
    "avg": "avg – mean over all places",
    "max": "max – strongest place",
    "gem": "gem – between mean and strongest",
    "flatten": "flatten – every place kept",
}


def attainable(mean: float, k: int, by: str = measures.SCORE) -> str:
    """Why no configuration can have a mean of 100."""
    classes = "more" if by == "recall" else "fewer"
    return f"At most {mean:.1f} of 100 can be reached on average: some classes have {classes} than {k + 1} images."


def unseparated(share: float, k: int) -> str:
    """Why a configuration can't order the images."""
    return (
        f"**These distances do not separate the images.** In {percent(share)} of the searches the neighbor at place {k} is as far as others "
        "that are not among the first. Which of them are shown is arbitrary; scores are means over all orders."
    )


def ties_unknown(n: int, of: int) -> str:
    """Which ties a grid does not hold."""
    return (
        f"**Ties unknown.** {n:,} of {of:,} result lists end among equally far images, and how many more are as far was not stored. Scores "
        "count those in the lists only."
    )


def capital(text: str) -> str:
    """A text that begins a sentence; words such as mAP stay as they are."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def small(text: str) -> str:
    """A text inside a sentence; words such as nDCG stay as they are."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def depth(number: int) -> str:
    """A layer's depth; a layer that was published beside the eight has a plus."""
    return str(number) if number <= registry.N_LAYERS else f"+{number - registry.N_LAYERS}"


def layer_of(number: int, layers: Sequence[LayerRun]) -> str:
    """The position of a layer among those of its model."""
    if number > registry.N_LAYERS:
        return f"Layer {depth(number)}, published beside the eight"
    return f"Layer {number} of {min(registry.N_LAYERS, max(one.depth for one in layers))}"


def weights(name: str) -> str:
    """The weights of a model in words."""
    if name == PUBLISHED:
        return "published"
    if name == "imagenet":
        return "ImageNet"
    if name.startswith("vectors-"):
        return f"vectors {name.removeprefix('vectors-')}"
    if name.startswith("onnx-"):
        return f"ONNX file {name.removeprefix('onnx-')}"
    if name.startswith("combined-"):
        return f"combination {name.removeprefix('combined-')}"
    return "○ untrained" if name == "untrained" else f"own weights {name.removeprefix('file-')}"


def pooling(name: str) -> str:
    """A pooling with what it does."""
    return _POOLINGS.get(name, name)


def plural(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def count(number: float) -> str:
    """A large number, short: 4.7 M, 125 k."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            value = number / size
            return f"{value:.0f} {sign}" if value >= 99.5 else f"{value:.1f} {sign}"
    return f"{number:.0f}"


def signed(number: float) -> str:
    """A difference with one decimal and its sign, a minus sign and not a hyphen: +1.2, −0.3, 0.0."""
    text = f"{number:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def distance(number: float) -> str:
    """A distance with three digits that count."""
    if number >= 1000:
        return f"{number:,.0f}"
    return f"{number:#.3g}".rstrip(".") if number else "0"


def distance_lines(number: float | None) -> tuple[str, ...]:
    """The line of a tile that has a distance; none where it is not known."""
    return () if number is None else (f"distance {distance(number)}",)


def percent(share: float) -> str:
    """A share as a percentage that says neither 0% nor 100% unless it is so."""
    value = 100.0 * share
    if 0.0 < value < 1.0 or 99.0 < value < 100.0:
        return f"{min(max(value, 0.1), 99.9):.1f}%"
    return f"{value:.0f}%"


def size(n_bytes: int) -> str:
    """An amount of memory: 1 byte, 512 bytes, 5.1 kB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes} byte{'' if n_bytes == 1 else 's'}"
