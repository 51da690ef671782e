# Stages `segmenter` and `predictions`: a network that labels the pixels of images without labels.


rule train_segmenter:
    input:
        index=upstream("segmenter", "dataset", "index.csv"),
        classes=upstream("segmenter", "dataset", "classes.json"),
        images=SHRUNKEN,
        labels=training_labels,
        masks=upstream_if_any("segmenter", "listed_masks", "masks.csv"),
        initial=starting_network("segmenter"),
    output:
        weights=f"{FOLDER}/segmenter/{{artifact}}/weights.safetensors",
        training=f"{FOLDER}/segmenter/{{artifact}}/training.csv",
    log:
        f"{FOLDER}/logs/train_segmenter/{{artifact}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/train_segmenter/{{artifact}}.tsv"
    priority: 40  # long jobs first: a late one would run alone at the end
    conda:
        "../envs/wsss.yaml"
    threads: asks("train_segmenter", "threads")
    resources:
        mem_mb=asks("train_segmenter", "mem_mb"),
        runtime=asks("train_segmenter", "runtime"),
        gpu=asks("train_segmenter", "gpu"),
    params:
        identity=identity("segmenter"),
        initialisation=lambda wildcards: initialisation_in_words(
            plan.artifact("segmenter", wildcards.artifact)
        ),
    script:
        "../workflow_scripts/train_segmenter.py"


rule predict:
    input:
        index=upstream("predictions", "dataset", "index.csv"),
        classes=upstream("predictions", "dataset", "classes.json"),
        images=SHRUNKEN,
        segmenter=upstream("predictions", "segmenter", "weights.safetensors"),
    output:
        labels=f"{FOLDER}/predictions/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
    log:
        f"{FOLDER}/logs/predict/{{artifact}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/predict/{{artifact}}.{{shard}}-of-{{shards}}.tsv"
    wildcard_constraints:
        artifact=one_of(prediction_names(keep_probabilities=False)),
    conda:
        "../envs/wsss.yaml"
    threads: asks("predict", "threads")
    resources:
        mem_mb=asks("predict", "mem_mb"),
        runtime=asks("predict", "runtime"),
        gpu=asks("predict", "gpu"),
    params:
        identity=identity("predictions"),
    script:
        "../workflow_scripts/predict.py"


# The same work with one more output, which a rule cannot have for some artifacts only.
use rule predict as predict_with_probabilities with:
    output:
        labels=f"{FOLDER}/predictions/{{artifact}}/labels/{{shard}}-of-{{shards}}.csv",
        probabilities=f"{FOLDER}/predictions/{{artifact}}/probabilities/{{shard}}-of-{{shards}}.h5",
    wildcard_constraints:
        artifact=one_of(prediction_names(keep_probabilities=True)),
    threads: asks("predict_with_probabilities", "threads")
    resources:
        mem_mb=asks("predict_with_probabilities", "mem_mb"),
        runtime=asks("predict_with_probabilities", "runtime"),
        gpu=asks("predict_with_probabilities", "gpu"),
