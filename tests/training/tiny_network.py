"""A classifier with one bottleneck, which compiles in seconds."""

from __future__ import annotations

from keras_involution import (
    RedNetBackbone,
    RedNetImageClassifier,
    RedNetImageConverter,
)


def tiny_network(
    depth: int,
    image_size: int,
    class_names: list[str],
    dtype: str = "float32",
    drop_path_rate: float = 0.0,
    **arguments: object,
) -> RedNetImageClassifier:
    backbone = RedNetBackbone(
        stackwise_num_filters=(4,),
        stackwise_num_blocks=(1,),
        stackwise_strides=(1,),
        kernel_size=3,
        group_channels=2,
        drop_path_rate=drop_path_rate,
        data_format="channels_last",
        dtype=dtype,
    )
    converter = RedNetImageConverter(
        (image_size, image_size),
        crop_to_aspect_ratio=False,
        data_format="channels_last",
    )
    return RedNetImageClassifier(
        backbone=backbone,
        num_classes=len(class_names),
        class_names=class_names,
        preprocessor=converter,
    )
