"""Data sources, splits, transforms and fingerprints: everything between a path and a batch."""

from autoplace.data._augmentation import Augmentation
from autoplace.data._decoding import MAX_PIXELS, UnreadableImageError
from autoplace.data._digest import short_digest
from autoplace.data._errors import DataError
from autoplace.data._load import load_data
from autoplace.data._random_state import random_state
from autoplace.data._reading import PictureReading, read_image
from autoplace.data._record import BadImage, DuplicateImage
from autoplace.data._sampling import sample_per_class, stratified_sample
from autoplace.data._split import Batch, ImageSplit, PixelTable
from autoplace.data._task_data import TaskData
from autoplace.data._transforms import ImageTransform, create_transform
from autoplace.data._tree import list_images
from autoplace.data.builtin import SIZES, BuiltinTask, list_builtin, list_tasks

__all__ = [
    "MAX_PIXELS",
    "SIZES",
    "Augmentation",
    "BadImage",
    "Batch",
    "BuiltinTask",
    "DataError",
    "DuplicateImage",
    "ImageSplit",
    "ImageTransform",
    "PictureReading",
    "PixelTable",
    "TaskData",
    "UnreadableImageError",
    "create_transform",
    "list_builtin",
    "list_images",
    "list_tasks",
    "load_data",
    "random_state",
    "read_image",
    "sample_per_class",
    "short_digest",
    "stratified_sample",
]
